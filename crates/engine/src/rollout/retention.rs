//! What may be forgotten: old ReplicaSets, AnalysisRuns and Experiments (rollouts.md §3.19).

use super::analysis_runs::{is_completed, phase};
use super::context::Context;
use api::AnalysisPhase;
use api::constants::HASH_LABEL;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::{Action, Guard, ObjectKey, Propagation};

impl Context<'_> {
    /// Deletes the oldest ReplicaSets beyond `revisionHistoryLimit`, once they are empty, with the
    /// runs that belong to them.
    pub(crate) fn forget_old_revisions(&mut self) {
        let limit = self.rollout.spec.revision_history_limit_or_default().max(0) as usize;
        let candidates: Vec<usize> = self
            .others()
            .into_iter()
            .filter(|&index| !self.sets[index].is_deleting())
            .collect();
        let surplus = candidates.len().saturating_sub(limit);
        for &index in &candidates[..surplus] {
            let set = &self.sets[index];
            let empty = set.replicas == 0 && set.live_replicas() == 0 && set.pods() == 0;
            if !empty || !set.is_observed() || self.is_referenced(index) {
                continue;
            }
            let action = Action::Delete {
                target: set.key(),
                guard: set.guard(),
                propagation: Propagation::Background,
            };
            let name = set.name().to_owned();
            self.deletions.push(action);
            self.decide(
                "forget-revision",
                format!("{name} is beyond the history limit"),
            );
        }
    }

    /// Deletes finished AnalysisRuns beyond the history limits, and those of revisions that are
    /// gone. `current` are the uids of runs that the status refers to.
    pub(crate) fn forget_old_runs(&mut self, current: &[String]) {
        let owned: Vec<_> = self.owned_runs().cloned().collect();
        let runs = owned
            .iter()
            .map(|run| Record::new("AnalysisRun", &run.metadata, phase(run)));
        let is_current = |run: &Record<'_>| current.iter().any(|uid| uid == run.uid);
        self.forget_surplus(runs.filter(|run| !is_current(run)).collect());
    }

    /// The same for Experiments, but for those that a route still leads to. `current` is the name
    /// of the one that the status refers to.
    pub(crate) fn forget_old_experiments(&mut self, current: &str) {
        let left = self.owned_experiments().filter(|one| !self.is_led_to(one));
        let owned: Vec<_> = left.cloned().collect();
        let experiments = owned.iter().map(|experiment| {
            let phase = experiment.status.as_ref().and_then(|status| status.phase);
            Record::new("Experiment", &experiment.metadata, phase)
        });
        self.forget_surplus(experiments.filter(|one| one.name != current).collect());
    }

    /// Deletes the finished ones of revisions that are gone, and of the others all but the newest.
    fn forget_surplus(&mut self, records: Vec<Record<'_>>) {
        let finished = records.into_iter().filter(Record::is_finished);
        let (alive, orphans): (Vec<_>, Vec<_>) =
            finished.partition(|record| self.is_hash_alive(record.hash));
        let (successful, unsuccessful): (Vec<_>, Vec<_>) = alive
            .into_iter()
            .partition(|record| record.phase == Some(AnalysisPhase::Successful));
        let (keep_successful, keep_unsuccessful) = self.run_limits();
        let surplus = newest_beyond(successful, keep_successful)
            .into_iter()
            .chain(newest_beyond(unsuccessful, keep_unsuccessful));
        for record in orphans.into_iter().chain(surplus) {
            self.deletions.push(Action::Delete {
                target: record.key(self.namespace()),
                guard: record.guard(),
                propagation: Propagation::Background,
            });
        }
    }

    fn run_limits(&self) -> (usize, usize) {
        let spec = &self.rollout.spec;
        (
            spec.successful_run_history_limit().max(0) as usize,
            spec.unsuccessful_run_history_limit().max(0) as usize,
        )
    }

    /// Whether a revision still has a ReplicaSet.
    fn is_hash_alive(&self, hash: &str) -> bool {
        self.set_by_hash(hash).is_some_and(|set| !set.is_deleting())
    }
}

/// An AnalysisRun or an Experiment, as far as its retention goes.
#[derive(Clone, Debug)]
struct Record<'r> {
    kind: &'static str,
    name: &'r str,
    uid: &'r str,
    hash: &'r str,
    created: Option<Timestamp>,
    phase: Option<AnalysisPhase>,
}

impl<'r> Record<'r> {
    fn new(kind: &'static str, metadata: &'r ObjectMeta, phase: Option<AnalysisPhase>) -> Self {
        let labels = metadata.labels.as_ref();
        let hash = labels.and_then(|labels| labels.get(HASH_LABEL));
        Self {
            kind,
            name: metadata.name.as_deref().unwrap_or_default(),
            uid: metadata.uid.as_deref().unwrap_or_default(),
            hash: hash.map_or("", String::as_str),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            phase,
        }
    }

    fn is_finished(&self) -> bool {
        self.phase.is_some_and(is_completed)
    }

    fn key(&self, namespace: &str) -> ObjectKey {
        ObjectKey::namespaced("argoproj.io/v1alpha1", self.kind, namespace, self.name)
    }

    fn guard(&self) -> Guard {
        Guard {
            uid: Some(self.uid.to_owned()),
            resource_version: None,
        }
    }
}

/// All but the `keep` newest.
fn newest_beyond(mut records: Vec<Record<'_>>, keep: usize) -> Vec<Record<'_>> {
    records.sort_by(|a, b| (b.created, b.name).cmp(&(a.created, a.name)));
    records.split_off(keep.min(records.len()))
}
