//! Sizes: rolling update, recreate, and proportional scaling.

use std::cmp::Reverse;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ReplicaSet, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{DESIRED_ANNOTATION, MAX_ANNOTATION, View, World, revision};
use crate::meta;

impl<'a> World<'a> {
    fn rolling(&self) -> Option<&'a RollingUpdateDeployment> {
        self.spec().strategy.as_ref()?.rolling_update.as_ref()
    }

    /// Pods above the desired number during an update; 0 for `Recreate`.
    pub(super) fn max_surge(&self) -> i32 {
        if self.is_recreate() {
            return 0;
        }
        resolve(
            self.rolling()
                .and_then(|rolling| rolling.max_surge.as_ref()),
            self.desired(),
            true,
        )
    }

    /// Pods that may be missing. With a surge of 0 it is at least 1, else nothing could ever move.
    pub(super) fn max_unavailable(&self) -> i32 {
        if self.is_recreate() || self.desired() == 0 {
            return 0;
        }
        let value = self
            .rolling()
            .and_then(|rolling| rolling.max_unavailable.as_ref());
        let resolved = resolve(value, self.desired(), false).min(self.desired());
        if resolved == 0 && self.max_surge() == 0 {
            1
        } else {
            resolved
        }
    }

    /// The size that the new ReplicaSet, now at `live`, may grow to.
    pub(super) fn new_size(&self, live: i32) -> i32 {
        let desired = self.desired();
        if self.is_recreate() {
            return desired;
        }
        let room = desired + self.max_surge() - self.total();
        if room <= 0 {
            live
        } else {
            live + room.min(desired - live).max(0)
        }
    }

    /// Grow the new one within the surge; else shrink the old ones within what may be unavailable.
    pub(super) fn roll(&mut self) {
        let Some(new) = self.new else { return };
        let live = self.size(new);
        let desired = self.desired();
        let wanted = if live > desired {
            desired
        } else {
            self.new_size(live)
        };
        if wanted != live {
            self.resize(new, wanted);
            return;
        }
        self.shrink_old(new);
    }

    fn shrink_old(&mut self, new: &'a Arc<ReplicaSet>) {
        let old: i32 = self.old.iter().map(|rs| self.size(rs)).sum();
        if old == 0 {
            return;
        }
        let min_available = self.desired() - self.max_unavailable();
        let new_unavailable = self.size(new) - available(new);
        let mut budget = self.total() - min_available - new_unavailable;
        if budget <= 0 {
            return;
        }
        // Pods that serve nobody go first: losing them costs no availability.
        for rs in self.old.clone() {
            let size = self.size(rs);
            let unhealthy = (size - available(rs)).clamp(0, budget);
            if size > 0 && unhealthy > 0 {
                self.resize(rs, size - unhealthy);
                budget -= unhealthy;
            }
        }
        let ready: i32 = self.all().map(|rs| available(rs)).sum();
        let mut spare = ready - min_available;
        for rs in self.old.clone() {
            let size = self.size(rs);
            let down = size.min(spare);
            if size > 0 && down > 0 {
                self.resize(rs, size - down);
                spare -= down;
            }
        }
    }

    /// Whether no old ReplicaSet has, or is to have, any pod that has not ended.
    pub(super) fn old_is_gone(&self, view: &View<'_>) -> bool {
        self.old.iter().all(|rs| {
            let left = view.pods_left.get(meta::uid(&rs.metadata));
            self.size(rs) == 0
                && rs.status.as_ref().is_none_or(|status| status.replicas == 0)
                && left.is_none_or(|left| *left == 0)
        })
    }

    /// First every old ReplicaSet to 0, then, when their pods are gone, the new one to full size.
    pub(super) fn recreate(&mut self, view: &View<'_>) {
        let gone = self.old_is_gone(view);
        for rs in self.old.clone() {
            if self.size(rs) > 0 {
                self.resize(rs, 0);
            }
        }
        if let Some(new) = self.new.filter(|_| gone) {
            self.resize(new, self.desired());
        }
    }

    /// Whether `spec.replicas` moved since the ReplicaSets were last sized.
    pub(super) fn is_scaling(&self) -> bool {
        self.all().filter(|rs| self.size(rs) > 0).any(|rs| {
            meta::annotation(&rs.metadata, DESIRED_ANNOTATION)
                .and_then(|text| text.parse::<i32>().ok())
                .is_some_and(|noted| noted != self.desired())
        })
    }

    /// All pods that are wanted are those of the new ReplicaSet, and it was sized for that.
    fn is_saturated(&self, new: &ReplicaSet) -> bool {
        let desired = self.desired();
        let noted = meta::annotation(&new.metadata, DESIRED_ANNOTATION);
        self.size(new) == desired
            && available(new) == desired
            && noted == Some(desired.to_string().as_str())
    }

    /// Scales what is there without moving the rollout: one active ReplicaSet takes the desired
    /// size, several share the change by their sizes, the largest taking the remainder.
    pub(super) fn scale_proportionally(&mut self) {
        let desired = self.desired();
        let mut active: Vec<_> = self.all().filter(|rs| self.size(rs) > 0).collect();
        if active.len() <= 1 {
            let newest = active
                .pop()
                .or(self.new)
                .or_else(|| self.old.last().copied());
            if let Some(rs) = newest {
                self.resize(rs, desired);
            }
            return;
        }
        if self.new.is_some_and(|new| self.is_saturated(new)) {
            for rs in self.old.clone() {
                self.resize(rs, 0);
            }
            return;
        }
        if self.is_recreate() {
            return;
        }
        let allowed = if desired > 0 {
            desired + self.max_surge()
        } else {
            0
        };
        let to_add = allowed - self.total();
        // The largest first; of equals the newer one grows first and the older one shrinks first.
        active.sort_by_key(|rs| (-self.size(rs), revision::created(rs)));
        if to_add > 0 {
            active.sort_by_key(|rs| (-self.size(rs), Reverse(revision::created(rs))));
        }
        let live = self.deployment.status.as_ref();
        let live = live.and_then(|status| status.replicas).unwrap_or(0);
        let mut added = 0;
        for rs in &active {
            let share = share_of(self.size(rs), max_noted(rs).unwrap_or(live), allowed);
            let left = to_add - added;
            let share = if to_add > 0 {
                share.clamp(0, left)
            } else {
                share.clamp(left, 0)
            };
            self.resize(rs, self.size(rs) + share);
            added += share;
        }
        if let Some(largest) = active.first() {
            self.resize(largest, self.size(largest) + to_add - added);
        }
    }
}

/// The change of a ReplicaSet of `size` when the allowed total goes from `max` to `allowed`,
/// rounded half away from zero.
fn share_of(size: i32, max: i32, allowed: i32) -> i32 {
    if allowed == 0 {
        return -size;
    }
    if max <= 0 {
        return 0;
    }
    (f64::from(size) * f64::from(allowed) / f64::from(max)).round() as i32 - size
}

/// The total that was allowed when the ReplicaSet was last sized.
fn max_noted(rs: &ReplicaSet) -> Option<i32> {
    let noted = meta::annotation(&rs.metadata, MAX_ANNOTATION)?.parse().ok();
    noted.filter(|max| *max > 0)
}

pub(super) fn available(rs: &ReplicaSet) -> i32 {
    rs.status
        .as_ref()
        .and_then(|status| status.available_replicas)
        .unwrap_or(0)
}

/// A number or a percentage of `total`; absent = 25 %, the server's default.
fn resolve(value: Option<&IntOrString>, total: i32, round_up: bool) -> i32 {
    let quarter = IntOrString::String("25%".to_owned());
    meta::scaled(value.unwrap_or(&quarter), total, round_up)
}
