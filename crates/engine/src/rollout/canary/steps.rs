//! Steps: which one is current, how it is called, and when it is done (rollouts.md §3.11).

use super::routes::route_of;
use super::split::ceil_share;
use crate::rollout::amount;
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use crate::rollout::time::plus_seconds;
use api::{
    CanaryStep, CanaryStrategy, IntOrString, PauseReason, ReplicaProgressThreshold,
    ReplicaProgressThresholdType, Rollout,
};
use plan::WaitingOn;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

/// The hash of the steps (§2.3).
pub(crate) fn step_hash(canary: &CanaryStrategy) -> String {
    let steps = (!canary.steps.is_empty())
        .then(|| serde_json::to_value(&canary.steps).ok())
        .flatten();
    gocompat::hash::step_hash(steps.as_ref())
}

/// A step as events name it.
pub(crate) fn step_text(step: &CanaryStep) -> String {
    if let Some(weight) = step.set_weight {
        return format!("setWeight: {weight}");
    }
    if let Some(pause) = &step.pause {
        return match &pause.duration {
            None => "pause".to_owned(),
            Some(IntOrString::Int(seconds)) => format!("pause: {seconds}"),
            Some(IntOrString::String(text)) => format!("pause: {text}"),
        };
    }
    if let Some(scale) = &step.set_canary_scale {
        return match (scale.weight, scale.match_traffic_weight, scale.replicas) {
            (Some(weight), _, _) => format!("setCanaryScale{{weight: {weight}}}"),
            (None, Some(true), _) => "setCanaryScale{matchTrafficWeight: true}".to_owned(),
            (None, _, Some(replicas)) => format!("setCanaryScale{{replicas: {replicas}}}"),
            (None, _, None) => "invalid".to_owned(),
        };
    }
    if let Some(plugin) = &step.plugin {
        return format!("plugin: {}", plugin.name);
    }
    if let Some(route) = &step.set_header_route {
        return format!(
            "setHeaderRoute: {}",
            route.name.as_deref().unwrap_or_default()
        );
    }
    if let Some(route) = &step.set_mirror_route {
        return format!("setMirrorRoute: {}", route.name);
    }
    let text = match (&step.experiment, &step.analysis) {
        (Some(_), _) => "experiment",
        (None, Some(_)) => "analysis",
        (None, None) => "invalid",
    };
    text.to_owned()
}

static NO_CANARY: LazyLock<CanaryStrategy> = LazyLock::new(CanaryStrategy::default);

/// A strategy that can be held while the plan goes on being made.
#[derive(Clone, Debug)]
pub(crate) struct Canary(Arc<Rollout>);

impl Deref for Canary {
    type Target = CanaryStrategy;

    fn deref(&self) -> &CanaryStrategy {
        self.0.spec.canary().unwrap_or(&NO_CANARY)
    }
}

