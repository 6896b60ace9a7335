//! The pass of an AnalysisRun: its measurements are under way beside it, and end with it.

use super::{Context, Driver, Pass, is_ours};
use crate::error::Result;
use crate::observe;
use crate::queue::Key;
use api::{AnalysisRun, AnalysisRunStatus};
use engine::analysis::{self, AnalysisRunSnapshot};
use engine::snapshot::RefusalKind;
use jiff::Timestamp;
use kube::ResourceExt;
use plan::{Action, ObjectKey, Plan};
use std::sync::Arc;

pub(super) struct AnalysisRunDriver;

impl Driver for AnalysisRunDriver {
    type Root = AnalysisRun;
    type Snapshot = AnalysisRunSnapshot;
    type Status = AnalysisRunStatus;
    const STATUS_SUBRESOURCE: Option<&'static str> = None;

    fn root(&self, cx: &Context, key: &Key) -> Option<Arc<AnalysisRun>> {
        let root = cx.caches.analysis_runs.get(&key.namespace, &key.name)?;
        is_ours(cx, &root.metadata).then_some(root)
    }

    fn status(root: &AnalysisRun) -> Option<&AnalysisRunStatus> {
        root.status.as_ref()
    }

    async fn observe(&self, cx: &Context, root: Arc<AnalysisRun>) -> Result<AnalysisRunSnapshot> {
        let (namespace, uid) = (root.namespace(), root.uid());
        let name = root.name_any();
        cx.measurer.stop_former(
            &namespace.unwrap_or_default(),
            &name,
            &uid.unwrap_or_default(),
        );
        cx.measurer.settle(|id| {
            Some(id.run_uid.as_str()) == root.metadata.uid.as_deref()
                && analysis::settled(&root, id)
        });
        observe::analysis_run(cx, root).await
    }

    fn plan(
        &self,
        _: &Context,
        snapshot: &AnalysisRunSnapshot,
        now: Timestamp,
    ) -> Plan<AnalysisRunStatus> {
        analysis::plan(snapshot, now)
    }

    /// A Job that the API server will not create is a measurement that failed, not a reason to try
    /// the same again at once. So is one that it failed to create, unless it turns out to be there.
    fn record(&self, cx: &Context, key: &Key, pass: &Pass<'_, AnalysisRunStatus>) -> bool {
        let mut is_news = false;
        for (action, outcome) in pass.plan.actions.iter().zip(&pass.outcomes) {
            let (Action::Create { object }, Err(failure)) = (action.deed(), outcome) else {
                continue;
            };
            let Some(id) = analysis::jobs::task_of(object) else {
                continue;
            };
            let run = ObjectKey::namespaced(
                api::constants::API_VERSION,
                "AnalysisRun",
                &key.namespace,
                &key.name,
            );
            let now = cx.clock.now();
            let measurement = match failure.kind {
                RefusalKind::Invalid | RefusalKind::Refused => {
                    analysis::jobs::refused(&failure.message, now)
                }
                RefusalKind::Failed => analysis::jobs::failed(&failure.message, now),
            };
            cx.measurer.inbox.put(id, run, measurement);
            is_news = true;
        }
        is_news
    }

    async fn gone(&self, cx: &Context, key: &Key) {
        cx.measurer.stop_run(&key.namespace, &key.name);
    }
}
