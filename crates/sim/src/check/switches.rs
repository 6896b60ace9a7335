//! The rules of switches: when a service may lead to other pods.

use super::transitions::BLUE_GREEN_PAUSE;
use super::{Change, Passed, Pauses, SetFacts};
use api::RolloutStatus;

impl Change<'_> {
    /// Whether the active service of a blue-green update may be switched to `hash` now.
    pub fn switch(&self, service: &str, hash: &str, pauses: &Pauses) -> Option<String> {
        let strategy = self.planned.spec.blue_green()?;
        let before = self.before();
        let live = self.seen.selected(service);
        let back = hash == before.stable_rs || before.stable_rs.is_empty();
        let lost = live.is_none_or(|live| self.seen.set(live).is_none());
        if service != strategy.active_service || live == Some(hash) || back || lost {
            return None;
        }
        // Where the stable revision is gone there is nothing to go back to.
        let is_given_up = super::rules::is_given_up(before) && !self.is_gone(&before.stable_rs);
        if is_given_up || super::rules::is_halted(self.planned, before) {
            let when = if is_given_up {
                "after an abort"
            } else {
                "in a pause that keeps it where it is"
            };
            return Some(format!("the active service is switched to {hash} {when}"));
        }
        let ready = self.seen.available_of(hash);
        if ready < self.seen.replicas() {
            return Some(format!(
                "the active service is switched to {hash} with {ready} available pods of {}",
                self.seen.replicas()
            ));
        }
        if super::rules::is_promoted_in_full(before) || self.is_within_window(before) {
            return None;
        }
        let warm = self.seen.is_warm(hash) && self.is_older(hash, &before.stable_rs);
        if warm {
            return None;
        }
        if strategy.pre_promotion_analysis.is_some()
            && !self.evidence.passed.contains(&Passed::PrePromotion)
        {
            return Some("a switch before the pre-promotion analysis has passed".to_owned());
        }
        let auto = strategy.auto_promotion_enabled != Some(false);
        let seconds = strategy.auto_promotion_seconds.unwrap_or(0);
        if (auto && seconds <= 0) || before.blue_green.scale_up_preview_check_point {
            return None;
        }
        let duration = auto.then(|| i64::from(seconds));
        self.pause_end(
            before,
            "the pause before the switch",
            (BLUE_GREEN_PAUSE, duration),
            pauses,
        )
    }

    /// Whether pods of one revision were there before those of another one.
    pub(super) fn is_older(&self, hash: &str, than: &str) -> bool {
        let age = |hash: &str| self.seen.set(hash).map(SetFacts::age);
        age(hash) < age(than)
    }

    /// Whether a revision has no ReplicaSet that pods come back to.
    pub(super) fn is_gone(&self, hash: &str) -> bool {
        self.seen.set(hash).is_none_or(SetFacts::is_leaving)
    }

    /// What is wrong with calling the current revision of a blue-green update stable.
    pub(super) fn promotion_of_active(&self, before: &RolloutStatus) -> Option<String> {
        let strategy = self.planned.spec.blue_green()?;
        let (old, new) = (&before.stable_rs, &self.after.stable_rs);
        // A service that selects no revision counts as a first deployment.
        let active = self.seen.selected(&strategy.active_service)?;
        if active != new {
            return Some(format!(
                "{new} becomes stable but the active service selects {active}"
            ));
        }
        // Warm pods that the update goes back to were proven before.
        let asked = super::rules::is_promoted_in_full(before) || self.is_older(new, old);
        let proven = strategy.post_promotion_analysis.is_none()
            || self.evidence.passed.contains(&Passed::PostPromotion);
        (!proven && !asked)
            .then(|| format!("{new} becomes stable before its post-promotion analysis has passed"))
    }

    /// Whether a service of a canary that no router divides traffic for would lead to `hash` before
    /// anybody answers there, and away from where somebody does.
    pub fn led_astray(&self, service: &str, hash: &str) -> Option<String> {
        let spec = &self.planned.spec;
        let canary = spec.canary().filter(|own| own.traffic_routing.is_none())?;
        let own = [&canary.canary_service, &canary.stable_service];
        let is_ours = own.into_iter().flatten().any(|own| own == service);
        let left = self.seen.selected(service)?;
        let astray = self.seen.ready_of(hash) == 0 && self.seen.ready_of(left) > 0;
        (is_ours && astray && self.seen.replicas() > 0)
            .then(|| format!("{service} is led from {left} to {hash}, which has no ready pod"))
    }
}
