//! The rules of change: what one status may say after another.

use super::facts::canary_service;
use super::{Evidence, Facts, Passed};
use crate::time::millis;
use api::constants::{condition, reason};
use api::{CanaryStrategy, PauseReason, Rollout, RolloutStatus, SetCanaryScale};
use engine::rollout::canary::split;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One status that is about to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The Rollout that was planned for, with the status as it was.
    pub planned: &'a Rollout,
    pub after: &'a RolloutStatus,
    /// The world as the planner saw it.
    pub seen: &'a Facts,
    /// What it saw analyses and experiments to have come to.
    pub evidence: &'a Evidence,
    /// When it was planned: a pause lasts from one plan to another, however slow the writes are.
    pub at_ms: i64,
    /// How far clocks may differ.
    pub skew_ms: i64,
}

/// When the pauses that go on began, by reason.
pub type Pauses = BTreeMap<&'static str, i64>;

/// That of a Rollout which has none yet.
static NO_STATUS: LazyLock<RolloutStatus> = LazyLock::new(RolloutStatus::default);

pub(super) const PAUSE_STEP: &str = "CanaryPauseStep";
/// Somebody has ended a pause since one began.
pub(super) const RESUMED: &str = "resumed";
pub(super) const BLUE_GREEN_PAUSE: &str = "BlueGreenPause";

fn is_paused(status: &RolloutStatus, reason: PauseReason) -> bool {
    let mut pauses = status.pause_conditions.iter();
    pauses.any(|pause| pause.reason == reason)
}

impl<'a> Change<'a> {
    /// The status that was planned with.
    pub(super) fn before(&self) -> &'a RolloutStatus {
        let Some(status) = &self.planned.status else {
            return &NO_STATUS;
        };
        status
    }
}

