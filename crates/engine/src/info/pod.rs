//! A pod, described in kubectl's words.

use super::icon::Icon;
use super::meta::brief;
use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodInfo {
    pub object_meta: ObjectMeta,
    /// kubectl's STATUS: a phase, or the reason that says more.
    pub status: String,
    pub icon: Icon,
    /// Ready containers of all containers, `1/2`.
    pub ready: String,
    #[serde(skip_serializing_if = "super::images::is_zero")]
    pub restarts: i64,
}

impl PodInfo {
    pub(super) fn new(pod: &Pod) -> Self {
        let none = PodStatus::default();
        let view = View::of(pod, pod.status.as_ref().unwrap_or(&none));
        let icon = icon(&view.reason);
        Self {
            object_meta: brief(&pod.metadata),
            status: view.reason,
            icon,
            ready: format!("{}/{}", view.ready, view.total),
            restarts: view.restarts,
        }
    }
}

fn icon(reason: &str) -> Icon {
    if reason.starts_with("Init:") {
        return Icon::Progressing;
    }
    if reason.starts_with("Signal:") || reason.starts_with("ExitCode:") {
        return Icon::Bad;
    }
    if reason.ends_with("Error") || reason.starts_with("Err") {
        return Icon::Warning;
    }
    match reason {
        "Pending" | "Terminating" | "ContainerCreating" => Icon::Progressing,
        "Running" | "Completed" | "Successful" => Icon::Ok,
        "Failed" | "InvalidImageName" | "CrashLoopBackOff" => Icon::Bad,
        "ImagePullBackOff" | "RegistryUnavailable" | "ImageInspectError" => Icon::Warning,
        _ => Icon::Unknown,
    }
}

/// What `kubectl get pods` prints of a pod.
struct View {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
}

impl View {
    fn of(pod: &Pod, status: &PodStatus) -> Self {
        let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
        let statuses = status.container_statuses.as_deref().unwrap_or_default();
        let phase = status.phase.clone().unwrap_or_default();
        let reason = status
            .reason
            .clone()
            .filter(|reason| !reason.is_empty())
            .unwrap_or(phase);
        let mut view = Self {
            reason,
            ready: 0,
            total: containers.len(),
            restarts: 0,
        };
        if !view.initialising(pod, status) {
            view.running(status, statuses);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            let lost = status.reason.as_deref() == Some("NodeLost");
            if lost { "Unknown" } else { "Terminating" }.clone_into(&mut view.reason);
        }
        view
    }

    /// Looks at init containers; true if one of them holds the pod up.
    fn initialising(&mut self, pod: &Pod, status: &PodStatus) -> bool {
        let specs: &[Container] = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.init_containers.as_deref())
            .unwrap_or_default();
        let statuses = status
            .init_container_statuses
            .as_deref()
            .unwrap_or_default();
        let sidecar = |name: &str| {
            let spec = specs.iter().find(|spec| spec.name == name);
            spec.is_some_and(|spec| spec.restart_policy.as_deref() == Some("Always"))
        };
        self.total += specs.iter().filter(|spec| sidecar(&spec.name)).count();
        let mut restarts = 0;
        for (index, container) in statuses.iter().enumerate() {
            restarts += i64::from(container.restart_count);
            let state = container.state.clone().unwrap_or_default();
            let done = state
                .terminated
                .as_ref()
                .is_some_and(|state| state.exit_code == 0);
            if done {
                continue;
            }
            if sidecar(&container.name) && container.started == Some(true) {
                self.ready += usize::from(container.ready);
                continue;
            }
            self.restarts = restarts;
            self.reason = init_reason(&state, index, specs.len());
            return true;
        }
        // Restarts before the start of the pod don't count any more.
        false
    }

    fn running(&mut self, status: &PodStatus, statuses: &[ContainerStatus]) {
        let mut runs = false;
        // The first container has the last word.
        for container in statuses.iter().rev() {
            self.restarts += i64::from(container.restart_count);
            let state = container.state.clone().unwrap_or_default();
            let waiting = state.waiting.and_then(|state| state.reason);
            if let Some(reason) = waiting.filter(|reason| !reason.is_empty()) {
                self.reason = reason;
            } else if let Some(end) = state.terminated {
                self.reason = end
                    .reason
                    .filter(|reason| !reason.is_empty())
                    .unwrap_or_else(|| match end.signal.filter(|signal| *signal != 0) {
                        Some(signal) => format!("Signal:{signal}"),
                        None => format!("ExitCode:{}", end.exit_code),
                    });
            } else if container.ready && state.running.is_some() {
                runs = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && runs {
            let conditions = status.conditions.as_deref().unwrap_or_default();
            let ready = conditions
                .iter()
                .any(|one| one.type_ == "Ready" && one.status == "True");
            if ready { "Running" } else { "NotReady" }.clone_into(&mut self.reason);
        }
    }
}

fn init_reason(state: &ContainerState, index: usize, total: usize) -> String {
    let given = |reason: &Option<String>| reason.clone().filter(|reason| !reason.is_empty());
    if let Some(end) = &state.terminated {
        if let Some(reason) = given(&end.reason) {
            return format!("Init:{reason}");
        }
        return match end.signal.filter(|signal| *signal != 0) {
            Some(signal) => format!("Init:Signal:{signal}"),
            None => format!("Init:ExitCode:{}", end.exit_code),
        };
    }
    let waiting = state
        .waiting
        .as_ref()
        .and_then(|waiting| given(&waiting.reason));
    match waiting.filter(|reason| reason != "PodInitializing") {
        Some(reason) => format!("Init:{reason}"),
        None => format!("Init:{index}/{total}"),
    }
}
