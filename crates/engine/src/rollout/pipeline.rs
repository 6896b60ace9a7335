//! The plan of a Rollout from end to end: one pass, and the passes that follow from its status
//! alone.

use super::conditions::{self, Change};
use super::context::Context;
use super::digest::Digest;
use super::{blue_green, bounds, canary, claim, image_tags, workload};
use crate::config::Config;
use crate::snapshot::RolloutSnapshot;
use crate::validate;
use api::constants::{condition, reason};
use api::{Rollout, RolloutPhase, RolloutStatus};
use jiff::Timestamp;
use plan::{Next, Plan};
use serde_json::json;
use std::sync::Arc;

/// How long a Rollout whose references are wrong waits for another look.
const INVALID_RETRY_S: i64 = 20;

/// Passes that one plan looks ahead at most.
const MAX_PASSES: usize = 8;

/// What to do next for one Rollout. Pure, total and deterministic: a function of its arguments.
///
/// A pass that changes nothing but the status leads to the next one at once, on paper: a step that
/// is complete, the pause that follows and its message are one write. It is one step at most, so
/// that whoever watches a Rollout sees all of them.
pub fn plan(snapshot: &RolloutSnapshot, config: &Config, now: Timestamp) -> Plan<RolloutStatus> {
    let bounded = bounds::bounded(snapshot);
    let snapshot = bounded.as_ref().unwrap_or(snapshot);
    let stored = snapshot.rollout.status.as_ref();
    if snapshot.rollout.metadata.deletion_timestamp.is_some() {
        return Plan::idle(stored.cloned().unwrap_or_default());
    }
    let mut planner = Planner::new(snapshot, config, now);
    let plan = planner.pass(stored);
    if !is_of_status_only(&plan) || stored == Some(&plan.status) {
        return plan;
    }
    planner.look_ahead(plan, stored)
}

/// What a pass does to others waits until the status that leads to it is stored, so that whoever
/// comes after a crash finds the way to it.
fn is_of_status_only(plan: &Plan<RolloutStatus>) -> bool {
    plan.actions.is_empty() && plan.root.patch.is_none()
}

/// What all passes of one plan have in common: they differ in the status that they begin with.
#[derive(Debug)]
struct Planner<'a> {
    snapshot: &'a RolloutSnapshot,
    config: &'a Config,
    now: Timestamp,
    /// With what its workload says filled in, if that is known.
    rollout: Arc<Rollout>,
    /// Why that is not known.
    unresolved: Option<String>,
    digest: Arc<Digest>,
    /// The first thing that is wrong with the Rollout or with what it refers to.
    error: Option<String>,
}

impl<'a> Planner<'a> {
    fn new(snapshot: &'a RolloutSnapshot, config: &'a Config, now: Timestamp) -> Self {
        let (rollout, unresolved) = match workload::resolve(snapshot) {
            Ok(rollout) => (rollout, None),
            Err(message) => (Arc::clone(&snapshot.rollout), Some(message)),
        };
        let status = snapshot.rollout.status.as_ref();
        let digest = Digest::renewed(snapshot.digest.as_ref(), &rollout, status);
        let mut planner = Self {
            snapshot,
            config,
            now,
            rollout,
            unresolved,
            digest,
            error: None,
        };
        planner.error = planner.find_error();
        planner
    }

    fn find_error(&self) -> Option<String> {
        let unresolved = self.unresolved.clone();
        unresolved.or_else(|| spec_error((&self.rollout, &self.digest), self.snapshot, self.config))
    }

    /// The last of the passes from `plan` on that change the status only, with what all of them
    /// tell.
    fn look_ahead(
        &mut self,
        mut plan: Plan<RolloutStatus>,
        stored: Option<&RolloutStatus>,
    ) -> Plan<RolloutStatus> {
        let first = stored.and_then(|status| status.current_step_index);
        for _ in 1..MAX_PASSES {
            let mut next = self.pass(Some(&plan.status));
            // What a pass would tell again as long as nothing changes was told.
            next.releases
                .retain(|release| !plan.releases.contains(release));
            let step = plan.status.current_step_index;
            let is_second_step = step != first && next.status.current_step_index != step;
            if is_second_step || !is_of_status_only(&next) {
                break;
            }
            let is_at_rest = next.status == plan.status && next.releases.is_empty();
            plan.status = next.status;
            plan.next = next.next;
            plan.releases.extend(next.releases);
            plan.trace.decisions.extend(next.trace.decisions);
            plan.trace.waiting_on = next.trace.waiting_on;
            if is_at_rest {
                break;
            }
        }
        plan
    }

