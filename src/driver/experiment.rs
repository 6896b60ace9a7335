//! The pass of an Experiment, with what the API server refused of the passes before.

use super::{Context, Driver, Pass, is_ours};
use crate::error::Result;
use crate::observe;
use crate::queue::{Key, Kind};
use api::{Experiment, ExperimentStatus};
use engine::experiment::{ExperimentSnapshot, Refusals, Refused};
use engine::snapshot::RefusalKind;
use jiff::Timestamp;
use kube::ResourceExt;
use plan::Plan;
use std::sync::Arc;

pub(super) struct ExperimentDriver;

impl Driver for ExperimentDriver {
    type Root = Experiment;
    type Snapshot = ExperimentSnapshot;
    type Status = ExperimentStatus;
    const STATUS_SUBRESOURCE: Option<&'static str> = None;

    fn root(&self, cx: &Context, key: &Key) -> Option<Arc<Experiment>> {
        let root = cx.caches.experiments.get(&key.namespace, &key.name)?;
        is_ours(cx, &root.metadata).then_some(root)
    }

    fn status(root: &Experiment) -> Option<&ExperimentStatus> {
        root.status.as_ref()
    }

    async fn observe(&self, cx: &Context, root: Arc<Experiment>) -> Result<ExperimentSnapshot> {
        let key = Key::new(
            Kind::Experiment,
            root.namespace().unwrap_or_default(),
            root.name_any(),
        );
        let mut refused = cx.experiment_refusals.of(&key).unwrap_or_default();
        let now = cx.clock.now();
        refused.retain(|_, refused| is_recent(refused, now));
        Ok(observe::experiment(&cx.caches, root, refused))
    }

    fn plan(
        &self,
        cx: &Context,
        snapshot: &ExperimentSnapshot,
        now: Timestamp,
    ) -> Plan<ExperimentStatus> {
        engine::experiment::plan(snapshot, &cx.config, now)
    }

    /// What the API server will not have is something for the status to tell, not a reason to try
    /// again at once.
    fn record(&self, cx: &Context, key: &Key, pass: &Pass<'_, ExperimentStatus>) -> bool {
        let known = cx.experiment_refusals.of(key).unwrap_or_default();
        let (refused, is_new) = learn(known, pass, cx.clock.now());
        if refused.is_empty() {
            cx.experiment_refusals.forget(key);
        } else {
            cx.experiment_refusals.note(key, refused);
        }
        is_new
    }

    async fn gone(&self, cx: &Context, key: &Key) {
        cx.experiment_refusals.forget(key);
    }
}

/// Whether it is too soon to try again. A refusal from the future is of a clock that was set back
/// since: nobody waits for that.
fn is_recent(refused: &Refused, now: Timestamp) -> bool {
    refused.at <= now && refused.until() > now
}

/// What is refused after a pass, and whether the pass was told so. All refusals are kept until it
/// is time to try again: the status waits for a pass in which nothing is refused that was not known
/// before.
fn learn(known: Refusals, pass: &Pass<'_, ExperimentStatus>, now: Timestamp) -> (Refusals, bool) {
    let mut refused = known;
    refused.retain(|_, refused| is_recent(refused, now));
    let mut is_new = false;
    for (action, outcome) in pass.plan.actions.iter().zip(&pass.outcomes) {
        let Some(object) = action.target() else {
            continue;
        };
        match outcome {
            Ok(()) => {
                refused.remove(&object);
            }
            Err(failure) if failure.kind == RefusalKind::Failed => {}
            Err(failure) => {
                let message = failure.message.clone();
                refused.insert(object, Refused { message, at: now });
                is_new = true;
            }
        }
    }
    (refused, is_new)
}

#[cfg(test)]
mod tests {
    use super::super::Failure;
    use super::*;
    use plan::Action;
    use serde_json::json;

    fn set(name: &str) -> Action {
        let metadata = json!({"name": name, "namespace": "ns"});
        let object = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata});
        Action::Create {
            object: Box::new(object),
        }
    }

    /// What is known after a pass with this one action, by name.
    fn after(
        known: Refusals,
        name: &str,
        outcome: Option<RefusalKind>,
        now: i64,
    ) -> (Refusals, bool) {
        let mut plan = Plan::idle(ExperimentStatus::default());
        plan.actions.push(set(name));
        let message = "no quota".to_owned();
        let outcome = outcome.map_or(Ok(()), |kind| {
            Err(Failure {
                message,
                kind,
                is_verdict: kind != RefusalKind::Failed,
            })
        });
        let pass = Pass {
            plan: &plan,
            outcomes: vec![outcome],
        };
        learn(known, &pass, Timestamp::from_second(now).unwrap())
    }

    fn names(refused: &Refusals) -> Vec<&str> {
        refused.keys().map(|object| object.name.as_str()).collect()
    }

    #[test]
    fn one_refusal_does_not_make_another_one_forgotten() {
        let no = Some(RefusalKind::Refused);
        let (known, is_new) = after(Refusals::new(), "a", no, 0);
        assert!(is_new);
        let (known, is_new) = after(known, "b", no, 1);
        assert!(is_new);
        assert_eq!(names(&known), ["a", "b"]);
        // A failure is no answer.
        let (known, is_new) = after(known, "a", Some(RefusalKind::Failed), 2);
        assert!(!is_new);
        assert_eq!(names(&known), ["a", "b"]);
        let (known, _) = after(known, "a", None, 3);
        assert_eq!(names(&known), ["b"]);
        // It is time to try it again.
        let (known, _) = after(known, "c", None, 21);
        assert!(known.is_empty());
    }

    #[test]
    fn a_refusal_is_not_kept_while_a_clock_that_was_set_back_catches_up() {
        let (known, _) = after(Refusals::new(), "a", Some(RefusalKind::Refused), 3600);
        assert_eq!(names(&known), ["a"]);
        let (known, _) = after(known, "b", None, 0);
        assert!(known.is_empty());
    }
}
