//! The life of one container: pull, start, probe, end, back off.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;

use super::record::{ContainerRecord, Image, ProbeRecord, State, Terminated};
use super::{Context, Restart, probe_of};
use crate::meta;
use crate::runtime::{Command, ProbeKind};

const BACKOFF_S: i64 = 10;
const BACKOFF_MAX_S: i64 = 300;
/// A life of that length clears the crash back-off.
const GOOD_LIFE_S: i64 = 600;
/// How long a failed pull shows its own reason before the back-off does.
const PULL_ERROR_S: i64 = 2;
/// Between the stop signal and the kill when a liveness probe fails and the pod says nothing else.
const GRACE_S: i64 = 30;
const PROBES: [ProbeKind; 3] = [
    ProbeKind::Startup,
    ProbeKind::Liveness,
    ProbeKind::Readiness,
];

impl Context<'_> {
    /// Moves one container on, as far as it can without new facts.
    pub(super) fn advance_container(&mut self, container: &Container, restart: Restart) {
        let now = self.now;
        let Some(record) = self.record.container(&container.name) else {
            return;
        };
        match &record.state {
            State::Waiting => self.pull_or_start(container),
            State::Starting => {}
            State::Running { .. } => self.probe_all(container),
            State::Terminated(end) => {
                let again = match restart {
                    Restart::Always => true,
                    Restart::OnFailure => end.code != 0,
                    Restart::Never => false,
                };
                if !again {
                    return;
                }
                let at = meta::after(end.finished, record.backoff_s);
                if at > now {
                    self.step.wake(at);
                    return;
                }
                record.last = Some(end.clone());
                record.backoff_s = (record.backoff_s * 2).clamp(BACKOFF_S, BACKOFF_MAX_S);
                record.restarts += 1;
                record.state = State::Waiting;
                self.pull_or_start(container);
            }
        }
    }

    fn pull_or_start(&mut self, container: &Container) {
        let now = self.now;
        let Some(record) = self.record.container(&container.name) else {
            return;
        };
        let name = container.name.clone();
        match record.image {
            Image::Present => {
                record.state = State::Starting;
                self.commands.push(Command::Start {
                    container: name,
                    attempt: record.restarts,
                });
            }
            Image::Pulling
            | Image::Failed {
                reason: "InvalidImageName",
                ..
            } => {}
            Image::Failed { at, retry_at, .. } if retry_at > now => {
                // Twice: when the reason turns into the back-off's, and when the back-off is over.
                let shown_until = meta::after(at, PULL_ERROR_S);
                self.step.wake(if shown_until > now {
                    shown_until
                } else {
                    retry_at
                });
            }
            Image::Unknown | Image::Failed { .. } => {
                let image = container.image.clone().unwrap_or_default();
                if record.image == Image::Unknown {
                    record.image = Image::Pulling;
                    self.event("Normal", "Pulling", format!("Pulling image \"{image}\""));
                }
                self.commands.push(Command::Pull { container: name });
                // The old failure stays visible while it is tried again.
                if let Some(record) = self.record.container(&container.name)
                    && let Image::Failed { retry_at, .. } = &mut record.image
                {
                    *retry_at = Timestamp::MAX;
                }
            }
        }
    }

    pub(super) fn pulled(&mut self, name: &str, result: &Result<(), (&'static str, String)>) {
        let now = self.now;
        let image = self.image_of(name);
        let Some(record) = self.record.container(name) else {
            return;
        };
        match result {
            Ok(()) => {
                record.image = Image::Present;
                let message = format!("Successfully pulled image \"{image}\"");
                self.event("Normal", "Pulled", message);
            }
            Err((reason, message)) => {
                let backoff_s = match &record.image {
                    Image::Failed { backoff_s, .. } => (backoff_s * 2).min(BACKOFF_MAX_S),
                    _ => BACKOFF_S,
                };
                record.image = Image::Failed {
                    reason,
                    message: message.clone(),
                    at: now,
                    retry_at: meta::after(now, backoff_s),
                    backoff_s,
                };
                let text = format!("Failed to pull image \"{image}\": {message}");
                self.event("Warning", "Failed", text);
            }
        }
    }

    fn image_of(&self, name: &str) -> String {
        let mut all = self
            .spec
            .containers
            .iter()
            .chain(self.spec.init_containers.iter().flatten());
        let container = all.find(|container| container.name == name);
        container
            .and_then(|container| container.image.clone())
            .unwrap_or_default()
    }

    pub(super) fn started(&mut self, name: &str, attempt: i32) {
        let now = self.now;
        let Some(record) = self.record.container(name) else {
            return;
        };
        if record.restarts != attempt || record.state != State::Starting {
            return;
        }
        record.state = State::Running { since: now };
        record.started = false;
        record.ready = false;
        for probe in [
            &mut record.startup,
            &mut record.liveness,
            &mut record.readiness,
        ] {
            *probe = ProbeRecord::default();
        }
        self.event("Normal", "Started", format!("Started container {name}"));
    }

    pub(super) fn ended(&mut self, name: &str, attempt: i32, code: i32, message: Option<&String>) {
        let now = self.now;
        let Some(record) = self.record.container(name) else {
            return;
        };
        if record.restarts != attempt || !record.is_alive() {
            return;
        }
        let started = match record.state {
            State::Running { since } => since,
            _ => now,
        };
        if now.duration_since(started).as_secs() >= GOOD_LIFE_S {
            record.backoff_s = 0;
        }
        let end = Terminated {
            code,
            message: message.cloned(),
            started,
            finished: now,
        };
        record.state = State::Terminated(end);
        record.started = false;
        record.ready = false;
        record.kill_at = None;
        let backoff_s = record.backoff_s;
        if backoff_s > 0 && code != 0 && !self.record.stopping {
            let text = format!("Back-off restarting failed container {name}");
            self.event("Warning", "BackOff", text);
        }
    }

    fn probe_all(&mut self, container: &Container) {
        let now = self.now;
        let Some(record) = self.record.container(&container.name) else {
            return;
        };
        if let Some(at) = record.kill_at {
            // A failed liveness probe has asked it to stop.
            if at <= now {
                self.commands.push(Command::Kill {
                    container: container.name.clone(),
                });
            } else {
                self.step.wake(at);
            }
            return;
        }
        record.started |= container.startup_probe.is_none();
        if container.readiness_probe.is_none() {
            record.ready = record.started;
        }
        for kind in PROBES {
            self.probe(container, kind);
        }
    }

    /// Sends a probe that is due; startup goes before the other two.
    fn probe(&mut self, container: &Container, kind: ProbeKind) {
        let Some(probe) = probe_of(container, kind) else {
            return;
        };
        let now = self.now;
        let Some(record) = self.record.container(&container.name) else {
            return;
        };
        let State::Running { since } = record.state else {
            return;
        };
        if record.started == (kind == ProbeKind::Startup) {
            return;
        }
        let attempt = record.restarts;
        let own = probe_record(record, kind);
        let initial_s = i64::from(probe.initial_delay_seconds.unwrap_or(0));
        let due = *own.due.get_or_insert_with(|| meta::after(since, initial_s));
        if own.in_flight {
            return;
        }
        if due > now {
            self.step.wake(due);
            return;
        }
        own.in_flight = true;
        own.due = Some(meta::after(
            now,
            i64::from(probe.period_seconds.unwrap_or(10).max(1)),
        ));
        self.commands.push(Command::Probe {
            container: container.name.clone(),
            attempt,
            kind,
        });
    }

    pub(super) fn probed(
        &mut self,
        name: &str,
        attempt: i32,
        kind: ProbeKind,
        result: &Result<(), String>,
    ) {
        let mut all = self
            .spec
            .containers
            .iter()
            .chain(self.spec.init_containers.iter().flatten());
        let container = all.find(|container| container.name == name);
        let Some(probe) = container.and_then(|container| probe_of(container, kind)) else {
            return;
        };
        let Some(record) = self.record.container(name) else {
            return;
        };
        if record.restarts != attempt || !matches!(record.state, State::Running { .. }) {
            return;
        }
        let own = probe_record(record, kind);
        own.in_flight = false;
        match result {
            Ok(()) => {
                own.successes = own.successes.saturating_add(1);
                own.failures = 0;
                if own.successes >= probe.success_threshold.unwrap_or(1) {
                    match kind {
                        ProbeKind::Startup => record.started = true,
                        ProbeKind::Readiness => record.ready = true,
                        ProbeKind::Liveness => {}
                    }
                }
            }
            Err(message) => {
                own.failures = own.failures.saturating_add(1);
                own.successes = 0;
                let failed = own.failures >= probe.failure_threshold.unwrap_or(3);
                let grace_s = probe
                    .termination_grace_period_seconds
                    .or(self.spec.termination_grace_period_seconds)
                    .unwrap_or(GRACE_S);
                self.unhealthy(name, kind, message, failed.then_some(grace_s));
            }
        }
    }

    /// One probe said no; `failed` with the grace period when it did so once too often.
    fn unhealthy(&mut self, name: &str, kind: ProbeKind, message: &str, failed: Option<i64>) {
        let now = self.now;
        let Some(record) = self.record.container(name) else {
            return;
        };
        match (kind, failed) {
            (ProbeKind::Readiness, Some(_)) => record.ready = false,
            (ProbeKind::Startup | ProbeKind::Liveness, Some(grace_s))
                if record.kill_at.is_none() =>
            {
                record.kill_at = Some(meta::after(now, grace_s));
                self.commands.push(Command::Stop {
                    container: name.to_owned(),
                    grace_s,
                });
                let text = format!(
                    "Container {name} failed {} probe, will be restarted",
                    kind_name(kind).to_lowercase()
                );
                self.event("Normal", "Killing", text);
            }
            _ => {}
        }
        let text = format!("{} probe failed: {message}", kind_name(kind));
        self.event("Warning", "Unhealthy", text);
    }
}

fn kind_name(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Startup => "Startup",
        ProbeKind::Liveness => "Liveness",
        ProbeKind::Readiness => "Readiness",
    }
}

fn probe_record(record: &mut ContainerRecord, kind: ProbeKind) -> &mut ProbeRecord {
    match kind {
        ProbeKind::Startup => &mut record.startup,
        ProbeKind::Liveness => &mut record.liveness,
        ProbeKind::Readiness => &mut record.readiness,
    }
}

/// Whether a failed pull shows as `ImagePullBackOff` by now.
pub(super) fn backs_off(at: Timestamp, now: Timestamp) -> bool {
    now >= meta::after(at, PULL_ERROR_S)
}