impl Context<'_> {
    /// The canary strategy; all defaults if there is none.
    pub(crate) fn canary(&self) -> Canary {
        Canary(Arc::clone(&self.rollout))
    }

    pub(crate) fn step_count(&self) -> i32 {
        self.rollout.spec.canary_steps().len() as i32
    }

    /// `status.currentStepIndex` as stored, within the steps; `None` without steps.
    pub(crate) fn step_index(&self) -> Option<i32> {
        let count = self.step_count();
        (count > 0).then(|| self.stored.current_step_index.unwrap_or(0).clamp(0, count))
    }

    /// The step being carried out; `None` past the last one.
    pub(crate) fn current_step(&self) -> Option<&CanaryStep> {
        let index = usize::try_from(self.step_index()?).ok()?;
        self.rollout.spec.canary_steps().get(index)
    }

    /// The steps up to and including the current one, the last first.
    pub(super) fn steps_back(&self) -> impl Iterator<Item = &CanaryStep> {
        let index = self.step_index().unwrap_or(0).max(0) as usize;
        let steps = self.rollout.spec.canary_steps();
        steps[..steps.len().min(index + 1)].iter().rev()
    }

    /// The weight that the last `setWeight` before the current step asked for.
    pub(super) fn weight_before_step(&self) -> i32 {
        let index = self.step_index().unwrap_or(0).max(0) as usize;
        let steps = self.rollout.spec.canary_steps();
        let before = &steps[..steps.len().min(index)];
        before
            .iter()
            .rev()
            .find_map(|step| step.set_weight)
            .unwrap_or(0)
    }

    /// Whether the template or the steps are others than those the status was made for, or the
    /// strategy was another one.
    pub(crate) fn is_template_or_steps_changed(&self) -> bool {
        self.stored.current_step_hash != self.step_hash || self.is_template_changed()
    }

    /// Enters a pause step, and comes back when it is over.
    pub(crate) fn pause_at_step(&mut self) {
        let Some(pause) = self.current_step().and_then(|step| step.pause.clone()) else {
            return;
        };
        if self.is_aborted() || self.is_promote_full() {
            return;
        }
        match self.pause(PauseReason::CanaryPauseStep) {
            // Nobody has ended this pause while another one is still in force.
            None if !self.stored.controller_pause || !self.stored.pause_conditions.is_empty() => {
                self.decide("pause", "the step is a pause");
                self.pauses.add(PauseReason::CanaryPauseStep);
                self.wait_for_pause(self.now, pause.duration.as_ref());
            }
            None => {}
            Some(condition) => {
                let started = condition.start_time.0;
                self.wait_for_pause(started, pause.duration.as_ref());
            }
        }
    }

    /// Whether the current step is a pause that this pass has not completed.
    pub(crate) fn is_pause_step_outstanding(&self) -> bool {
        let paused = self.current_step().is_some_and(|step| step.pause.is_some());
        paused && self.status.current_step_index == self.step_index()
    }

    fn wait_for_pause(&mut self, started: jiff::Timestamp, duration: Option<&IntOrString>) {
        match duration.map(amount::seconds) {
            Some(seconds) => {
                let started = crate::rollout::time::whole_seconds_up(started);
                let until = plus_seconds(started, seconds);
                if until > self.now {
                    self.wake_at(until);
                    self.wait(WaitingOn::Pause { until });
                }
            }
            None => self.wait(WaitingOn::ManualPromotion {
                reason: PauseReason::CanaryPauseStep.to_string(),
            }),
        }
    }

    /// Completes the current step if it is done: the next index, and the event.
    pub(super) fn complete_step(&mut self) {
        // Held beside the plan that goes on being made.
        let rollout = Arc::clone(&self.rollout);
        let Some(index) = self.step_index() else {
            return;
        };
        let Some(step) = rollout.spec.canary_steps().get(index as usize) else {
            return;
        };
        if self.rollout.spec.is_paused() {
            self.wait(WaitingOn::Unpause);
            return;
        }
        if !self.is_step_done(step) {
            return;
        }
        let text = step_text(step);
        self.status.current_step_index = Some(index + 1);
        self.status.canary.current_step_analysis_run_status = None;
        self.status.canary.current_experiment.clear();
        self.event(
            api::constants::reason::ROLLOUT_STEP_COMPLETED,
            format!(
                "Rollout step {}/{} completed ({text})",
                index + 1,
                self.step_count()
            ),
        );
        self.decide(
            "complete-step",
            format!("step {} ({text}) is done", index + 1),
        );
        self.pauses.remove(PauseReason::CanaryPauseStep);
    }

    fn is_step_done(&mut self, step: &CanaryStep) -> bool {
        if let Some(pause) = &step.pause {
            return self.is_pause_over(pause.duration.as_ref());
        }
        if step.set_canary_scale.is_some() {
            return self.is_at_desired_sizes(true);
        }
        if let Some(weight) = step.set_weight {
            return self.is_at_desired_sizes(true)
                && self.is_weight_given(weight)
                && self.is_weight_verified()
                && !self.is_routing_broken;
        }
        if let Some(route) = route_of(step) {
            return self.is_route_done(&route);
        }
        if step.experiment.is_some() {
            return self.is_experiment_successful();
        }
        if step.analysis.is_some() {
            return self.is_step_analysis_successful();
        }
        false
    }

    fn is_pause_over(&self, duration: Option<&IntOrString>) -> bool {
        if !self.stored.controller_pause {
            return false;
        }
        let Some(condition) = self.pause(PauseReason::CanaryPauseStep) else {
            // Who resumes ends all pauses. With another one left (an analysis that can't tell),
            // this one has not begun yet; the peer takes it for ended.
            return self.stored.pause_conditions.is_empty() && !self.pauses.is_adding();
        };
        duration.is_some_and(|duration| {
            plus_seconds(condition.start_time.0, amount::seconds(duration)) <= self.now
        })
    }

    /// Whether the routers have the weight of the step after this pass, and have it for the new
    /// revision; as long as they were told none, they have 0. Where nobody could serve it, or
    /// nobody else could, it is not asked for.
    fn is_weight_given(&self, weight: i32) -> bool {
        let weights = self.weights.as_ref();
        let given = weights.map_or(0, |weights| weights.canary.weight);
        // Pods that nobody asks for and that are there all the same (a halt keeps them, and no
        // threshold misses them) are to go before a weight counts that they don't get.
        let has_pods = self.new_set().is_some_and(|new| new.replicas > 0);
        (given == weight && (weight == 0 || self.is_weight_ours()))
            || self.is_more_taken_over(given, weight)
            || self.is_alone()
            || (self.is_starved(weight) && !has_pods)
            || !self.has_router()
    }

    /// Whether what the canary's service gets after this pass is the new revision's, by the status
    /// and by where that service leads: a superseded one may have as much.
    fn is_weight_ours(&self) -> bool {
        let new = self.new_set().map_or("", OwnedSet::hash);
        let told = self.weights.as_ref();
        told.is_none_or(|weights| weights.canary.pod_template_hash == new)
            && self
                .behind_canary_service()
                .is_none_or(|behind| behind.hash() == new)
    }

    /// Nobody could serve it, or nobody else could.
    pub(super) fn is_pointless_to_route(&self, weight: i32) -> bool {
        self.is_alone() || self.is_starved(weight)
    }

    /// There is nobody to divide the traffic with.
    fn is_alone(&self) -> bool {
        self.replicas() == 0 || self.is_stable_lost() || self.is_fully_promoted()
    }

    /// The steps give the canary no pods for a weight: they have scaled it to nothing.
    fn is_starved(&self, weight: i32) -> bool {
        weight > 0 && self.routed_split(None).new == 0
    }

    fn is_weight_verified(&mut self) -> bool {
        let verified = self.weights.as_ref().and_then(|weights| weights.verified);
        if verified == Some(false) {
            let verified = self.snapshot.inbox.weights_verified.iter();
            let silent: Vec<&str> = verified
                .filter(|(_, verified)| !**verified)
                .map(|(router, _)| router.as_str())
                .collect();
            let router = silent.join(", ");
            self.wait(WaitingOn::WeightVerification { router });
        }
        verified != Some(false)
    }

    /// Whether both arms have the pods that the current step wants. `fresh`: by the weights of this
    /// pass, not by none at all.
    pub(super) fn is_at_desired_sizes(&mut self, fresh: bool) -> bool {
        let weights = if fresh { self.weights.clone() } else { None };
        let mut desired = self.desired_split(weights.as_ref());
        if self.weight_taken_over() > 0 {
            // It may come by both services, and pods stay for what both of them get.
            desired.new = desired.new.max(self.pods_for_lent_service());
        }
        let threshold = self.threshold();
        let is_outdated = fresh && self.new_set().is_some_and(OwnedSet::is_outdated);
        if is_outdated || !meets(threshold.as_ref(), self.new_set(), desired.new) {
            if let Some(new) = self.new {
                let available = self.sets[new].available();
                self.wait_for_size(new, (available, desired.new));
            }
            return false;
        }
        if let Some(stable) = self.stable.filter(|_| self.stable != self.new)
            && !self.is_dynamic_stable()
        {
            if self.is_stood_in_for(stable, desired.stable) {
                return true;
            }
            let set = &self.sets[stable];
            if set.replicas != desired.stable || set.pods() != desired.stable {
                let available = set.available();
                self.wait_for_size(stable, (available, desired.stable));
                return false;
            }
        }
        // So it is with all that are there while no stable pod is ready.
        let is_broken = |set: &OwnedSet| set.replicas > 0 && set.ready() == 0;
        !self.is_basic_canary()
            || self.stable_set().is_some_and(is_broken)
            || self
                .others()
                .into_iter()
                .all(|index| self.sets[index].available() == 0)
    }

    /// Without a router: whether superseded pods serve in the place of stable ones of which some
    /// are not ready, and no more of them than it takes. The floor keeps them until those are, and
    /// they may leave them no room to come: the fix of a bad stable revision waits for neither.
    fn is_stood_in_for(&self, stable: usize, wanted: i32) -> bool {
        let set = &self.sets[stable];
        let is_settled = set.is_observed() && set.replicas == set.live_replicas();
        let is_bad = set.ready() < set.replicas && set.replicas <= wanted;
        if !self.is_basic_canary() || !is_settled || !is_bad {
            return false;
        }
        let others = self.others().into_iter();
        let serving: i32 = others.map(|index| self.sets[index].lasting()).sum();
        let all: i32 = self.sets.iter().map(OwnedSet::lasting).sum();
        let (_, unavailable) = self.surge_and_unavailable();
        let missing = wanted - set.available();
        (1..=missing).contains(&serving) && all <= self.replicas() - unavailable
    }

    pub(super) fn wait_for_size(&mut self, index: usize, (have, want): (i32, i32)) {
        let on = WaitingOn::Replicas {
            replica_set: self.sets[index].name().to_owned(),
            have,
            want,
        };
        self.wait(on);
    }

    /// The threshold of the current step, or that of the strategy.
    pub(super) fn threshold(&self) -> Option<ReplicaProgressThreshold> {
        let of_step = self
            .current_step()
            .and_then(|step| step.replica_progress_threshold.clone());
        of_step.or_else(|| {
            let canary = self.rollout.spec.canary();
            canary.and_then(|canary| canary.replica_progress_threshold.clone())
        })
    }

    /// Whether the new ReplicaSet is far enough on its way to `desired` pods.
    pub(super) fn is_new_at(&self, desired: i32) -> bool {
        meets(self.threshold().as_ref(), self.new_set(), desired)
    }

    pub(super) fn ceil_share(&self, weight: i32) -> i32 {
        ceil_share(self.replicas(), weight, self.canary().max_traffic_weight())
    }
}

/// `replicaProgressThreshold` (§3.11). Without one all pods must be there.
pub(super) fn meets(
    threshold: Option<&ReplicaProgressThreshold>,
    set: Option<&OwnedSet>,
    desired: i32,
) -> bool {
    let Some(set) = set else {
        return desired == 0;
    };
    // Of pods that are about to go, none is progress.
    let available = set.lasting();
    match threshold.filter(|threshold| threshold.value >= 0) {
        None => set.replicas == desired && set.live_replicas() == desired && available == desired,
        Some(threshold) => match threshold.type_ {
            ReplicaProgressThresholdType::Percent => {
                let share = f64::from(available) / f64::from(desired.max(1)) * 100.0;
                // No more than all pods can come.
                let enough = f64::from(threshold.value.min(100));
                desired == 0 || share >= enough - 1e-10
            }
            ReplicaProgressThresholdType::Pods => available >= threshold.value.min(desired),
        },
    }
}
