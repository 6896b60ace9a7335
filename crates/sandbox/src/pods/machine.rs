//! Carries out the kubelet's commands with sockets and tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cluster::meta;
use cluster::runtime::{Command, Fact, ProbeKind, Runtime, What, workload};
use cluster::workload::{Pull, Workload};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::command::Program;
use super::process::{Process, Spec};
use super::{Facts, probe};
use crate::addresses::Addresses;

/// A pod that names no port listens here.
const DEFAULT_PORT: u16 = 8080;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Machine {
    addresses: Arc<Addresses>,
    facts: Facts,
    handle: Handle,
    tracker: TaskTracker,
    /// Whether commands of containers are run as processes of this machine.
    runs_commands: bool,
    pods: BTreeMap<String, Running>,
}

#[derive(Debug)]
struct Running {
    ip: IpAddr,
    processes: BTreeMap<String, Process>,
}

impl Machine {
    /// Tasks run on the current runtime, and `tracker` counts them.
    pub(crate) fn new(addresses: Arc<Addresses>, facts: Facts, tracker: TaskTracker) -> Self {
        Self {
            addresses,
            facts,
            handle: Handle::current(),
            tracker,
            runs_commands: false,
            pods: BTreeMap::new(),
        }
    }

    /// Containers that name a command get it run, with the rights of this process: only for pods
    /// that are trusted.
    pub(crate) fn running_commands(self) -> Self {
        Self {
            runs_commands: true,
            ..self
        }
    }

    fn attach(&mut self, uid: &str) {
        let Some(ip) = self.addresses.take() else {
            self.facts.push(
                uid,
                What::NotAttached("no loopback address is free".to_owned()),
            );
            return;
        };
        self.pods.insert(
            uid.to_owned(),
            Running {
                ip,
                processes: BTreeMap::new(),
            },
        );
        self.facts.push(uid, What::Attached(ip));
    }

    fn pull(&self, pod: &Pod, container: String) {
        let Some(workload) = workload(pod, &container) else {
            return;
        };
        let result = match workload.pull {
            Pull::Ok => Ok(()),
            Pull::NotFound(message) => Err(("ErrImagePull", message)),
            Pull::InvalidName(message) => Err(("InvalidImageName", message)),
        };
        self.facts
            .push(meta::uid(&pod.metadata), What::Pulled { container, result });
    }

    fn start(&mut self, pod: &Pod, name: String, attempt: i32) {
        let uid = meta::uid(&pod.metadata);
        let (Some(workload), Some(container)) = (workload(pod, &name), find(pod, &name)) else {
            return;
        };
        let Some(running) = self.pods.get_mut(uid) else {
            return;
        };
        // The old life's listeners must be closed before the new one's open.
        drop(running.processes.remove(&name));
        let mut listeners = Vec::new();
        for port in ports(pod, container, &workload) {
            let address = SocketAddr::new(running.ip, port);
            match self.addresses.listen(address) {
                Ok(listener) => listeners.push(listener),
                Err(error) => {
                    let message = format!("cannot listen on {address}: {error}");
                    let what = What::NotStarted {
                        container: name,
                        attempt,
                        code: 128,
                        message,
                    };
                    self.facts.push(uid, what);
                    return;
                }
            }
        }
        let command = Program::of(container).filter(|_| self.runs_commands);
        let spec = Spec {
            uid: uid.to_owned(),
            command,
            container: name.clone(),
            attempt,
            workload,
            identity: super::workload::Identity::of(pod),
            tracker: self.tracker.clone(),
        };
        let process = Process::start(spec, listeners, self.facts.clone(), &self.handle);
        running.processes.insert(name.clone(), process);
        self.facts.push(
            uid,
            What::Started {
                container: name,
                attempt,
            },
        );
    }

    fn probe(&self, pod: &Pod, name: String, attempt: i32, kind: ProbeKind) {
        let uid = meta::uid(&pod.metadata).to_owned();
        let Some(container) = find(pod, &name) else {
            return;
        };
        let probe = match kind {
            ProbeKind::Startup => &container.startup_probe,
            ProbeKind::Liveness => &container.liveness_probe,
            ProbeKind::Readiness => &container.readiness_probe,
        };
        let (Some(probe), Some(running)) = (probe, self.pods.get(&uid)) else {
            return;
        };
        let check = probe::Check::of(probe, container, running.ip);
        let (facts, addresses) = (self.facts.clone(), Arc::clone(&self.addresses));
        self.handle.spawn(async move {
            let result = check.run(&addresses).await;
            facts.push(
                &uid,
                What::Probed {
                    container: name,
                    attempt,
                    kind,
                    result,
                },
            );
        });
    }

    fn pre_stop(&self, pod: &Pod, name: String) {
        let uid = meta::uid(&pod.metadata).to_owned();
        let hook = find(pod, &name).and_then(|container| {
            let get = container
                .lifecycle
                .as_ref()?
                .pre_stop
                .as_ref()?
                .http_get
                .as_ref()?;
            Some(probe::Check::hook(get, container, self.pods.get(&uid)?.ip))
        });
        let (facts, addresses) = (self.facts.clone(), Arc::clone(&self.addresses));
        self.handle.spawn(async move {
            if let Some(hook) = hook
                && let Err(error) = hook.run(&addresses).await
            {
                tracing::debug!(%error, pod = uid, "preStop hook failed");
            }
            facts.push(&uid, What::PreStopped { container: name });
        });
    }

    fn process(&mut self, pod: &Pod, container: &str) -> Option<&mut Process> {
        self.pods
            .get_mut(meta::uid(&pod.metadata))?
            .processes
            .get_mut(container)
    }
}

