//! Time, and what happens by itself as it passes.

use super::objects::World;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

impl World {
    /// Runs everything that can happen at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..200 {
            let mut changed = self.reconcile();
            changed |= self.reconcile_experiments();
            changed |= self.run_replica_sets();
            changed |= self.run_analyses();
            if !changed {
                self.check_waits();
                return;
            }
        }
        panic!("no fixpoint: {:#?}", self.last_plan);
    }

    /// A Rollout that is not where it should be says what it waits for.
    fn check_waits(&self) {
        let Some(plan) = &self.last_plan else { return };
        let healthy = plan.status.phase == Some(api::RolloutPhase::Healthy);
        assert!(
            healthy || !plan.trace.waiting_on.is_empty(),
            "it rests at {:?} ({}) and waits for nothing: {:#?}",
            plan.status.phase,
            plan.status.message,
            plan.trace
        );
    }

    /// The next moment at which something happens by itself.
    fn next_moment(&self) -> Option<Timestamp> {
        let pods = self.ready_at.values().copied();
        let verdicts = self.keys("AnalysisRun").into_iter().filter_map(|key| {
            let run = &self.objects[&key];
            let running = run.pointer("/status/phase") == Some(&json!("Running"));
            let script = self.script(&key.name).filter(|_| running)?;
            Self::verdict_at(run, script)
        });
        let jobs = self.keys("Job").into_iter().filter_map(|key| {
            let end = self.job_end.as_ref()?;
            end.of(&self.objects[&key])
        });
        pods.chain(verdicts)
            .chain(self.run_wakes.values().copied())
            .chain(jobs)
            .chain(self.wake)
            .chain(self.lab_wakes.values().copied())
            .filter(|at| *at > self.now && *at < Timestamp::MAX)
            .min()
    }

    /// Lets time pass until `condition` holds or nothing happens any more. Whether it holds.
    pub(crate) fn run_until(&mut self, condition: impl Fn(&Self) -> bool) -> bool {
        self.settle();
        for _ in 0..500 {
            if condition(self) {
                return true;
            }
            let Some(next) = self.next_moment() else {
                return false;
            };
            self.now = next;
            self.settle();
        }
        panic!("it never ends: {:#?}", self.last_plan);
    }

    /// Lets `seconds` pass.
    pub(crate) fn sleep(&mut self, seconds: f64) {
        let end = self
            .now
            .checked_add(SignedDuration::from_secs_f64(seconds))
            .unwrap();
        self.settle();
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.now = next;
            self.settle();
        }
        self.now = end;
        self.settle();
    }
}

pub(super) fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap()
}
