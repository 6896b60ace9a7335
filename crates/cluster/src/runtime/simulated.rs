//! A runtime without machines: delays and [`Workload`] rules instead of processes, for virtual
//! time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, Service};

use super::{Command, Fact, ProbeKind, Runtime, What};
use crate::meta;
use crate::workload::{Pull, Workload, hash};

/// How long things take, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    pub pull_ms: u64,
    pub start_ms: u64,
    /// From the stop signal to the exit.
    pub stop_ms: u64,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            pull_ms: 0,
            start_ms: 500,
            stop_ms: 1_000,
        }
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Simulated {
    delays: Delays,
    next_address: u32,
    /// Running containers, by pod uid and name.
    running: BTreeMap<String, BTreeMap<String, Process>>,
    /// Facts to come, by the time they come true and the order they were caused in.
    due: BTreeMap<(Timestamp, u64), Fact>,
    sequence: u64,
}

/// How a process is made to end.
#[derive(Clone, Copy, Debug)]
struct End {
    delay_ms: u64,
    code: i32,
}

#[derive(Debug)]
struct Process {
    attempt: i32,
    started: Timestamp,
    workload: Workload,
}

impl Simulated {
    /// A runtime with the given delays.
    pub fn new(delays: Delays) -> Self {
        Self {
            delays,
            ..Self::default()
        }
    }

    fn after_ms(&mut self, now: Timestamp, delay_ms: u64, pod: &Pod, what: What) {
        let delay = SignedDuration::from_millis(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        let at = now.checked_add(delay).unwrap_or(Timestamp::MAX);
        self.sequence += 1;
        let fact = Fact {
            uid: meta::uid(&pod.metadata).to_owned(),
            what,
        };
        self.due.insert((at, self.sequence), fact);
    }

    fn pull(&mut self, pod: &Pod, container: String, now: Timestamp) {
        let Some(workload) = workload(pod, &container) else {
            return;
        };
        let result = match workload.pull {
            Pull::Ok => Ok(()),
            Pull::NotFound(message) => Err(("ErrImagePull", message)),
            Pull::InvalidName(message) => Err(("InvalidImageName", message)),
        };
        self.after_ms(
            now,
            self.delays.pull_ms,
            pod,
            What::Pulled { container, result },
        );
    }

    fn start(&mut self, pod: &Pod, container: String, attempt: i32, now: Timestamp) {
        let Some(workload) = workload(pod, &container) else {
            return;
        };
        let start_ms = self.delays.start_ms;
        let exit = workload.exit;
        let started = now.checked_add(SignedDuration::from_millis(start_ms as i64));
        let process = Process {
            attempt,
            started: started.unwrap_or(now),
            workload,
        };
        let own = self
            .running
            .entry(meta::uid(&pod.metadata).to_owned())
            .or_default();
        own.insert(container.clone(), process);
        self.after_ms(
            now,
            start_ms,
            pod,
            What::Started {
                container: container.clone(),
                attempt,
            },
        );
        if let Some(exit) = exit {
            let delay_ms = start_ms.saturating_add(exit.after_s.saturating_mul(1_000));
            self.after_ms(
                now,
                delay_ms,
                pod,
                What::Exited {
                    container,
                    attempt,
                    code: exit.code,
                },
            );
        }
    }

    fn probe(
        &self,
        pod: &Pod,
        container: &str,
        kind: ProbeKind,
        now: Timestamp,
    ) -> Result<(), String> {
        let process = self
            .running
            .get(meta::uid(&pod.metadata))
            .and_then(|own| own.get(container));
        match process {
            None => Err("connect: connection refused".to_owned()),
            Some(process) => {
                let age_s = now.duration_since(process.started).as_secs();
                let late = age_s < i64::try_from(process.workload.start_s).unwrap_or(i64::MAX);
                // An unready workload still lives: only its readiness and startup fail.
                if late || (process.workload.unready && kind != ProbeKind::Liveness) {
                    Err("HTTP probe failed with statuscode: 503".to_owned())
                } else {
                    Ok(())
                }
            }
        }
    }

    fn stop(&mut self, pod: &Pod, container: String, end: End, now: Timestamp) {
        let own = self.running.get_mut(meta::uid(&pod.metadata));
        let Some(process) = own.and_then(|own| own.remove(&container)) else {
            return;
        };
        let what = What::Exited {
            container,
            attempt: process.attempt,
            code: end.code,
        };
        self.after_ms(now, end.delay_ms, pod, what);
    }
}

impl Runtime for Simulated {
    fn run(&mut self, pod: &Pod, command: Command, now: Timestamp) {
        match command {
            Command::Attach => {
                // 10.64.0.0/10, from .0.1 on; wraps after four million pods.
                self.next_address = self.next_address % 0x003f_ffff + 1;
                let address = Ipv4Addr::from_bits(0x0a40_0000 | self.next_address);
                self.after_ms(now, 0, pod, What::Attached(IpAddr::V4(address)));
            }
            Command::Pull { container } => self.pull(pod, container, now),
            Command::Start { container, attempt } => self.start(pod, container, attempt, now),
            Command::Probe {
                container,
                attempt,
                kind,
            } => {
                let result = self.probe(pod, &container, kind, now);
                let what = What::Probed {
                    container,
                    attempt,
                    kind,
                    result,
                };
                self.after_ms(now, 0, pod, what);
            }
            Command::PreStop { container } => {
                self.after_ms(now, 0, pod, What::PreStopped { container });
            }
            Command::Stop { container, grace_s } => {
                let grace_ms = u64::try_from(grace_s).unwrap_or(0).saturating_mul(1_000);
                let delay_ms = self.delays.stop_ms.min(grace_ms);
                self.stop(pod, container, End { delay_ms, code: 0 }, now);
            }
            Command::Kill { container } => {
                let end = End {
                    delay_ms: 0,
                    code: 137,
                };
                self.stop(pod, container, end, now);
            }
            Command::Remove => {
                self.running.remove(meta::uid(&pod.metadata));
            }
        }
    }

    fn take(&mut self, now: Timestamp) -> Vec<Fact> {
        let later = self.due.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.due, later)
            .into_values()
            .collect()
    }

    fn next(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// TEST-NET-3, by name.
    fn load_balancer(&mut self, service: &Service) -> Option<IpAddr> {
        let name = format!(
            "{}/{}",
            meta::namespace(&service.metadata),
            meta::name(&service.metadata)
        );
        let host = u8::try_from(hash(&name) % 254 + 1).unwrap_or(1);
        Some(IpAddr::from([203, 0, 113, host]))
    }
}

/// The workload of one container of a pod.
pub fn workload(pod: &Pod, name: &str) -> Option<Workload> {
    let spec = pod.spec.as_ref()?;
    let is_init = spec
        .init_containers
        .iter()
        .flatten()
        .any(|container| container.name == name);
    let mut all = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let container: &Container = all.find(|container| container.name == name)?;
    let restarts = if is_init {
        container.restart_policy.as_deref() == Some("Always")
    } else {
        spec.restart_policy.as_deref().unwrap_or("Always") == "Always"
    };
    Some(Workload::of(container, restarts))
}
