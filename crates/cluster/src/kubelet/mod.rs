//! Kubelet: runs the pods of its node and reports them.
//!
//! A state machine per pod, [`Record`], fed with facts of the [`Runtime`](crate::runtime::Runtime)
//! and with time; what it wants done goes out as commands, what it saw as `status`. Mirrored: image
//! pull back-off, crash loop back-off (at once, 10 s, 20 s, … 5 min, reset after 10 good minutes),
//! init containers in order, startup, liveness and readiness probes, readiness gates, preStop and
//! the grace period, the second delete at grace 0.

mod container;
mod record;
mod status;
mod terminate;

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Probe};

use crate::runtime::{Command, ProbeKind, What};
use crate::{EventNote, Kind, Step, Target, Write, meta, pods};

pub use record::{ContainerRecord, Image, ProbeRecord, Record, State, Terminated};

/// What one step of one pod answers.
#[derive(Debug, Default)]
pub struct Outcome {
    /// `None` = the pod is gone, or not ours yet.
    pub record: Option<Record>,
    pub commands: Vec<Command>,
    pub step: Step,
}

/// One step of one pod that is bound to this node, whose own address is `host`.
pub fn step(
    pod: &Pod,
    record: Option<Record>,
    facts: &[What],
    host: IpAddr,
    now: Timestamp,
) -> Outcome {
    let Some(spec) = &pod.spec else {
        return Outcome::default();
    };
    if pods::node(pod).is_empty() {
        return terminate::unscheduled(pod);
    }
    let record = record.unwrap_or_else(|| Record::new(pod, spec, now));
    let mut cx = Context {
        pod,
        spec,
        record,
        commands: Vec::new(),
        step: Step::default(),
        host,
        now,
    };
    for fact in facts {
        cx.learn(fact);
    }
    if meta::is_deleting(&pod.metadata) {
        return cx.terminate();
    }
    if !pods::is_finished(pod) {
        cx.advance();
    }
    cx.report();
    cx.done()
}

/// One step in progress.
#[derive(Debug)]
struct Context<'a> {
    pod: &'a Pod,
    spec: &'a PodSpec,
    record: Record,
    commands: Vec<Command>,
    step: Step,
    host: IpAddr,
    now: Timestamp,
}

/// Restarts go on (`Always`), only after failures, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    Always,
    OnFailure,
    Never,
}

impl Context<'_> {
    fn done(self) -> Outcome {
        Outcome {
            record: Some(self.record),
            commands: self.commands,
            step: self.step,
        }
    }

    fn learn(&mut self, fact: &What) {
        match fact {
            What::Attached(address) => self.record.address = record::Address::Have(*address),
            What::NotAttached(message) => {
                self.record.address = record::Address::RetryAt(meta::after(self.now, 5));
                let message = format!("Failed to create pod sandbox: {message}");
                self.event("Warning", "FailedCreatePodSandBox", message);
            }
            What::Pulled { container, result } => self.pulled(container, result),
            What::Started { container, attempt } => self.started(container, *attempt),
            What::NotStarted {
                container,
                attempt,
                code,
                message,
            } => {
                self.ended(container, *attempt, *code, Some(message));
            }
            What::Exited {
                container,
                attempt,
                code,
            } => self.ended(container, *attempt, *code, None),
            What::Probed {
                container,
                attempt,
                kind,
                result,
            } => {
                self.probed(container, *attempt, *kind, result);
            }
            What::PreStopped { container } => {
                if let Some(live) = self.record.container(container) {
                    live.pre_stop_until = Some(self.now);
                }
            }
        }
    }

    /// Moves every container that may move.
    fn advance(&mut self) {
        match self.record.address {
            record::Address::None => self.attach(),
            record::Address::RetryAt(at) if at <= self.now => self.attach(),
            record::Address::RetryAt(at) => self.step.wake(at),
            record::Address::Asked => {}
            record::Address::Have(_) => self.advance_containers(),
        }
    }

    fn attach(&mut self) {
        self.record.address = record::Address::Asked;
        self.commands.push(Command::Attach);
    }

    /// Init containers one after the other, then all others together.
    fn advance_containers(&mut self) {
        let spec = self.spec;
        for container in spec.init_containers.iter().flatten() {
            self.advance_container(container, self.init_restart(container));
            if !self.init_is_done(container) {
                return;
            }
        }
        let restart = self.restart();
        for container in &spec.containers {
            self.advance_container(container, restart);
        }
    }

    /// A sidecar is done when it has started, any other init container when it has succeeded.
    fn init_is_done(&self, container: &Container) -> bool {
        let Some(record) = self.record.find(&container.name) else {
            return false;
        };
        if container.restart_policy.as_deref() == Some("Always") {
            return record.started;
        }
        matches!(&record.state, State::Terminated(end) if end.code == 0)
    }

    fn init_restart(&self, container: &Container) -> Restart {
        match (container.restart_policy.as_deref(), self.restart()) {
            (Some("Always"), _) => Restart::Always,
            (_, Restart::Never) => Restart::Never,
            _ => Restart::OnFailure,
        }
    }

    fn restart(&self) -> Restart {
        match self.spec.restart_policy.as_deref() {
            Some("Never") => Restart::Never,
            Some("OnFailure") => Restart::OnFailure,
            _ => Restart::Always,
        }
    }

    fn event(&mut self, kind: &'static str, reason: &'static str, message: String) {
        let regarding = Target::of(Kind::POD, &self.pod.metadata);
        let note = EventNote {
            regarding,
            kind,
            reason,
            message,
            source: "kubelet",
        };
        self.step.writes.push(Write::Event(note));
    }
}

/// The probe of a kind, if the container has one.
fn probe_of(container: &Container, kind: ProbeKind) -> Option<&Probe> {
    match kind {
        ProbeKind::Startup => container.startup_probe.as_ref(),
        ProbeKind::Liveness => container.liveness_probe.as_ref(),
        ProbeKind::Readiness => container.readiness_probe.as_ref(),
    }
}

#[cfg(test)]
mod tests;
