//! The plan of an Experiment from end to end.

use super::context::Context;
use super::{ExperimentSnapshot, validate};
use crate::config::Config;
use api::ExperimentStatus;
use jiff::Timestamp;
use plan::{Plan, WaitingOn};

/// What to do next for one Experiment. Pure, total and deterministic: a function of its arguments.
pub fn plan(
    snapshot: &ExperimentSnapshot,
    config: &Config,
    now: Timestamp,
) -> Plan<ExperimentStatus> {
    let experiment = &snapshot.experiment;
    if experiment.metadata.deletion_timestamp.is_some() {
        return Plan::idle(experiment.status.clone().unwrap_or_default());
    }
    let mut cx = Context::new(snapshot, config, now);
    if let Err(problem) = validate::spec(experiment) {
        cx.status = cx.stored.clone();
        cx.mark_invalid(&problem);
        cx.wait(WaitingOn::Fix { message: problem });
        return cx.done();
    }
    cx.run_templates();
    cx.run_analyses();
    cx.assess();
    cx.update_conditions();
    cx.wake();
    cx.done()
}