    /// One pass that begins with a status.
    fn pass(&mut self, status: Option<&RolloutStatus>) -> Plan<RolloutStatus> {
        if !self.digest.is_for(status) {
            self.digest = Digest::renewed(None, &self.rollout, status);
            self.error = self.find_error();
        }
        let of_spec = (Arc::clone(&self.rollout), Arc::clone(&self.digest));
        let mut cx = Context::new(self.snapshot, status, (self.config, self.now), of_spec);
        let error = self.error.clone();
        if let Some(message) = error.or_else(|| cx.unfit_template()) {
            return invalid(cx, &message);
        }
        cx.convert_stored_weights();
        cx.note_workload_generation();
        if cx.write_default_replicas() || cx.create_new_set() {
            return cx.done();
        }
        cx.forgive_abort_of_stable();
        cx.prefer_later_word();
        cx.forget_check_point_at_retry();
        cx.sync_pause_conditions();
        cx.sync_revision();
        cx.hand_over();
        if cx.rollout.spec.blue_green().is_some() {
            blue_green::advance(&mut cx);
        } else {
            canary::advance(&mut cx);
        }
        cx.scale_down_workload();
        cx.done()
    }
}

/// The first thing that is wrong with the Rollout or with what it refers to.
fn spec_error(
    (rollout, digest): (&Arc<Rollout>, &Digest),
    snapshot: &RolloutSnapshot,
    config: &Config,
) -> Option<String> {
    let of_images = || {
        let denies = config.deny_mutable_tags;
        denies.then(|| image_tags::denied(rollout)).flatten()
    };
    let of_references = || {
        if rollout.spec.workload_ref.is_none() {
            return validate::references(snapshot);
        }
        validate::references(&RolloutSnapshot {
            rollout: Arc::clone(rollout),
            ..snapshot.clone()
        })
    };
    let of_spec = || {
        if claim::is_accepted(snapshot, &digest.hash) {
            if digest.is_sound {
                return None;
            }
            validate::spec_of_accepted(rollout)
        } else {
            validate::spec(rollout)
        }
    };
    validate::stored(&snapshot.rollout)
        .or_else(of_spec)
        .or_else(of_images)
        .or_else(of_references)
        .map(|error| error.to_string())
}

/// The plan of a Rollout that makes no sense: a condition that says why, and nothing else (§1.7).
fn invalid(mut cx: Context<'_>, error: &str) -> Plan<RolloutStatus> {
    let message = format!("The Rollout \"{}\" is invalid: {error}", cx.name());
    cx.sets.clear();
    cx.actions.clear();
    cx.root = json!({});
    cx.status = cx.stored_status();
    let stored = conditions::find(&cx.status, condition::INVALID_SPEC);
    if stored.is_none_or(|stored| stored.message != message) {
        let change = Change {
            kind: condition::INVALID_SPEC,
            status: "True",
            reason: reason::INVALID_SPEC,
            message: message.clone(),
        };
        conditions::renew(&mut cx.status, change, cx.now);
    }
    let generation = cx.rollout.metadata.generation.unwrap_or(0);
    cx.status.observed_generation = generation.to_string();
    cx.status.phase = Some(RolloutPhase::Degraded);
    cx.status.message = format!("InvalidSpec: {message}");
    cx.wait_for_fix(message);
    cx.next = Next::At(super::time::plus_seconds(cx.now, INVALID_RETRY_S));
    cx.done()
}

impl Context<'_> {
    /// An absent `spec.replicas` is written down as 1, so that an autoscaler finds it; the pass
    /// ends there (§1.2).
    fn write_default_replicas(&mut self) -> bool {
        if self.rollout.spec.replicas.is_some() {
            return false;
        }
        self.status = self.stored_status();
        self.patch_root(json!({"spec": {"replicas": 1}}));
        self.decide("default-replicas", "spec.replicas is not set");
        true
    }

    /// An abort that nobody has seen yet ends a full promotion that is under way: who aborts means
    /// it (the peer drops the abort). A full promotion of an update that was aborted before is the
    /// later word: it takes the abort back before anything moves. Both may be on record for many
    /// passes, while the status can't be stored, and services must not go by one of them and pods
    /// by the other.
    fn prefer_later_word(&mut self) {
        if !self.stored.promote_full || !self.stored.abort {
            return;
        }
        if self.stored.aborted_at.is_none() {
            self.decide("abort", "the full promotion under way was aborted");
            self.stored.to_mut().promote_full = false;
        } else {
            self.pauses.remove_abort();
        }
    }

    /// Who tries again begins with the preview, its analysis and its pause. (With the peer, what
    /// the preview has passed before the abort still counts, and an analysis that is to be repeated
    /// waits for a preview that is not coming.)
    fn forget_check_point_at_retry(&mut self) {
        let is_reached = self.stored.blue_green.scale_up_preview_check_point;
        if is_reached && self.stored.aborted_at.is_some() && !self.stored.abort {
            let stored = self.stored.to_mut();
            stored.blue_green.scale_up_preview_check_point = false;
        }
    }

    /// Back at the stable revision there is nothing left to abort (§3.2).
    fn forgive_abort_of_stable(&mut self) {
        if self.stored_stable() == self.current_hash && !self.stored_stable().is_empty() {
            self.pauses.remove_abort();
        }
    }
}
