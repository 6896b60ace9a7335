//! Rows of pods and of what makes pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::duration::{human, since, since_time};
use super::network::labels_text;
use crate::object::{int, is_terminating, items, name, text, timestamp};

/// The row of a workload kind, `None` for any other kind.
pub(super) fn cells(
    group: &str,
    plural: &str,
    object: &Value,
    now: Timestamp,
) -> Option<Vec<Value>> {
    let name = json!(name(object));
    Some(match (group, plural) {
        ("", "pods") => pod(object, now),
        ("", "podtemplates") => {
            let [names, images] = containers(object, "/template/spec/containers");
            vec![
                name,
                names,
                images,
                json!(labels_text(object, "/template/metadata/labels")),
            ]
        }
        ("", "replicationcontrollers") => {
            let count = |pointer: &str| json!(int(object, pointer));
            let mut row = vec![
                name,
                count("/spec/replicas"),
                count("/status/replicas"),
                count("/status/readyReplicas"),
                age(object, now),
            ];
            row.extend(containers(object, TEMPLATE_CONTAINERS));
            row.push(json!(labels_text(object, "/spec/selector")));
            row
        }
        ("apps", "controllerrevisions") => {
            let owners = items(object, "/metadata/ownerReferences");
            let owner = owners.iter().find(|owner| owner["controller"] == true);
            let owner = owner.map_or_else(|| "<none>".to_owned(), owner_name);
            vec![
                name,
                json!(owner),
                json!(int(object, "/revision")),
                age(object, now),
            ]
        }
        ("apps", _) => apps(plural, object, now),
        ("batch", "jobs") => {
            let (status, completions, duration) = job(object, now);
            let mut row = vec![
                name,
                json!(status),
                json!(completions),
                json!(duration),
                age(object, now),
            ];
            row.extend(containers(object, TEMPLATE_CONTAINERS));
            row.push(json!(selector(&object["spec"]["selector"])));
            row
        }
        ("batch", "cronjobs") => cron_job(object, now),
        _ => return None,
    })
}

const TEMPLATE_CONTAINERS: &str = "/spec/template/spec/containers";

fn age(object: &Value, now: Timestamp) -> Value {
    json!(since(object, "/metadata/creationTimestamp", now))
}

/// Deployments, replica sets, stateful sets and daemon sets: counts, age, containers, selector.
fn apps(plural: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    let counts: &[&str] = match plural {
        "deployments" => &["/status/updatedReplicas", "/status/availableReplicas"],
        "replicasets" => &[
            "/spec/replicas",
            "/status/replicas",
            "/status/readyReplicas",
        ],
        "daemonsets" => &[
            "/status/desiredNumberScheduled",
            "/status/currentNumberScheduled",
            "/status/numberReady",
            "/status/updatedNumberScheduled",
            "/status/numberAvailable",
        ],
        _ => &[],
    };
    let mut row = vec![json!(name(object))];
    if ["deployments", "statefulsets"].contains(&plural) {
        let (ready, wanted) = (
            int(object, "/status/readyReplicas"),
            int(object, "/spec/replicas"),
        );
        row.push(json!(format!("{ready}/{wanted}")));
    }
    row.extend(counts.iter().map(|pointer| json!(int(object, pointer))));
    if plural == "daemonsets" {
        row.push(json!(labels_text(
            object,
            "/spec/template/spec/nodeSelector"
        )));
    }
    row.push(age(object, now));
    row.extend(containers(object, TEMPLATE_CONTAINERS));
    if plural != "statefulsets" {
        row.push(json!(selector(&object["spec"]["selector"])));
    }
    row
}

fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let zone = object
        .pointer("/spec/timeZone")
        .and_then(Value::as_str)
        .unwrap_or("<none>");
    let last = timestamp(object, "/status/lastScheduleTime")
        .map_or_else(|| "<none>".to_owned(), |at| since_time(at, now));
    let suspended = match object.pointer("/spec/suspend").and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let mut row = vec![
        json!(name(object)),
        json!(text(object, "/spec/schedule")),
        json!(zone),
        json!(suspended),
        json!(items(object, "/status/active").len()),
        json!(last),
        age(object, now),
    ];
    row.extend(containers(
        object,
        "/spec/jobTemplate/spec/template/spec/containers",
    ));
    row.push(json!(selector(
        &object["spec"]["jobTemplate"]["spec"]["selector"]
    )));
    row
}

fn owner_name(owner: &Value) -> String {
    let kind = text(owner, "/kind").to_lowercase();
    let group = text(owner, "/apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{}", text(owner, "/name"))
}

fn selector(selector: &Value) -> String {
    if !selector.is_object() {
        return "<none>".to_owned();
    }
    let words = crate::strategy::selector_text(selector);
    if words.is_empty() {
        "<none>".to_owned()
    } else {
        words
    }
}

/// Names and images, each joined by commas.
fn containers(object: &Value, pointer: &str) -> [Value; 2] {
    ["/name", "/image"].map(|field| {
        let values: Vec<&str> = items(object, pointer)
            .iter()
            .map(|container| text(container, field))
            .collect();
        json!(values.join(","))
    })
}

