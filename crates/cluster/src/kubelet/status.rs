//! What the kubelet reports of a pod.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use serde_json::{Value, json};

use super::record::{Address, ContainerRecord, Image, State, Terminated};
use super::{Context, Restart, container};
use crate::{Kind, Target, Write, meta, pods};

impl Context<'_> {
    /// Writes the status if the stored one differs in anything that the kubelet owns.
    pub(super) fn report(&mut self) {
        if pods::is_finished(self.pod) {
            // How it ended is on record; nothing moves a finished pod.
            return;
        }
        let want = self.status();
        let live = self.pod.status.clone().unwrap_or_default();
        if same(&live, &want) {
            return;
        }
        let mut status = json!(want);
        if want.phase != live.phase && live.reason.is_some() {
            status["reason"] = Value::Null;
            status["message"] = Value::Null;
        }
        // A merge keeps what is not named: a pod that became ready would go on saying why it was
        // not.
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            for field in ["reason", "message"] {
                if condition.get(field).is_none() {
                    condition[field] = Value::Null;
                }
            }
        }
        self.step.writes.push(Write::StrategicStatus {
            target: Target::of(Kind::POD, &self.pod.metadata),
            patch: json!({ "status": status }),
        });
    }

    fn status(&self) -> PodStatus {
        let spec = self.spec;
        let of = |containers: &[Container]| -> Vec<ContainerStatus> {
            containers
                .iter()
                .filter_map(|container| self.container_status(container))
                .collect()
        };
        let main = of(&spec.containers);
        let init = spec
            .init_containers
            .as_deref()
            .map(of)
            .filter(|init| !init.is_empty());
        let phase = self.phase();
        let ip = match self.record.address {
            Address::Have(ip) => Some(ip.to_string()),
            _ => None,
        };
        PodStatus {
            conditions: Some(self.conditions(phase)),
            container_statuses: Some(main),
            init_container_statuses: init,
            host_ip: Some(self.host.to_string()),
            host_ips: Some(vec![HostIP {
                ip: self.host.to_string(),
            }]),
            pod_ips: ip.clone().map(|ip| vec![PodIP { ip }]),
            pod_ip: ip,
            phase: Some(phase.to_owned()),
            start_time: Some(meta::time(self.record.started)),
            ..Default::default()
        }
    }

    fn init_done(&self) -> bool {
        self.spec
            .init_containers
            .iter()
            .flatten()
            .all(|container| self.init_is_done(container))
    }

    fn phase(&self) -> &'static str {
        if self
            .record
            .init
            .iter()
            .any(|init| self.restart() == Restart::Never && failed(&init.state))
        {
            return "Failed";
        }
        if !self.init_done() {
            return "Pending";
        }
        let (mut waiting, mut running, mut stopped, mut succeeded) = (0, 0, 0, 0);
        for record in &self.record.containers {
            match &record.state {
                State::Waiting | State::Starting if record.last.is_some() => stopped += 1,
                State::Waiting | State::Starting => waiting += 1,
                State::Running { .. } => running += 1,
                State::Terminated(end) => {
                    stopped += 1;
                    succeeded += i32::from(end.code == 0);
                }
            }
        }
        match self.restart() {
            _ if waiting > 0 => "Pending",
            _ if running > 0 => "Running",
            Restart::Always if !self.record.stopping => "Running",
            _ if stopped == succeeded => "Succeeded",
            Restart::OnFailure if !self.record.stopping => "Running",
            _ => "Failed",
        }
    }

    fn conditions(&self, phase: &str) -> Vec<PodCondition> {
        let unready: Vec<&str> = self
            .record
            .containers
            .iter()
            .filter(|record| !record.ready)
            .map(|record| record.name.as_str())
            .collect();
        let containers_ready = match phase {
            "Succeeded" => not("ContainersReady", "PodCompleted", None),
            "Failed" => not("ContainersReady", "PodFailed", None),
            _ if unready.is_empty() => yes("ContainersReady"),
            _ => {
                let text = format!("containers with unready status: [{}]", unready.join(" "));
                not("ContainersReady", "ContainersNotReady", Some(text))
            }
        };
        let mut ready = PodCondition {
            type_: "Ready".to_owned(),
            ..containers_ready.clone()
        };
        if ready.status == "True"
            && let Some(text) = self.closed_gates()
        {
            ready = not("Ready", "ReadinessGatesNotReady", Some(text));
        }
        let sandbox = if matches!(self.record.address, Address::Have(_)) && !has_ended(phase) {
            yes("PodReadyToStartContainers")
        } else {
            not("PodReadyToStartContainers", "", None)
        };
        let conditions = [
            sandbox,
            self.initialized(phase),
            ready,
            containers_ready,
            yes("PodScheduled"),
        ];
        conditions
            .into_iter()
            .map(|condition| self.dated(condition))
            .collect()
    }

    fn initialized(&self, phase: &str) -> PodCondition {
        if self.init_done() {
            return if phase == "Succeeded" {
                PodCondition {
                    reason: Some("PodCompleted".to_owned()),
                    ..yes("Initialized")
                }
            } else {
                yes("Initialized")
            };
        }
        let init = self.spec.init_containers.iter().flatten();
        let open: Vec<&str> = init
            .filter(|c| !self.init_is_done(c))
            .map(|c| c.name.as_str())
            .collect();
        let text = format!("containers with incomplete status: [{}]", open.join(" "));
        not("Initialized", "ContainersNotInitialized", Some(text))
    }

    fn closed_gates(&self) -> Option<String> {
        let closed: Vec<String> = self
            .spec
            .readiness_gates
            .iter()
            .flatten()
            .filter_map(|gate| {
                let kind = &gate.condition_type;
                match pods::condition(self.pod, kind) {
                    None => Some(format!(
                        "corresponding condition of pod readiness gate \"{kind}\" does not exist."
                    )),
                    Some(live) if live.status != "True" => Some(format!(
                        "the status of pod readiness gate \"{kind}\" is not \"True\", but {}",
                        live.status
                    )),
                    Some(_) => None,
                }
            })
            .collect();
        (!closed.is_empty()).then(|| closed.join(", "))
    }

    /// The transition time moves only with the status.
    fn dated(&self, condition: PodCondition) -> PodCondition {
        let live = pods::condition(self.pod, &condition.type_);
        let since = live
            .filter(|live| live.status == condition.status)
            .and_then(|live| live.last_transition_time.clone());
        let at = since.unwrap_or_else(|| meta::time(self.now));
        PodCondition {
            last_transition_time: Some(at),
            ..condition
        }
    }

    fn container_status(&self, container: &Container) -> Option<ContainerStatus> {
        let record = self.record.find(&container.name)?;
        let image = container.image.clone().unwrap_or_default();
        let known = record.image == Image::Present;
        Some(ContainerStatus {
            name: container.name.clone(),
            image_id: if known {
                format!("weir.local/{image}")
            } else {
                String::new()
            },
            image,
            ready: record.ready,
            started: Some(record.started),
            restart_count: record.restarts,
            container_id: record.is_alive().then(|| self.container_id(record)),
            state: Some(self.state(record)),
            last_state: Some(ContainerState {
                terminated: record.last.as_ref().map(terminated),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    fn container_id(&self, record: &ContainerRecord) -> String {
        let uid = meta::uid(&self.pod.metadata);
        format!("weir://{uid}/{}/{}", record.name, record.restarts)
    }

    fn state(&self, record: &ContainerRecord) -> ContainerState {
        let waiting = |reason: &str, message: Option<String>| ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some(reason.to_owned()),
                message,
            }),
            ..Default::default()
        };
        match &record.state {
            State::Running { since } => ContainerState {
                running: Some(ContainerStateRunning {
                    started_at: Some(meta::time(*since)),
                }),
                ..Default::default()
            },
            State::Terminated(end) if self.is_crash_looping(record, end) => {
                waiting("CrashLoopBackOff", Some(self.crash_message(record)))
            }
            State::Terminated(end) => ContainerState {
                terminated: Some(terminated(end)),
                ..Default::default()
            },
            State::Waiting => match &record.image {
                Image::Failed {
                    message,
                    at,
                    reason: "ErrImagePull",
                    ..
                } if container::backs_off(*at, self.now) => {
                    let image = self.image(record);
                    let text =
                        format!("Back-off pulling image \"{image}\": ErrImagePull: {message}");
                    waiting("ImagePullBackOff", Some(text))
                }
                Image::Failed {
                    reason, message, ..
                } => waiting(reason, Some(message.clone())),
                _ if self.init_done() => waiting("ContainerCreating", None),
                _ => waiting("PodInitializing", None),
            },
            State::Starting if record.last.is_some() || self.init_done() => {
                waiting("ContainerCreating", None)
            }
            State::Starting => waiting("PodInitializing", None),
        }
    }

    fn image(&self, record: &ContainerRecord) -> String {
        let mut all = self
            .spec
            .containers
            .iter()
            .chain(self.spec.init_containers.iter().flatten());
        let container = all.find(|container| container.name == record.name);
        container
            .and_then(|container| container.image.clone())
            .unwrap_or_default()
    }

    /// Waiting out a back-off; a container that is never started again shows its end instead.
    fn is_crash_looping(&self, record: &ContainerRecord, end: &Terminated) -> bool {
        let again = match self.restart() {
            Restart::Always => true,
            Restart::OnFailure => end.code != 0,
            Restart::Never => false,
        };
        again && record.backoff_s > 0 && !self.record.stopping
    }

    fn crash_message(&self, record: &ContainerRecord) -> String {
        let wait = if record.backoff_s >= 60 {
            format!("{}m{}s", record.backoff_s / 60, record.backoff_s % 60)
        } else {
            format!("{}s", record.backoff_s)
        };
        let pod: &Pod = self.pod;
        format!(
            "back-off {wait} restarting failed container={} pod={}_{}({})",
            record.name,
            meta::name(&pod.metadata),
            meta::namespace(&pod.metadata),
            meta::uid(&pod.metadata)
        )
    }
}

fn has_ended(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

fn failed(state: &State) -> bool {
    matches!(state, State::Terminated(end) if end.code != 0)
}

fn terminated(end: &Terminated) -> ContainerStateTerminated {
    let reason = match end.code {
        0 => "Completed",
        128 if end.message.is_some() => "StartError",
        _ => "Error",
    };
    ContainerStateTerminated {
        exit_code: end.code,
        reason: Some(reason.to_owned()),
        message: end.message.clone(),
        started_at: Some(meta::time(end.started)),
        finished_at: Some(meta::time(end.finished)),
        ..Default::default()
    }
}

fn yes(kind: &str) -> PodCondition {
    PodCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        ..Default::default()
    }
}

fn not(kind: &str, reason: &str, message: Option<String>) -> PodCondition {
    PodCondition {
        type_: kind.to_owned(),
        status: "False".to_owned(),
        reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
        message,
        ..Default::default()
    }
}

/// Whether the stored status already says what the kubelet would.
fn same(live: &PodStatus, want: &PodStatus) -> bool {
    let conditions = want.conditions.iter().flatten().all(|want| {
        let mut stored = live.conditions.iter().flatten();
        stored.any(|live| {
            live.type_ == want.type_
                && live.status == want.status
                && live.reason == want.reason
                && live.message == want.message
        })
    });
    let lists = |list: &Option<Vec<ContainerStatus>>| -> Vec<ContainerStatus> {
        list.iter().flatten().cloned().map(normal).collect()
    };
    conditions
        && live.phase == want.phase
        && live.pod_ip == want.pod_ip
        && live.host_ip == want.host_ip
        && live.start_time == want.start_time
        && lists(&live.container_statuses) == lists(&want.container_statuses)
        && lists(&live.init_container_statuses) == lists(&want.init_container_statuses)
}

/// Absent and empty states are the same.
fn normal(mut status: ContainerStatus) -> ContainerStatus {
    status.last_state = status
        .last_state
        .filter(|state| *state != ContainerState::default());
    status
}
