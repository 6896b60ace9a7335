//! Sizes of ReplicaSets: the primitives that both strategies share (rollouts.md §3.4, §3.5).

use super::context::Context;
use super::replica_set::{OwnedSet, rfc3339_seconds};
use super::time::plus_seconds;
use api::constants::{DESIRED_REPLICAS_ANNOTATION, reason};
use jiff::Timestamp;
use plan::WaitingOn;

/// A delay before pods go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// Seconds; 0 is "at once".
    Seconds(i64),
    /// They stay.
    Never,
}

impl Context<'_> {
    /// Gives a ReplicaSet `replicas` pods; whether that changes its size. A restart does not keep
    /// it from that: its evictions may be refused for ever, perhaps until there are more pods.
    /// Those of a pass that takes pods away are put off instead, so that the two cannot add up: see
    /// [`Self::carry_out_evictions`].
    ///
    /// Pods for traffic that a router has which the spec no longer names are kept, whatever is
    /// asked for.
    pub(crate) fn scale(&mut self, index: usize, replicas: i32) -> bool {
        let replicas = self.with_pods_of_former(index, replicas);
        let rollout_replicas = self.replicas();
        let delays_on_abort = self.delays_scale_down_on_abort();
        let set = &mut self.sets[index];
        let old = set.replicas;
        let in_sync = set.desired_annotation() == Some(rollout_replicas)
            && !(rollout_replicas == 0 && set.has_deadline());
        if old == replicas && in_sync {
            return false;
        }
        set.replicas = replicas;
        set.annotate(DESIRED_REPLICAS_ANNOTATION, &rollout_replicas.to_string());
        if replicas == 0 && !delays_on_abort {
            set.remove_deadline();
        }
        if old == replicas {
            return false;
        }
        let direction = if replicas > old { "up" } else { "down" };
        let (name, revision) = (set.name().to_owned(), set.revision());
        self.event_of(
            self.replica_set_key(&name),
            reason::SCALING_REPLICA_SET,
            format!(
                "Scaled {direction} ReplicaSet {name} (revision {revision}) from {old} to {replicas}"
            ),
        );
        self.decide("scale", format!("{name}: {old} -> {replicas} pods"));
        true
    }

    /// The annotation that says for how many replicas of the Rollout a set was scaled.
    pub(crate) fn sync_desired_annotation(&mut self, index: usize) {
        let replicas = self.replicas().to_string();
        self.sets[index].annotate(DESIRED_REPLICAS_ANNOTATION, &replicas);
    }

    /// Cancels a scheduled scale-down of the sets that are in use.
    pub(crate) fn keep_current_sets(&mut self) {
        if !self.delays_scale_down_on_abort()
            && !self.is_going_back_to_warm_pods()
            && let Some(new) = self.new
        {
            self.sets[new].remove_deadline();
        }
        if let Some(stable) = self.stable
            && (self.stable != self.new || !self.delays_scale_down_on_abort())
        {
            self.sets[stable].remove_deadline();
        }
    }

    /// `abortScaleDownDelaySeconds`, if the author wrote it.
    pub(crate) fn explicit_abort_delay_s(&self) -> Option<i32> {
        let strategy = &self.rollout.spec.strategy;
        match (&strategy.blue_green, &strategy.canary) {
            (Some(blue_green), _) => blue_green.abort_scale_down_delay_seconds,
            (None, Some(canary)) => canary.abort_scale_down_delay_seconds,
            (None, None) => None,
        }
    }

    /// How long the new pods stay after an abort: an explicit 0 means for ever.
    pub(crate) fn abort_delay(&self) -> Delay {
        match self.rollout.spec.abort_scale_down_delay_s() {
            Some(seconds) => Delay::Seconds(i64::from(seconds.max(0))),
            None => Delay::Never,
        }
    }

    pub(crate) fn is_basic_canary(&self) -> bool {
        let canary = self.rollout.spec.strategy.canary.as_ref();
        canary.is_some_and(|canary| canary.traffic_routing.is_none())
    }

    pub(crate) fn is_dynamic_stable(&self) -> bool {
        let canary = self.rollout.spec.strategy.canary.as_ref();
        canary.is_some_and(|canary| canary.traffic_routing.is_some() && canary.scales_stable())
    }

    /// Whether the new pods are kept for a while after an abort (§3.5).
    pub(crate) fn delays_scale_down_on_abort(&self) -> bool {
        self.is_aborted()
            && self.stable.is_some()
            && self.stable != self.new
            && !self.is_basic_canary()
            && self.abort_delay() != Delay::Never
            && !(self.is_dynamic_stable() && self.explicit_abort_delay_s().is_none())
    }

    /// Sizes the new ReplicaSet; whether its size changed. `target` is what the strategy wants, and
    /// `asked` are the pods for requests that an update still gets though it was given up: as long
    /// as any answers, the delay takes the others only. (Stable pods may be lost again, or weights
    /// turned, after it began.)
    pub(crate) fn scale_new(&mut self, target: i32, asked: i32) -> bool {
        let Some(new) = self.new else {
            return false;
        };
        if !self.delays_scale_down_on_abort() {
            return self.scale(new, target);
        }
        let now = self.now;
        match self.deadline_of_abort(new) {
            Some(deadline) if deadline <= now => {
                let set = &self.sets[new];
                let kept = if set.ready() > 0 {
                    asked.min(set.replicas)
                } else {
                    0
                };
                self.scale(new, kept)
            }
            Some(_) => {
                self.sync_desired_annotation(new);
                if self.sets[new].replicas > 0 {
                    self.wake_for_scale_down(new);
                }
                false
            }
            None => {
                self.sync_desired_annotation(new);
                let stable = self.stable_set().filter(|stable| !stable.is_outdated());
                let stable_available = stable.map_or(0, OwnedSet::lasting);
                if stable_available < self.replicas() {
                    return false;
                }
                if let Delay::Seconds(seconds) = self.abort_delay()
                    && self.sets[new].replicas > 0
                {
                    let deadline = plus_seconds(now, seconds);
                    self.sets[new].set_deadline(deadline);
                    self.wake_for_scale_down(new);
                }
                false
            }
        }
    }

    /// The deadline that a set has because of the abort. One from before it (of pods that an update
    /// went back to) is none: the abort has a delay of its own.
    fn deadline_of_abort(&self, index: usize) -> Option<Timestamp> {
        let aborted_at = self.stored.aborted_at.as_ref()?.0;
        let Delay::Seconds(delay) = self.abort_delay() else {
            return None;
        };
        let deadline = self.sets[index].deadline()?;
        (deadline >= plus_seconds(aborted_at, delay)).then_some(deadline)
    }

    /// Comes back when the deadline of a ReplicaSet passes.
    fn wake_for_scale_down(&mut self, index: usize) {
        let Some(until) = self.sets[index].deadline() else {
            return;
        };
        let replica_set = self.sets[index].name().to_owned();
        self.wake_at(until);
        self.wait(WaitingOn::ScaleDownDelay { replica_set, until });
    }

    /// The size of a superseded ReplicaSet: it stays at `keep` until its delay has passed. `count`
    /// is how many stayed so far; more than `scaleDownDelayRevisionLimit` do not. A delay of 0
    /// scales down at once.
    pub(crate) fn size_with_delay(&mut self, index: usize, count: &mut i32, keep: i32) -> i32 {
        let limit = self.scale_down_delay_revision_limit();
        let size = self.sets[index].replicas;
        match self.sets[index].deadline() {
            None => {
                let delay = i64::from(self.rollout.spec.scale_down_delay_s().max(0));
                if size == 0 || *count >= limit || delay == 0 {
                    return 0;
                }
                *count += 1;
                let deadline = plus_seconds(self.now, delay);
                self.sets[index].set_deadline(deadline);
                let (name, until) = (
                    self.sets[index].name().to_owned(),
                    rfc3339_seconds(deadline),
                );
                self.decide(
                    "delay-scale-down",
                    format!("{name} keeps its pods until {until}"),
                );
                self.wake_for_scale_down(index);
                size
            }
            Some(deadline) => {
                *count += 1;
                if *count > limit || deadline <= self.now {
                    return 0;
                }
                self.wake_for_scale_down(index);
                keep
            }
        }
    }

    fn scale_down_delay_revision_limit(&self) -> i32 {
        let strategy = &self.rollout.spec.strategy;
        let limit = match (&strategy.blue_green, &strategy.canary) {
            (Some(blue_green), _) => blue_green.scale_down_delay_revision_limit,
            (None, Some(canary)) => canary.scale_down_delay_revision_limit,
            (None, None) => None,
        };
        limit.unwrap_or(i32::MAX)
    }

    /// Whether anything still points at a ReplicaSet: the status, a service, a weight (§3.4). Ping
    /// and pong services count too, which the peer forgets, but for the one that gets nothing.
    pub(crate) fn is_referenced(&self, index: usize) -> bool {
        let hash = self.sets[index].hash();
        if hash.is_empty() {
            return true;
        }
        let stored = &self.stored;
        let weights = stored.canary.weights.iter().chain(&self.weights);
        let mut weighted =
            weights.flat_map(|w| [&w.canary.pod_template_hash, &w.stable.pod_template_hash]);
        let in_status = [
            &stored.stable_rs,
            &stored.current_pod_hash,
            &stored.blue_green.active_selector,
            &stored.blue_green.preview_selector,
        ];
        in_status.into_iter().any(|referenced| referenced == hash)
            || weighted.any(|referenced| referenced == hash)
            || self.is_selected(hash)
    }

    /// Whether a service that gets traffic selects that hash.
    fn is_selected(&self, hash: &str) -> bool {
        let mut services = self.referenced_services();
        services.any(|service| {
            self.live_selector(service) == hash && self.idle_service().as_ref() != Some(service)
        })
    }
}
