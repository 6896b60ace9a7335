//! The rules of sizes: how few pods an action may give a ReplicaSet.

use super::{Change, SetFacts};
use crate::time::millis;
use engine::rollout::canary::split;

/// Stored times have whole seconds.
const SECOND_MS: i64 = 1_000;

impl Change<'_> {
    /// What is wrong with giving the ReplicaSet of this hash `size` pods: the rule, and how.
    pub(super) fn size(&self, hash: &str, size: i32) -> Option<(&'static str, String)> {
        let set = self.seen.set(hash)?;
        if size == set.size {
            return None;
        }
        let too_few = self.too_few_of_an_arm(set, size);
        let too_few = too_few.or_else(|| self.too_few_that_stay(set, size));
        let odd = too_few.or_else(|| self.too_many_for_a_step(set, size));
        odd.or_else(|| {
            if size > set.size {
                None
            } else if self.is_superseded(hash) {
                self.before_their_time(set, size)
            } else {
                self.before_the_abort_delay(set, size)
            }
        })
    }

    /// Neither the stable revision nor the current one, whichever that is by now.
    fn is_superseded(&self, hash: &str) -> bool {
        let before = self.before();
        let in_use = [
            &before.stable_rs,
            &before.current_pod_hash,
            &self.after.stable_rs,
            &self.after.current_pod_hash,
        ];
        in_use.into_iter().all(|own| own != hash)
    }

    /// Pods of a superseded revision stay until their deadline. Fewer replicas, a limit of
    /// revisions, and pods that are not available are reasons to give some up before.
    fn before_their_time(&self, set: &SetFacts, size: i32) -> Option<(&'static str, String)> {
        let spec = &self.planned.spec;
        let canary = spec.canary();
        let blue_green = spec.blue_green();
        let before = self.before();
        let kept = set.size.min(self.seen.replicas());
        let limited = blue_green.and_then(|own| own.scale_down_delay_revision_limit);
        let limited = limited.or_else(|| canary?.scale_down_delay_revision_limit);
        let is_dynamic = canary.is_some_and(|own| own.dynamic_stable_scale == Some(true));
        let broken = canary.is_some() && size >= set.available;
        let unrouted = canary.is_some() && spec.traffic_routing().is_none();
        if size >= kept || limited.is_some() || is_dynamic || broken || unrouted {
            return None;
        }
        let what = |why: &str| {
            let rule = "old pods go before their time";
            let text = format!("{} from {} to {size}: {why}", set.hash, set.size);
            Some((rule, text))
        };
        if let Some(deadline) = set.deadline() {
            let left = millis(deadline) - self.at_ms - self.skew_ms;
            return (left > SECOND_MS)
                .then(|| what(&format!("{left} ms are left")))
                .flatten();
        }
        // Superseded in the middle of a canary's update: nobody goes back to it.
        let promoted = before.stable_rs == before.current_pod_hash;
        let delay_s = spec.scale_down_delay_s();
        let delayed = (promoted || blue_green.is_some()) && delay_s > 0 && !set.warm;
        delayed
            .then(|| what(&format!("without the delay of {delay_s} s")))
            .flatten()
    }

    /// The pods of an update that was given up stay until the delay has passed, which begins when
    /// the stable pods are there.
    fn before_the_abort_delay(&self, set: &SetFacts, size: i32) -> Option<(&'static str, String)> {
        let spec = &self.planned.spec;
        let before = self.before();
        let delay_s = spec.abort_scale_down_delay_s().filter(|delay| *delay > 0)?;
        let aborted = before.aborted_at.as_ref().filter(|_| before.abort)?;
        let canary = spec.canary();
        let explicit = canary.and_then(|own| own.abort_scale_down_delay_seconds);
        let is_dynamic = canary.is_some_and(|own| own.dynamic_stable_scale == Some(true));
        let is_given_up = self.after.abort
            && set.hash == before.current_pod_hash
            && set.hash == self.after.current_pod_hash
            && set.hash != before.stable_rs
            && self.seen.set(&before.stable_rs).is_some();
        if !is_given_up || (is_dynamic && explicit.is_none()) {
            return None;
        }
        let earliest = millis(aborted.0) + i64::from(delay_s) * SECOND_MS;
        let left = earliest - self.at_ms - self.skew_ms;
        (left > SECOND_MS || set.deadline().is_none()).then(|| {
            (
                "pods of an aborted update go before their time",
                format!(
                    "{} from {} to {size}: {left} ms after the abort are left",
                    set.hash, set.size
                ),
            )
        })
    }

    /// `minPodsPerReplicaSet`, of the arms that a router divides traffic between.
    fn too_few_of_an_arm(&self, set: &SetFacts, size: i32) -> Option<(&'static str, String)> {
        let spec = &self.planned.spec;
        spec.traffic_routing()?;
        let canary = spec.canary()?;
        let least = canary.min_pods_per_replica_set?.min(self.seen.replicas());
        let is_dynamic = canary.dynamic_stable_scale == Some(true);
        let is_canary = set.hash == self.after.current_pod_hash;
        let is_stable = set.hash == self.after.stable_rs;
        // Steps may ask for a number of pods.
        let asked = super::rules::scale_in_force(self.planned, self.before());
        let counted = matches!(asked, Some(super::rules::Scale::Replicas(_))) && !is_dynamic;
        let is_arm = (is_canary && !counted) || (is_stable && is_dynamic);
        (is_arm && size > 0 && size < least).then(|| {
            (
                "an arm has fewer pods than minPodsPerReplicaSet",
                format!("{} gets {size} of {least}", set.hash),
            )
        })
    }

    /// Pods that an update leaves alone: those of the stable revision, where the new ones are none
    /// of its own and it is not scaled with its traffic; and those that the active service leads
    /// to.
    fn too_few_that_stay(&self, set: &SetFacts, size: i32) -> Option<(&'static str, String)> {
        let spec = &self.planned.spec;
        let blue_green = spec.blue_green();
        let routed = spec.canary().filter(|own| own.traffic_routing.is_some());
        let is_left_alone = blue_green.is_some() || routed.is_some_and(|own| !own.scales_stable());
        let before = self.before();
        let is_stable = set.hash == before.stable_rs && set.hash == self.after.stable_rs;
        let active = blue_green.and_then(|own| self.seen.selected(&own.active_service));
        let stays = (is_stable && is_left_alone) || active == Some(set.hash.as_str());
        let wanted = set.size.min(self.seen.replicas());
        (stays && size < wanted).then(|| {
            (
                "pods go that an update leaves alone",
                format!("{} from {} to {size}, not {wanted}", set.hash, set.size),
            )
        })
    }

    /// The weight of a canary without a router is its pods: no more are made than the step says.
    /// What is halted keeps the parts that it has, and pods that answer may be kept.
    fn too_many_for_a_step(&self, set: &SetFacts, size: i32) -> Option<(&'static str, String)> {
        let spec = &self.planned.spec;
        let canary = spec.canary().filter(|own| own.traffic_routing.is_none())?;
        let before = self.before();
        let is_halted = super::rules::is_halted(self.planned, before);
        let is_canary = set.hash == before.current_pod_hash
            && set.hash == self.after.current_pod_hash
            && set.hash != before.stable_rs
            && before.current_step_hash == self.after.current_step_hash
            && self.seen.set(&before.stable_rs).is_some();
        // Who asks for all of an update at once means that of an aborted one as well.
        let is_free =
            super::rules::is_promoted_in_full(before) || super::rules::has_former_router(self.seen);
        if !is_canary || is_halted || is_free {
            return None;
        }
        let replicas = self.seen.replicas();
        let (surge, _) = super::rules::limits(self.planned, replicas)?;
        let weight = super::rules::allowed_weight(self.seen, self.planned);
        let most = split::approximate(replicas, weight, canary.max_traffic_weight(), surge).new;
        (size > set.size.max(most).max(set.told)).then(|| {
            (
                super::rules::TOO_MUCH,
                format!("{} gets {size} pods, not {most}", set.hash),
            )
        })
    }
}
