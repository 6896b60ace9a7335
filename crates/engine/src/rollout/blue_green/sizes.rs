//! The pods of the two sets (rollouts.md §3.7).

use crate::rollout::context::Context;

impl Context<'_> {
    pub(super) fn size_blue_green(&mut self) {
        self.keep_current_sets();
        let replicas = self.replicas();
        if let Some(stable) = self.stable.filter(|_| self.stable != self.new) {
            self.scale(stable, replicas);
        }
        let target = self.preview_target();
        let asked = self.pods_behind_active();
        self.scale_new(target, asked);
        if self.is_halted() {
            self.size_superseded_in_a_halt();
        }
        self.scale_down_superseded();
    }

    /// Pods of the new revision that the active service leads to, alone or with all others. Where
    /// no stable pod answers after an abort, it stays there.
    fn pods_behind_active(&self) -> i32 {
        let strategy = self.blue_green();
        let service = &strategy.active_service;
        let is_there = self.new.is_some_and(|new| self.leads_to(service, new));
        if is_there { self.replicas() } else { 0 }
    }

    /// A halt leaves the services where they are. What the active one leads to follows
    /// `spec.replicas`, superseded or not, and comes back from nothing; of the others none keeps a
    /// pod when that is nothing.
    fn size_superseded_in_a_halt(&mut self) {
        let (active, replicas) = (self.active_selector(), self.replicas());
        for index in self.others() {
            let set = &self.sets[index];
            let is_active = !active.is_empty() && set.hash() == active;
            let has_pods = set.replicas > 0;
            let was_emptied = set.desired_annotation() == Some(0);
            if is_active && (has_pods || was_emptied) {
                self.scale(index, replicas);
            } else if replicas == 0 && has_pods {
                self.scale(index, 0);
            }
        }
    }

    /// How many pods the new set should have now.
    fn preview_target(&self) -> i32 {
        let replicas = self.replicas();
        let Some(preview) = self.blue_green().preview_replica_count else {
            return replicas;
        };
        let active = self.active_selector();
        let active = self.set_by_hash(&active).map(|set| set.hash().to_owned());
        let new = self.new_set().map(|set| set.hash().to_owned());
        // The stable revision is no preview, even if the active service has not come to it yet.
        let previewed = active.is_some() && active != new && self.new != self.stable;
        // A fast way back has no preview, so nobody would ever raise it to full size (the peer
        // waits for ever).
        if !previewed || self.is_fast_rollback() {
            return replicas;
        }
        if self.is_promote_full() {
            let paused = self.rollout.spec.is_paused();
            return if paused {
                self.held_preview(preview)
            } else {
                replicas
            };
        }
        if self.current_hash != self.stored_current() {
            return preview;
        }
        if !self.is_paused() && self.stored.blue_green.scale_up_preview_check_point {
            return replicas;
        }
        preview
    }

    /// A full promotion during a pause of the user's own stays on record: the preview keeps the
    /// pods it has until the pause is over.
    fn held_preview(&self, preview: i32) -> i32 {
        let has = self.new_set().map_or(0, |new| new.replicas);
        has.min(self.replicas()).max(preview)
    }

    /// How many available pods the pause waits for.
    pub(super) fn preview_size(&self) -> i32 {
        self.preview_target()
    }
}