impl Runtime for Machine {
    fn run(&mut self, pod: &Pod, command: Command, _now: Timestamp) {
        let uid = meta::uid(&pod.metadata);
        match command {
            Command::Attach => self.attach(uid),
            Command::Pull { container } => self.pull(pod, container),
            Command::Start { container, attempt } => self.start(pod, container, attempt),
            Command::Probe {
                container,
                attempt,
                kind,
            } => self.probe(pod, container, attempt, kind),
            Command::PreStop { container } => self.pre_stop(pod, container),
            Command::Stop { container, .. } => {
                if let Some(process) = self.process(pod, &container) {
                    process.stop();
                }
            }
            Command::Kill { container } => {
                if let Some(process) = self.process(pod, &container) {
                    process.kill();
                }
            }
            Command::Remove => {
                if let Some(running) = self.pods.remove(uid) {
                    self.addresses.give_back(running.ip);
                }
            }
        }
    }

    fn take(&mut self, _now: Timestamp) -> Vec<Fact> {
        self.facts.take()
    }

    /// Facts announce themselves.
    fn next(&self) -> Option<Timestamp> {
        None
    }

    fn load_balancer(&mut self, service: &Service) -> Option<IpAddr> {
        self.addresses.service(
            meta::namespace(&service.metadata),
            meta::name(&service.metadata),
        )
    }
}

fn find<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    let mut all = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    all.find(|container| container.name == name)
}

/// Where a container listens: where it says so, and the first of a pod in which nobody says
/// anything at [`DEFAULT_PORT`]. The containers of a pod share an address, so that only one of them
/// can have a port. A task, which ends by itself, has no port unless it says so.
fn ports(pod: &Pod, container: &Container, workload: &Workload) -> BTreeSet<u16> {
    let mut ports = said(container);
    let spec = pod.spec.as_ref();
    let main = spec.map_or(&[][..], |spec| spec.containers.as_slice());
    let init = spec.and_then(|spec| spec.init_containers.as_deref());
    let mut all = main.iter().chain(init.unwrap_or_default());
    let is_first = main.first().is_some_and(|own| own.name == container.name);
    let silent =
        |own: &Container| own.ports.as_ref().is_none_or(Vec::is_empty) && said(own).is_empty();
    if is_first && workload.exit.is_none() && all.all(silent) {
        ports.insert(DEFAULT_PORT);
    }
    ports
}

/// The declared TCP ports of a container and those that its HTTP probes name.
fn said(container: &Container) -> BTreeSet<u16> {
    let declared = container.ports.iter().flatten();
    let tcp = declared.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
    let mut ports: BTreeSet<u16> = tcp
        .filter_map(|port| u16::try_from(port.container_port).ok())
        .collect();
    let probes = [
        &container.startup_probe,
        &container.liveness_probe,
        &container.readiness_probe,
    ];
    for get in probes
        .into_iter()
        .flatten()
        .filter_map(|probe| probe.http_get.as_ref())
    {
        if let IntOrString::Int(port) = get.port {
            ports.extend(u16::try_from(port));
        }
    }
    ports.remove(&0);
    ports
}

/// The port that a probe or hook names.
pub(super) fn port(container: &Container, port: &IntOrString) -> Option<u16> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_ref() == Some(name));
            named.and_then(|port| u16::try_from(port.container_port).ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Where each container of a pod listens.
    fn listens(containers: &Value) -> Vec<Vec<u16>> {
        let spec = json!({ "containers": containers });
        listens_all(&spec)
    }

    fn listens_all(spec: &Value) -> Vec<Vec<u16>> {
        let pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let containers = &pod.spec.as_ref().unwrap().containers;
        let of = |container: &Container| {
            let workload = workload(&pod, &container.name).unwrap();
            ports(&pod, container, &workload).into_iter().collect()
        };
        containers.iter().map(of).collect()
    }

    #[test]
    fn containers_listen_where_they_say() {
        let declared = json!([{ "name": "app", "image": "a", "ports": [
            { "containerPort": 9000 }, { "containerPort": 53, "protocol": "UDP" },
        ], "readinessProbe": { "httpGet": { "port": 9001 } } }]);
        assert_eq!(listens(&declared), [[9000, 9001]]);
        let udp = json!([
            { "name": "app", "image": "a", "ports": [{ "containerPort": 53, "protocol": "UDP" }] },
        ]);
        assert_eq!(listens(&udp), [[0; 0]]);
    }

    #[test]
    fn one_container_of_a_pod_that_names_no_port_listens_at_the_default() {
        assert_eq!(listens(&json!([{ "name": "app", "image": "a" }])), [[8080]]);
        let two = json!([{ "name": "app", "image": "a" }, { "name": "log", "image": "a" }]);
        assert_eq!(listens(&two), [vec![8080], vec![]]);
        let task = json!([{ "name": "app", "image": "a", "command": ["sleep", "1; exit 0"] }]);
        assert_eq!(listens(&task), [[0; 0]]);
    }

    #[test]
    fn a_sidecar_without_ports_does_not_take_those_of_the_app() {
        let app = json!({ "name": "app", "image": "a", "ports": [{ "containerPort": 8080 }] });
        let probed = json!({ "name": "app", "image": "a",
            "livenessProbe": { "httpGet": { "port": 8080 } } });
        let log = json!({ "name": "log", "image": "a" });
        for first in [&app, &probed] {
            assert_eq!(listens(&json!([first, log])), [vec![8080], vec![]]);
            assert_eq!(listens(&json!([log, first])), [vec![], vec![8080]]);
        }
        let proxied = json!({
            "initContainers": [{ "name": "proxy", "image": "a", "restartPolicy": "Always",
                                 "ports": [{ "containerPort": 8080 }] }],
            "containers": [log],
        });
        assert_eq!(listens_all(&proxied), [[0; 0]]);
    }
}