impl Change<'_> {
    /// What is wrong with the change.
    pub fn breaches(&self, pauses: &Pauses) -> Vec<String> {
        let before = self.before();
        let mut found = Vec::new();
        found.extend(self.generation());
        found.extend(self.step(before, pauses));
        found.extend(self.start(before));
        found.extend(self.paused(before));
        found.extend(self.undecided(before));
        found.extend(self.promotion(before));
        found.extend(self.abort(before));
        found
    }

    /// Notes when pauses begin and end.
    pub fn note(&self, pauses: &mut Pauses) {
        let reasons = [
            (PAUSE_STEP, PauseReason::CanaryPauseStep),
            (BLUE_GREEN_PAUSE, PauseReason::BlueGreenPause),
        ];
        let before = self.before();
        for (name, reason) in reasons {
            match (is_paused(before, reason), is_paused(self.after, reason)) {
                (false, true) => {
                    pauses.insert(name, self.at_ms);
                    pauses.remove(RESUMED);
                }
                (_, false) => {
                    pauses.remove(name);
                }
                (true, true) => {}
            }
        }
    }

    /// Whether the update begins anew: with another revision, or with other steps.
    fn is_anew(&self, before: &RolloutStatus) -> bool {
        before.current_pod_hash != self.after.current_pod_hash
            || before.current_step_hash != self.after.current_step_hash
    }

    /// Whether the current revision is one to go back to at once. What somebody has aborted stays
    /// so; but who begins anew takes the abort back (rollouts.md §3.15), as a retry does.
    pub(super) fn is_within_window(&self, before: &RolloutStatus) -> bool {
        let new = &self.after.current_pod_hash;
        let is_taken_back = self.is_anew(before) && !self.after.abort;
        let stays_aborted = before.abort && !is_taken_back;
        !stays_aborted && super::rules::is_within_window(self.planned, (self.seen, before), new)
    }

    fn generation(&self) -> Option<String> {
        let generation = self.planned.metadata.generation.unwrap_or(0);
        let told = &self.after.observed_generation;
        // A pass that only writes defaults, or an object that is going, tells nothing new.
        let kept = self.before().observed_generation == *told;
        let ahead = told.parse::<i64>().is_ok_and(|told| told > generation);
        (ahead || (*told != generation.to_string() && !kept)).then(|| {
            format!("observedGeneration {told} is not the generation {generation} that was planned")
        })
    }

    /// A new revision begins with the first step, or needs none; and so do other steps. Those that
    /// are done as soon as they begin may be told of together with it; pauses and analyses never
    /// are, unless they have been passed by the same revision.
    fn start(&self, before: &RolloutStatus) -> Option<String> {
        let steps = self.planned.spec.canary_steps();
        let is_new = before.current_pod_hash != self.after.current_pod_hash;
        let begins = self.is_anew(before);
        let index = usize::try_from(self.after.current_step_index.unwrap_or(0)).ok()?;
        let mut done = steps.get(..index)?.iter().zip(0..);
        let skips = done.any(|(step, number)| {
            step.pause.is_some()
                || (step.analysis.is_some()
                    && (is_new || !self.evidence.passed.contains(&Passed::Step(number))))
                || (step.experiment.is_some() && (is_new || !self.evidence.tried.contains(&number)))
        });
        let fast = before.stable_rs.is_empty()
            || self.after.current_pod_hash == before.stable_rs
            || self.after.stable_rs == self.after.current_pod_hash
            || self.is_within_window(before);
        let begins_late = index < steps.len() || (!steps.is_empty() && !fast);
        let what = if is_new {
            "a new revision"
        } else {
            "a list of other steps"
        };
        (begins && begins_late && skips)
            .then(|| format!("{what} begins at step {index} of {}", steps.len()))
    }

    /// What a user has paused does not move on.
    fn paused(&self, before: &RolloutStatus) -> Option<String> {
        let same = !self.is_anew(before);
        // The window is there for those who want back at once.
        let in_window = self.is_within_window(before);
        let is_update = same && !in_window && !before.stable_rs.is_empty();
        if !self.planned.spec.is_paused() || !is_update {
            return None;
        }
        // The last jump is a move like the others, and who asks for all of them at once gets none
        // before the end of the pause. Blue-green has moved when it has switched.
        if self.planned.spec.canary().is_some() && before.stable_rs != self.after.stable_rs {
            let new = &self.after.stable_rs;
            return Some(format!("{new} is promoted in a user's pause"));
        }
        if self.after.abort || before.abort || before.promote_full {
            return None;
        }
        let weight = |status: &RolloutStatus| {
            let weights = status.canary.weights.as_ref();
            weights.map_or(0, |weights| weights.canary.weight)
        };
        let index = |status: &RolloutStatus| status.current_step_index.unwrap_or(0);
        let updates = before.stable_rs != before.current_pod_hash;
        if updates && index(self.after) > index(before) {
            return Some(format!(
                "step {} begins in a user's pause",
                index(self.after)
            ));
        }
        let alone = self.seen.set(&before.stable_rs).is_none();
        // What was lost with its pods comes back with them.
        let steps = self.planned.spec.canary_steps();
        let index_before = usize::try_from(index(before)).unwrap_or(0);
        let mut done = steps[..steps.len().min(index_before)].iter().rev();
        let given = done.find_map(|step| step.set_weight).unwrap_or(0);
        // What the route says, whoever turned it, is recorded while it may not move. Of another
        // whole, parts are rounded up.
        let service = canary_service(self.planned, Some(before)).unwrap_or_default();
        let canary = self.planned.spec.canary();
        let whole = canary.map_or(100, CanaryStrategy::max_traffic_weight);
        let live = self.seen.share_on_record(service, whole).unwrap_or(0);
        let had = super::rules::weight_on_record(before, whole);
        let allowed = had.max(given).max(live);
        let is_changed = weight(self.after) != weight(before);
        (updates && !alone && is_changed && weight(self.after) > allowed).then(|| {
            format!(
                "the canary's weight goes from {} to {} in a user's pause",
                weight(before),
                weight(self.after)
            )
        })
    }

    /// Only people decide where analyses and experiments could not.
    fn undecided(&self, before: &RolloutStatus) -> Option<String> {
        let same = !self.is_anew(before);
        // Blue-green knows no experiments, and has moved when it has switched. For a canary the
        // promotion is the last jump.
        let of_experiments = self.planned.spec.canary().is_some();
        let jumps = of_experiments
            && before.stable_rs != self.after.stable_rs
            && !before.stable_rs.is_empty();
        let promoted = self.after.stable_rs == self.after.current_pod_hash && !jumps;
        let asked = self.after.abort
            || super::rules::is_promoted_in_full(before)
            || self.is_within_window(before);
        if !same || promoted || asked {
            return None;
        }
        let mut reasons = vec![PauseReason::InconclusiveAnalysisRun];
        reasons.extend(of_experiments.then_some(PauseReason::InconclusiveExperiment));
        let mut reasons = reasons.into_iter();
        let ended = reasons.find(|own| is_paused(before, *own) && !is_paused(self.after, *own))?;
        Some(format!("the pause {ended} ends though nobody ended it"))
    }

    fn step(&self, before: &RolloutStatus, pauses: &Pauses) -> Option<String> {
        let steps = self.planned.spec.canary_steps();
        let count = steps.len() as i32;
        let same = !self.is_anew(before);
        if count == 0 || !same {
            return None;
        }
        let from = before.current_step_index.unwrap_or(0).clamp(0, count);
        let to = self.after.current_step_index.unwrap_or(0).clamp(0, count);
        if from == to || (to == 0 && self.after.abort) {
            return None;
        }
        // Nobody holds a revision to its steps that is stable already, or that no other one is left
        // beside; one that becomes stable has done them all.
        let promoted = self.after.stable_rs == self.after.current_pod_hash;
        let alone = before.stable_rs == before.current_pod_hash
            || self.seen.set(&before.stable_rs).is_none();
        let skips = super::rules::is_promoted_in_full(before)
            || self.is_within_window(before)
            || (promoted && alone);
        if to == count && skips {
            return None;
        }
        // Who has promoted all of it holds it to no step any more.
        if to != from + 1 || super::rules::is_promoted_in_full(before) {
            return Some(format!("the step index goes from {from} to {to}"));
        }
        if super::rules::is_given_up(before) {
            return Some(format!("step {from} ends in an aborted update"));
        }
        self.step_end(before, from, pauses)
    }

    /// Whether a step may end with another weight than its own.
    fn may_differ(&self, before: &RolloutStatus, (service, weight): (&str, i32)) -> bool {
        let new = self.seen.set(&self.after.current_pod_hash);
        let scale = super::rules::scale_in_force(self.planned, before);
        let starved = scale.is_some() && new.is_none_or(|set| set.size == 0);
        // With the stable pods gone for good the canary has everything, whatever the step says.
        // While none of them answers it may have more; and while too few do for what the step
        // leaves them, more than its steps have given it: what it has taken over.
        let replicas = self.seen.replicas();
        let canary = self.planned.spec.canary();
        let whole = canary
            .map_or(100, CanaryStrategy::max_traffic_weight)
            .max(1);
        let needed = (replicas * (whole - weight) / whole).max(1);
        let steps = self.planned.spec.canary_steps();
        let index = usize::try_from(before.current_step_index.unwrap_or(0)).unwrap_or(0);
        let done = steps.iter().take(index.saturating_add(1));
        let given = done.filter_map(|step| step.set_weight).max();
        let most = given.map_or(weight, |given| given.max(weight));
        // While the weight waits, the route may have parts of a whole from before an edit.
        let live = self.seen.share_on_record(service, whole);
        let stable = self.seen.set(&before.stable_rs);
        let alone = stable.is_none_or(|set| match set.ready {
            0 => live > Some(weight),
            ready => ready < needed && live > Some(most),
        });
        starved || alone || replicas == 0
    }

    /// Whether the step may end now.
    fn step_end(&self, before: &RolloutStatus, index: i32, pauses: &Pauses) -> Option<String> {
        let steps = self.planned.spec.canary_steps();
        let step = &steps[usize::try_from(index).ok()?];
        if let Some(pause) = &step.pause {
            let duration = match &pause.duration {
                None => None,
                Some(api::IntOrString::Int(seconds)) => Some(i64::from(*seconds)),
                Some(api::IntOrString::String(text)) => {
                    Some(i64::from(gocompat::duration::pause_seconds(text)))
                }
            };
            let rule = format!("pause step {index}");
            return self.pause_end(before, &rule, (PAUSE_STEP, duration), pauses);
        }
        let of_weight = step.set_weight;
        let of_weight = of_weight.and_then(|weight| self.weight_end(before, (index, weight)));
        let of_scale = || {
            let scale = step.set_canary_scale.as_ref()?;
            self.scale_end(before, (index, scale))
        };
        let of_route = || self.route_end(before, index as usize);
        let found = of_weight.or_else(of_scale).or_else(of_route);
        if found.is_some() {
            return found;
        }
        if step.experiment.is_some() && !self.evidence.tried.contains(&index) {
            return Some(format!(
                "experiment step {index} ends without a successful experiment"
            ));
        }
        if step.analysis.is_some() && !self.evidence.passed.contains(&Passed::Step(index)) {
            return Some(format!(
                "analysis step {index} ends without a successful run"
            ));
        }
        None
    }

    /// Whether a `setWeight` step may end now.
    fn weight_end(&self, before: &RolloutStatus, (index, weight): (i32, i32)) -> Option<String> {
        let ready = self.seen.available_of(&self.after.current_pod_hash);
        let least = |wanted| super::rules::least(self.planned, index as usize, wanted);
        let canary = self.planned.spec.canary()?;
        let (replicas, max_weight) = (self.seen.replicas(), canary.max_traffic_weight());
        if self.planned.spec.traffic_routing().is_some() {
            let scale = super::rules::scale_in_force(self.planned, before);
            let service = canary_service(self.planned, Some(before)).unwrap_or_default();
            let live = self.seen.weight(service);
            let needed = replicas * weight / max_weight.max(1);
            let scaled = scale.map(|own| own.pods(self.seen, max_weight));
            let needed = scaled.map_or(needed, |pods| needed.min(pods));
            if live != Some(weight) && !self.may_differ(before, (service, weight)) {
                return Some(format!(
                    "setWeight step {index} ends at {live:?} instead of {weight}"
                ));
            }
            return (ready < least(needed))
                .then(|| format!("setWeight step {index} ends with {ready} available pods"));
        }
        if before.current_pod_hash == before.stable_rs {
            return None;
        }
        let (surge, _) = super::rules::limits(self.planned, replicas)?;
        // How many pods a weight is, is the arithmetic's business: golden vectors hold it.
        let needed = split::approximate(replicas, weight, max_weight, surge).new;
        (ready < least(needed))
            .then(|| format!("setWeight step {index} ends with {ready} available pods of {needed}"))
    }

    /// Whether a `setCanaryScale` step may end now.
    fn scale_end(
        &self,
        before: &RolloutStatus,
        (index, scale): (i32, &SetCanaryScale),
    ) -> Option<String> {
        if scale.match_traffic_weight == Some(true) {
            return self.matched_end(before, index);
        }
        let ready = self.seen.available_of(&self.after.current_pod_hash);
        let asked = self.pods_asked_for(scale, before)?;
        (ready < super::rules::least(self.planned, index as usize, asked)).then(|| {
            format!("setCanaryScale step {index} ends with {ready} available pods of {asked}")
        })
    }

    /// The pods that a `setCanaryScale` asks for, whatever the traffic is: so many, or a part of
    /// the replicas where a router divides the traffic.
    fn pods_asked_for(&self, scale: &SetCanaryScale, before: &RolloutStatus) -> Option<i32> {
        // With the stable pods gone there is nothing to scale against.
        let is_update = before.current_pod_hash != before.stable_rs;
        self.seen.set(&before.stable_rs).filter(|_| is_update)?;
        let canary = self.planned.spec.canary()?;
        let whole = canary.max_traffic_weight().max(1);
        let weight = scale.weight.filter(|_| canary.traffic_routing.is_some());
        let part = weight.map(|weight| self.seen.replicas() * weight / whole);
        scale.replicas.or(part)
    }

    /// Whether a `setCanaryScale` that follows the weight may end now: with the pods that the
    /// weight needs, and no others. With a threshold, as many as that says are enough, whatever
    /// the size is by then; and while too few stable pods answer for what the weight leaves them,
    /// the canary has pods for what it has taken over as well.
    fn matched_end(&self, before: &RolloutStatus, index: i32) -> Option<String> {
        let canary = self.planned.spec.canary()?;
        let is_alone =
            before.current_pod_hash == before.stable_rs || self.is_gone(&before.stable_rs);
        if is_alone || canary.traffic_routing.is_none() {
            return None;
        }
        let step = usize::try_from(index).ok()?;
        let (replicas, whole) = (self.seen.replicas(), canary.max_traffic_weight().max(1));
        let weight = super::rules::weight_at(self.planned, step);
        let pods = split::ceil_share(replicas, weight, whole);
        let wanted = split::at_least_min_pods(pods, canary.min_pods_per_replica_set, replicas);
        let new = self.seen.set(&self.after.current_pod_hash);
        let (size, ready) = new.map_or((0, 0), |set| (set.size, set.available));
        let left = whole - weight;
        let needed = (replicas * left / whole).max(i32::from(left > 0));
        let is_more = size > wanted && self.seen.ready_of(&before.stable_rs) >= needed;
        let is_exact = super::rules::threshold(self.planned, step).is_none();
        let is_odd = is_exact && (size < wanted || is_more);
        let is_short = ready < super::rules::least(self.planned, step, wanted);
        (is_odd || is_short).then(|| {
            let has = format!("{size} pods, {ready} of them available");
            format!("setCanaryScale step {index} ends with {has}, and its weight needs {wanted}")
        })
    }

    /// A pause ends when its time is over or somebody ends it.
    pub(super) fn pause_end(
        &self,
        before: &RolloutStatus,
        rule: &str,
        (reason, duration_s): (&'static str, Option<i64>),
        pauses: &Pauses,
    ) -> Option<String> {
        let resumed = before.controller_pause && before.pause_conditions.is_empty();
        let asked = super::rules::is_promoted_in_full(before);
        if (resumed && pauses.contains_key(RESUMED)) || asked {
            return None;
        }
        let Some(began) = pauses.get(reason) else {
            return Some(format!("{rule} ends before it began"));
        };
        let waited = self.at_ms - began;
        match duration_s {
            None => Some(format!("{rule} ends though nobody ended it")),
            Some(duration_s) if waited + self.skew_ms < duration_s * 1000 => {
                Some(format!("{rule} of {duration_s} s ends after {waited} ms"))
            }
            Some(_) => None,
        }
    }

    fn promotion(&self, before: &RolloutStatus) -> Option<String> {
        let (old, new) = (&before.stable_rs, &self.after.stable_rs);
        if old == new || old.is_empty() {
            return None;
        }
        if *new != self.after.current_pod_hash {
            return Some(format!(
                "{new} becomes stable but is not the current revision"
            ));
        }
        // Who gives an update up, and says nothing else, does not get it. Other steps begin it anew
        // (rollouts.md §3.8), and if there are none of them it may be complete at once.
        // Blue-green goes back to older pods all the same, once the service leads to them.
        let is_given_up = super::rules::is_given_up(before) && !self.is_anew(before);
        let stays_so = is_given_up && self.seen.set(old).is_some();
        let goes_back = self.planned.spec.blue_green().is_some()
            && (self.is_gone(old) || self.is_older(new, old));
        if stays_so && *new == before.current_pod_hash && !goes_back {
            return Some(format!("{new} becomes stable though it was aborted"));
        }
        if self.planned.spec.blue_green().is_some() {
            return self.promotion_of_active(before);
        }
        let analysis = self.planned.spec.canary()?.analysis.as_ref();
        let asked = super::rules::is_promoted_in_full(before) || self.is_within_window(before);
        // What was begun before other steps tells nothing of them: not later, and not in the very
        // status that they begin with, which may be the last one where they are done at once.
        let is_doomed = self.evidence.doomed && !self.is_anew(before);
        if analysis.is_some() && is_doomed && !asked {
            return Some(format!(
                "{new} becomes stable though its analysis has failed"
            ));
        }
        let ready = self.seen.available_of(new);
        let past = self.planned.spec.canary_steps().len();
        let index = usize::try_from(before.current_step_index.unwrap_or(0)).unwrap_or(0);
        let least = |step| super::rules::least(self.planned, step, self.seen.replicas());
        (ready < least(past).min(least(index))).then(|| {
            format!(
                "{new} becomes stable with {ready} available pods of {}",
                self.seen.replicas()
            )
        })
    }

    fn abort(&self, before: &RolloutStatus) -> Option<String> {
        if self.after.abort && !before.abort && !self.evidence.failed && !self.is_too_late(before) {
            return Some("an update is aborted for no reason".to_owned());
        }
        let moved_on = self.is_anew(before) || self.after.stable_rs == self.after.current_pod_hash;
        let is_forgotten = super::rules::is_given_up(before) && !self.after.abort && !moved_on;
        is_forgotten.then(|| "an abort is forgotten".to_owned())
    }

    /// Whether the update may be given up because it takes too long: nothing has moved for
    /// `progressDeadlineSeconds`, and the step is none that takes its time.
    fn is_too_late(&self, before: &RolloutStatus) -> bool {
        let spec = &self.planned.spec;
        let mut conditions = before.conditions.iter();
        let progressing = conditions.find(|own| own.type_ == condition::PROGRESSING);
        let Some(progressing) = progressing.filter(|_| spec.aborts_at_progress_deadline()) else {
            return false;
        };
        let index = usize::try_from(before.current_step_index.unwrap_or(0)).unwrap_or(0);
        let step = spec.canary_steps().get(index);
        let takes_time = step.is_some_and(|step| {
            step.pause.is_some() || step.analysis.is_some() || step.experiment.is_some()
        });
        let late = millis(progressing.last_update_time.0)
            + i64::from(spec.progress_deadline_s()) * 1_000
            <= self.at_ms + self.skew_ms;
        let exceeded = progressing.reason == reason::PROGRESS_DEADLINE_EXCEEDED;
        !takes_time && (late || exceeded)
    }
}
