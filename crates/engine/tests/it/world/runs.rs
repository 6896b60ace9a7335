//! AnalysisRuns: what the engine makes of them, or what their script says.

use super::objects::{Script, World};
use super::patches::merge_patch;
use crate::analyses;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

impl World {
    /// Lets AnalysisRuns do what they do, or what their script says. Whether anything changed.
    pub(super) fn run_analyses(&mut self) -> bool {
        let before = self.version_of_world();
        if let Some(network) = self.network.clone() {
            self.end_jobs();
            for key in self.keys("AnalysisRun") {
                let outcome = analyses::advance(self, &key, &network);
                self.run_wakes.remove(&key);
                self.run_wakes
                    .extend(outcome.wake.map(|at| (key.clone(), at)));
                let mut run = self.objects[&key].clone();
                run["status"] = outcome.status;
                self.store(&key, run);
                for job in outcome.jobs {
                    self.create(job).unwrap();
                }
            }
            return self.version_of_world() != before;
        }
        for key in self.keys("AnalysisRun") {
            let mut run = self.objects[&key].clone();
            let status = match run.pointer("/status/phase").and_then(Value::as_str) {
                None | Some("") => match self.script(&key.name) {
                    Some(script) if !script.seen_running => {
                        json!({"phase": script.phase, "message": script.message})
                    }
                    _ => json!({"phase": "Running", "startedAt": self.now.to_string()}),
                },
                Some("Running") => {
                    let Some(status) = self.verdict(&key.name, &run) else {
                        continue;
                    };
                    status
                }
                Some(_) => continue,
            };
            merge_patch(&mut run, &json!({"status": status}));
            self.store(&key, run);
        }
        self.version_of_world() != before
    }

    fn end_jobs(&mut self) {
        let Some(end) = self.job_end.clone() else {
            return;
        };
        for key in self.keys("Job") {
            let mut job = self.objects[&key].clone();
            if end.of(&job).is_some_and(|at| at <= self.now) {
                job["status"] = end.status();
                self.store(&key, job);
            }
        }
    }

    fn verdict(&self, name: &str, run: &Value) -> Option<Value> {
        if run.pointer("/spec/terminate") == Some(&json!(true)) {
            return Some(json!({"phase": "Successful", "message": "Run Terminated"}));
        }
        let script = self.script(name)?;
        (self.now >= Self::verdict_at(run, script)?)
            .then(|| json!({"phase": script.phase, "message": script.message}))
    }

    /// The script of a run; one with a collision suffix plays that of the first.
    pub(super) fn script(&self, name: &str) -> Option<&Script> {
        let first = name.split_once('.').map_or(name, |(first, _)| first);
        self.scripts.get(name).or_else(|| self.scripts.get(first))
    }

    pub(super) fn verdict_at(run: &Value, script: &Script) -> Option<Timestamp> {
        let started: Timestamp = run.pointer("/status/startedAt")?.as_str()?.parse().ok()?;
        started
            .checked_add(SignedDuration::from_secs(script.after_s))
            .ok()
    }
}
