//! Experiments: one goes on for a step of a revision, when it begins and at rest.

use crate::object::{Body, Id, Object};
use api::{AnalysisPhase, Experiment, Rollout};
use std::collections::BTreeMap;

/// Experiments of the Rollout of which several go on for one step of one revision. They have pods
/// and a share of the traffic each. One that is told to end goes on for a moment: it is none.
pub fn rival_experiments(
    experiments: &[(Id, Object)],
    rollout: &Rollout,
) -> Option<(&'static str, String)> {
    let mut by_step: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (id, object) in experiments {
        let is_ours = object.controller_uid() == rollout.metadata.uid.as_deref();
        let Body::Experiment(experiment) = &object.body else {
            continue;
        };
        if is_ours
            && goes_on(experiment)
            && let Some(step) = step(&id.name)
        {
            by_step.entry(step).or_default().push(&id.name);
        }
    }
    let rivals = by_step.into_values().find(|names| names.len() > 1)?;
    Some(("two experiments for one step", rivals.join(", ")))
}

fn goes_on(experiment: &Experiment) -> bool {
    let phase = experiment.status.as_ref().and_then(|status| status.phase);
    let is_open = matches!(
        phase,
        None | Some(AnalysisPhase::Pending | AnalysisPhase::Running)
    );
    is_open && experiment.spec.terminate != Some(true)
}

/// Which step of which revision it is for: of the name `app-<hash>-<revision>-<step>`, after which
/// the number of the attempt may stand.
fn step(name: &str) -> Option<String> {
    let words: Vec<&str> = name.split('-').take(4).collect();
    (words.len() == 4).then(|| words.join("-"))
}
