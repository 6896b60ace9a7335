//! What is wrong with the pods of a ReplicaSet.

use super::remedy::Remedy;
use super::since::at;
use super::{Teller, count};
use crate::rollout::replica_set::OwnedSet;
use crate::rollout::time::plus_seconds;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

/// So many pods are named; of more only the number is said.
const NAMED_MAX: usize = 3;

/// One thing that keeps a pod from being available.
struct Fault {
    what: String,
    remedy: Remedy,
}

impl Teller<'_> {
    /// Why pods of a ReplicaSet are not available, one line for each reason, and what to do about
    /// the first.
    pub(super) fn faults(&self, set: &OwnedSet) -> (Vec<String>, Vec<Remedy>) {
        let mut groups: Vec<(Fault, Vec<&str>)> = Vec::new();
        let mut pods = self.pods_of(set);
        // Those that are to go anyway come last: what keeps another one back is worth more.
        pods.sort_by_key(|pod| {
            let is_leaving = pod.metadata.deletion_timestamp.is_some();
            (is_leaving, pod.metadata.name.as_deref())
        });
        for pod in pods {
            let Some(fault) = self.fault(pod) else {
                continue;
            };
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            match groups
                .iter_mut()
                .find(|(known, _)| known.what == fault.what)
            {
                Some((_, names)) => names.push(name),
                None => groups.push((fault, vec![name])),
            }
        }
        let (mut lines, mut remedies): (Vec<String>, Vec<Remedy>) =
            self.refused_pods(set).into_iter().unzip();
        lines.extend(groups.iter().map(|(fault, names)| line(&fault.what, names)));
        remedies.extend(groups.into_iter().map(|(fault, _)| fault.remedy).take(1));
        (lines, remedies)
    }

    /// The pods that a ReplicaSet controls.
    pub(super) fn pods_of(&self, set: &OwnedSet) -> Vec<&Pod> {
        let pods = self.seen.snapshot.pods.iter().map(AsRef::as_ref);
        let own = pods.filter(|pod: &&Pod| {
            let mut owners = pod.metadata.owner_references.iter().flatten();
            owners.any(|owner| owner.controller == Some(true) && owner.uid == set.uid())
        });
        own.collect()
    }

    /// The ReplicaSet can't make its pods (a quota, an admission webhook), and what to do about it.
    fn refused_pods(&self, set: &OwnedSet) -> Option<(String, Remedy)> {
        let status = set.live.status.as_ref()?;
        let mut conditions = status.conditions.iter().flatten();
        let failure =
            conditions.find(|one| one.type_ == "ReplicaFailure" && one.status == "True")?;
        let message = failure.message.as_deref().unwrap_or("no message");
        let since = failure.last_transition_time.as_ref();
        let since = since.map_or_else(String::new, |time| {
            format!(" since {}", at(time.0, self.seen.now))
        });
        let line = format!("{} cannot make pods{since}: {message}", set.name());
        Some((line, self.see_to_refusal(message)))
    }

    fn fault(&self, pod: &Pod) -> Option<Fault> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let describe = || Remedy::kubectl(format!("describe pod {name}"), "shows its events");
        let plain = |what: String| {
            let remedy = describe();
            Some(Fault { what, remedy })
        };
        if let Some(end) = &pod.metadata.deletion_timestamp {
            // A pod is stamped with the end of its grace period, not with the time of its deletion.
            let when = at(end.0, self.seen.now);
            return plain(if end.0 > self.seen.now {
                format!("on its way out until {when}")
            } else {
                format!("on its way out; its grace period ended at {when}")
            });
        }
        let Some(status) = &pod.status else {
            return plain("not seen by any node yet".to_owned());
        };
        if status.phase.as_deref() == Some("Failed") {
            let reason = status.reason.as_deref().unwrap_or("no reason");
            let message = status.message.as_deref().unwrap_or("no message");
            return plain(format!("failed ({reason}): {message}"));
        }
        if let Some(unplaced) = condition(pod, "PodScheduled").filter(|one| one.status == "False") {
            let message = unplaced.message.as_deref().unwrap_or("no message");
            return plain(format!("cannot be scheduled: {message}"));
        }
        let statuses = |all: &Option<Vec<ContainerStatus>>| all.clone().unwrap_or_default();
        let all = [
            statuses(&status.init_container_statuses),
            statuses(&status.container_statuses),
        ];
        let mut all = all.iter().flatten();
        if let Some(fault) = all.find_map(|container| self.container_fault(pod, container)) {
            return Some(fault);
        }
        self.not_ready(pod).and_then(plain)
    }

    fn container_fault(&self, pod: &Pod, container: &ContainerStatus) -> Option<Fault> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let state = container.state.as_ref()?;
        let restarts = container.restart_count;
        if let Some(waiting) = &state.waiting {
            let reason = waiting.reason.as_deref().unwrap_or("no reason");
            if matches!(reason, "ContainerCreating" | "PodInitializing") {
                return None;
            }
            let message = waiting.message.as_deref().unwrap_or("no message");
            let of = &container.name;
            if reason.contains("Image") || reason == "RegistryUnavailable" {
                let verb = format!("set image {} {of}=IMAGE", self.name());
                return Some(Fault {
                    what: format!(
                        "container {of} cannot get its image \"{}\" ({reason}): {message}",
                        image(pod, container)
                    ),
                    remedy: Remedy::weir(verb, "names an image that exists"),
                });
            }
            if reason == "CrashLoopBackOff" {
                let end = self.last_end(container);
                return Some(Fault {
                    what: format!(
                        "container {of} keeps crashing, {} so far{end}",
                        count(restarts, "restart")
                    ),
                    remedy: logs(name, of, true),
                });
            }
            return Some(Fault {
                what: format!("container {of} cannot start ({reason}): {message}"),
                remedy: Remedy::kubectl(format!("describe pod {name}"), "shows its events"),
            });
        }
        let ended = state.terminated.as_ref().filter(|end| end.exit_code != 0)?;
        let reason = ended.reason.as_deref().unwrap_or("Error");
        Some(Fault {
            what: format!(
                "container {} exited with code {} ({reason}), {} so far",
                container.name,
                ended.exit_code,
                count(restarts, "restart")
            ),
            remedy: logs(name, &container.name, false),
        })
    }

    /// `, the last time with exit code 137 (OOMKilled) at …`.
    fn last_end(&self, container: &ContainerStatus) -> String {
        let last = container.last_state.as_ref();
        let Some(end) = last.and_then(|state| state.terminated.as_ref()) else {
            return String::new();
        };
        let reason = end.reason.as_deref().unwrap_or("Error");
        let when = end.finished_at.as_ref().map_or_else(String::new, |time| {
            format!(" at {}", at(time.0, self.seen.now))
        });
        format!(
            ", the last time with exit code {} ({reason}){when}",
            end.exit_code
        )
    }

    /// ` (container app, ContainerCreating)`; what the condition says, if all containers are ready.
    fn not_ready_part(pod: &Pod, ready: &PodCondition) -> String {
        let statuses = pod.status.iter();
        let mut containers = statuses.flat_map(|status| status.container_statuses.iter().flatten());
        let Some(container) = containers.find(|container| !container.ready) else {
            let message = ready.message.as_deref();
            let message = message.filter(|message| !message.is_empty());
            return message.map_or_else(String::new, |message| format!(" ({message})"));
        };
        let state = container.state.as_ref();
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_ref());
        let reason = reason.map_or_else(String::new, |reason| format!(", {reason}"));
        let restarts = match container.restart_count {
            0 => String::new(),
            restarts => format!(", {} so far", count(restarts, "restart")),
        };
        format!(" (container {}{reason}{restarts})", container.name)
    }

    /// It runs, or is about to, and is not ready, or not for long enough.
    fn not_ready(&self, pod: &Pod) -> Option<String> {
        let now = self.seen.now;
        let since = |one: &PodCondition| one.last_transition_time.as_ref().map(|time| time.0);
        let Some(ready) = condition(pod, "Ready") else {
            let created = pod.metadata.creation_timestamp.as_ref();
            let created =
                created.map_or_else(String::new, |time| format!(", made at {}", at(time.0, now)));
            return Some(format!("not ready yet{created}"));
        };
        if ready.status != "True" {
            let which = Self::not_ready_part(pod, ready);
            let since =
                since(ready).map_or_else(String::new, |time| format!(" since {}", at(time, now)));
            return Some(format!("not ready{which}{since}"));
        }
        let min_ready_s = i64::from(self.spec().min_ready_s());
        let available: Timestamp = plus_seconds(since(ready)?, min_ready_s);
        (min_ready_s > 0 && available > now).then(|| {
            format!(
                "ready, and available at {} (minReadySeconds: {min_ready_s})",
                at(available, now)
            )
        })
    }
}

fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<&'p PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|one| one.type_ == kind)
}

/// As the author wrote it; the node's name for it if the spec says nothing.
fn image(pod: &Pod, container: &ContainerStatus) -> String {
    let spec = pod.spec.iter();
    let mut containers = spec.flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers)
    });
    let of_spec = containers.find(|one| one.name == container.name);
    of_spec
        .and_then(|one| one.image.clone())
        .unwrap_or_else(|| container.image.clone())
}

fn logs(pod: &str, container: &str, previous: bool) -> Remedy {
    let previous = if previous { " --previous" } else { "" };
    let verb = format!("logs {pod} -c {container}{previous}");
    Remedy::kubectl(verb, "shows what it said before it ended")
}

/// `pods a, b: what`; of many pods only the first are named.
pub(super) fn line(what: &str, names: &[&str]) -> String {
    match names {
        [name] => format!("pod {name}: {what}"),
        names if names.len() <= NAMED_MAX => format!("pods {}: {what}", names.join(", ")),
        names => {
            let more = names.len() - NAMED_MAX;
            format!(
                "pods {} and {more} more: {what}",
                names[..NAMED_MAX].join(", ")
            )
        }
    }
}
