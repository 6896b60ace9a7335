use super::{Context, Driver, Pass};
use crate::error::Result;
use crate::observe;
use crate::queue::{Key, Kind};
use api::{Experiment, ExperimentStatus};
use engine::experiment::{ExperimentSnapshot, Refused};
use engine::snapshot::RefusalKind;
use jiff::Timestamp;
use kube::ResourceExt;
use plan::{Action, Plan};
use std::sync::Arc;

pub(super) struct ExperimentDriver;

impl Driver for ExperimentDriver {
    type Root = Experiment;
    type Snapshot = ExperimentSnapshot;
    type Status = ExperimentStatus;
    const STATUS_SUBRESOURCE: Option<&'static str> = None;

    fn root(&self, cx: &Context, key: &Key) -> Option<Arc<Experiment>> {
        cx.caches.experiments.get(&key.namespace, &key.name)
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
        let refused = cx.experiment_refusals.of(&key);
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
    fn acted(&self, cx: &Context, key: &Key, pass: &Pass<'_, ExperimentStatus>) -> bool {
        let known = cx.experiment_refusals.of(key);
        for (action, outcome) in pass.plan.actions.iter().zip(&pass.outcomes) {
            let Some(object) = target(action) else {
                continue;
            };
            match outcome {
                Ok(()) => {
                    if known.as_ref().is_some_and(|known| known.object == object) {
                        cx.experiment_refusals.forget(key);
                    }
                }
                Err(failure) if failure.kind == RefusalKind::Failed => {}
                Err(failure) => {
                    let refused = Refused {
                        object,
                        message: failure.message.clone(),
                        at: cx.clock.now(),
                    };
                    cx.experiment_refusals.note(key, refused);
                    return true;
                }
            }
        }
        false
    }

    async fn gone(&self, cx: &Context, key: &Key) {
        cx.experiment_refusals.forget(key);
    }
}

fn target(action: &Action) -> Option<plan::ObjectKey> {
    match action {
        Action::Create { object } => Some(crate::act::key_of(object)),
        Action::Patch { target, .. } | Action::Delete { target, .. } => Some(target.clone()),
        Action::Apply { .. } | Action::Evict { .. } | Action::Measure(_) => None,
    }
}