fn job(job: &Value, now: Timestamp) -> (&'static str, String, String) {
    let done = int(job, "/status/succeeded");
    let completions = match job.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(wanted) => format!("{done}/{wanted}"),
        None if int(job, "/spec/parallelism") > 1 => {
            format!("{done}/1 of {}", int(job, "/spec/parallelism"))
        }
        None => format!("{done}/1"),
    };
    let duration = match (
        timestamp(job, "/status/startTime"),
        timestamp(job, "/status/completionTime"),
    ) {
        (None, _) => String::new(),
        (Some(start), end) => human(end.unwrap_or(now).duration_since(start).as_secs()),
    };
    let holds = |kind: &str| {
        items(job, "/status/conditions")
            .iter()
            .any(|c| c["type"] == kind && c["status"] == "True")
    };
    let status = if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if is_terminating(job) {
        "Terminating"
    } else if holds("Suspended") {
        "Suspended"
    } else if holds("FailureTarget") {
        "FailureTarget"
    } else if holds("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    (status, completions, duration)
}

/// What a pod's containers come to.
struct Tally {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let tally = tally(pod);
    let restarts = match tally.last_restart {
        Some(at) if tally.restarts != 0 => {
            format!("{} ({} ago)", tally.restarts, since_time(at, now))
        }
        _ => tally.restarts.to_string(),
    };
    let or_none = |pointer: &str| {
        let value = text(pod, pointer);
        json!(if value.is_empty() { "<none>" } else { value })
    };
    vec![
        json!(name(pod)),
        json!(format!("{}/{}", tally.ready, tally.total)),
        json!(tally.reason),
        json!(restarts),
        json!(since(pod, "/metadata/creationTimestamp", now)),
        or_none("/status/podIPs/0/ip"),
        or_none("/spec/nodeName"),
        or_none("/status/nominatedNodeName"),
        json!(readiness_gates(pod)),
    ]
}

fn readiness_gates(pod: &Value) -> String {
    let gates = items(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|gate| {
        items(pod, "/status/conditions").iter().any(|condition| {
            condition["type"] == gate["conditionType"] && condition["status"] == "True"
        })
    });
    format!("{}/{}", open.count(), gates.len())
}

fn tally(pod: &Value) -> Tally {
    let phase = text(pod, "/status/phase");
    let own = text(pod, "/status/reason");
    let sidecar = |name: &Value| {
        items(pod, "/spec/initContainers")
            .iter()
            .any(|c| c["name"] == *name && c["restartPolicy"] == "Always")
    };
    let sidecars = items(pod, "/spec/initContainers")
        .iter()
        .filter(|c| c["restartPolicy"] == "Always");
    let mut tally = Tally {
        reason: if own.is_empty() {
            phase.to_owned()
        } else {
            own.to_owned()
        },
        ready: 0,
        total: items(pod, "/spec/containers").len() + sidecars.count(),
        restarts: 0,
        last_restart: None,
    };
    let initializing = init_containers(pod, &mut tally, &sidecar);
    if !initializing || condition_true(pod, "Initialized") {
        if !initializing {
            let statuses = items(pod, "/status/initContainerStatuses");
            let of_sidecars = statuses.iter().filter(|status| sidecar(&status["name"]));
            tally.restarts = of_sidecars.map(|status| int(status, "/restartCount")).sum();
        }
        main_containers(pod, &mut tally);
    }
    if is_terminating(pod) && own == "NodeLost" {
        "Unknown".clone_into(&mut tally.reason);
    } else if is_terminating(pod) && !["Succeeded", "Failed"].contains(&phase) {
        "Terminating".clone_into(&mut tally.reason);
    }
    tally
}

/// Counts init containers; true while one of them has not finished.
fn init_containers(pod: &Value, tally: &mut Tally, sidecar: &dyn Fn(&Value) -> bool) -> bool {
    for (index, status) in items(pod, "/status/initContainerStatuses")
        .iter()
        .enumerate()
    {
        note_restarts(tally, status);
        let terminated = &status["state"]["terminated"];
        if terminated.is_object() && int(terminated, "/exitCode") == 0 {
            continue;
        }
        if sidecar(&status["name"]) && status["started"] == true {
            tally.ready += usize::from(status["ready"] == true);
            continue;
        }
        let waiting = text(status, "/state/waiting/reason");
        tally.reason = if terminated.is_object() {
            format!("Init:{}", exit_words(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", items(pod, "/spec/initContainers").len())
        };
        return true;
    }
    false
}

fn main_containers(pod: &Value, tally: &mut Tally) {
    let mut running = false;
    for status in items(pod, "/status/containerStatuses").iter().rev() {
        note_restarts(tally, status);
        let waiting = text(status, "/state/waiting/reason");
        let terminated = &status["state"]["terminated"];
        if !waiting.is_empty() {
            waiting.clone_into(&mut tally.reason);
        } else if terminated.is_object() {
            tally.reason = exit_words(terminated);
        } else if status["ready"] == true && status["state"]["running"].is_object() {
            running = true;
            tally.ready += 1;
        }
    }
    if tally.reason == "Completed" && running {
        let words = if condition_true(pod, "Ready") {
            "Running"
        } else {
            "NotReady"
        };
        words.clone_into(&mut tally.reason);
    }
}

fn note_restarts(tally: &mut Tally, status: &Value) {
    tally.restarts += int(status, "/restartCount");
    let finished = timestamp(status, "/lastState/terminated/finishedAt");
    tally.last_restart = tally.last_restart.max(finished);
}

fn exit_words(terminated: &Value) -> String {
    let (reason, signal) = (text(terminated, "/reason"), int(terminated, "/signal"));
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", int(terminated, "/exitCode"))
    }
}

fn condition_true(pod: &Value, kind: &str) -> bool {
    items(pod, "/status/conditions")
        .iter()
        .any(|c| c["type"] == kind && c["status"] == "True")
}
