//! The end of a pod: hooks, the stop signal, the kill at the end of the grace period, the second
//! delete.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::record::State;
use super::{Context, Outcome};
use crate::runtime::Command;
use crate::workload::Script;
use crate::{Kind, Target, Write, meta};

/// A pod that never reached a node has nothing to stop.
pub(super) fn unscheduled(pod: &Pod) -> Outcome {
    let mut outcome = Outcome::default();
    if meta::is_deleting(&pod.metadata) {
        outcome.step.writes.push(final_delete(pod));
    }
    outcome
}

impl Context<'_> {
    pub(super) fn terminate(mut self) -> Outcome {
        let deadline = self
            .pod
            .metadata
            .deletion_timestamp
            .as_ref()
            .map_or(self.now, |t| t.0);
        if !self.record.stopping {
            self.record.stopping = true;
            for record in self.record.init.iter().chain(&self.record.containers) {
                if record.is_alive() {
                    let text = format!("Stopping container {}", record.name);
                    let regarding = Target::of(Kind::POD, &self.pod.metadata);
                    self.step.writes.push(Write::Event(crate::EventNote {
                        regarding,
                        kind: "Normal",
                        reason: "Killing",
                        message: text,
                        source: "kubelet",
                    }));
                }
            }
        }
        let spec = self.spec;
        for container in spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
        {
            self.stop(container, deadline);
        }
        let alive = |records: &[super::ContainerRecord]| {
            records.iter().any(super::ContainerRecord::is_alive)
        };
        if alive(&self.record.containers) || alive(&self.record.init) {
            self.report();
            return self.done();
        }
        if self
            .record
            .containers
            .iter()
            .any(|record| matches!(record.state, State::Terminated(_)))
        {
            self.report();
        }
        self.commands.push(Command::Remove);
        self.step.writes.push(final_delete(self.pod));
        self.done()
    }

    fn stop(&mut self, container: &Container, deadline: Timestamp) {
        let now = self.now;
        let Some(record) = self.record.container(&container.name) else {
            return;
        };
        if !record.is_alive() {
            return;
        }
        if deadline <= now {
            self.commands.push(Command::Kill {
                container: container.name.clone(),
            });
            return;
        }
        self.step.wake(deadline);
        if record.kill_at.is_some() {
            record.kill_at = Some(deadline);
            return;
        }
        let until = if let Some(until) = record.pre_stop_until {
            until
        } else {
            let (until, command) = pre_stop(container, now);
            record.pre_stop_until = Some(until);
            self.commands.extend(command);
            until
        };
        if until > now {
            self.step.wake(until.min(deadline));
            return;
        }
        if let Some(record) = self.record.container(&container.name) {
            record.kill_at = Some(deadline);
        }
        let grace_s = deadline.duration_since(now).as_secs().max(1);
        self.commands.push(Command::Stop {
            container: container.name.clone(),
            grace_s,
        });
    }
}

/// When the hook is over, and what to run for it. Sleeps, also those of a shell, are waited for
/// here.
fn pre_stop(container: &Container, now: Timestamp) -> (Timestamp, Option<Command>) {
    let hook = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let Some(hook) = hook else { return (now, None) };
    if let Some(sleep) = &hook.sleep {
        return (meta::after(now, sleep.seconds), None);
    }
    if let Some(exec) = &hook.exec {
        let text = exec
            .command
            .iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ");
        let sleep_s = i64::try_from(Script::read(&text).sleep_s).unwrap_or(i64::MAX);
        return (meta::after(now, sleep_s), None);
    }
    if hook.http_get.is_some() {
        return (
            Timestamp::MAX,
            Some(Command::PreStop {
                container: container.name.clone(),
            }),
        );
    }
    (now, None)
}

fn final_delete(pod: &Pod) -> Write {
    Write::Delete {
        target: Target::of(Kind::POD, &pod.metadata),
        grace_s: Some(0),
        propagation: None,
    }
}
