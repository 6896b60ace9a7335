use super::{Context, Driver};
use crate::error::Result;
use crate::observe;
use crate::queue::Key;
use api::{AnalysisRun, AnalysisRunStatus};
use engine::analysis::{self, AnalysisRunSnapshot};
use jiff::Timestamp;
use plan::Plan;
use std::sync::Arc;

pub(super) struct AnalysisRunDriver;

impl Driver for AnalysisRunDriver {
    type Root = AnalysisRun;
    type Snapshot = AnalysisRunSnapshot;
    type Status = AnalysisRunStatus;
    const STATUS_SUBRESOURCE: Option<&'static str> = None;

    fn root(&self, cx: &Context, key: &Key) -> Option<Arc<AnalysisRun>> {
        cx.caches.analysis_runs.get(&key.namespace, &key.name)
    }

    async fn observe(&self, cx: &Context, root: Arc<AnalysisRun>) -> Result<AnalysisRunSnapshot> {
        cx.measurer.inbox.forget(|id| {
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

    async fn gone(&self, cx: &Context, key: &Key) {
        cx.measurer.stop_run(&key.namespace, &key.name);
    }
}
