//! Objects that give a recorded screen: the screen is read, and what it says becomes objects.

use api::{AnalysisRun, Rollout};
use engine::info::Parts;
use gocompat::duration;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The time of every screen.
pub(crate) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

/// The objects behind a screen.
pub(crate) struct Recorded {
    pub(crate) rollout: Rollout,
    replica_sets: Vec<ReplicaSet>,
    pods: Vec<Pod>,
    analysis_runs: Vec<AnalysisRun>,
}

/// A line of the tree.
struct Line {
    name: String,
    kind: String,
    status: String,
    age: String,
    notes: String,
}

/// What the lines above the tree say.
struct Head {
    values: BTreeMap<String, String>,
    /// Images by role; the role of an image without one is empty.
    images: BTreeMap<String, String>,
}

impl Recorded {
    pub(crate) fn read(screen: &str, routed: bool) -> Self {
        let (top, tree) = screen.split_once("\n\n").unwrap();
        let head = Head::read(top);
        let lines = lines(tree);
        let mut builder = Builder {
            head,
            routed,
            objects: Objects::default(),
        };
        builder.add(&lines);
        builder.build(&lines[0])
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            replica_sets: self.replica_sets.iter().collect(),
            pods: self.pods.iter().collect(),
            experiments: Vec::new(),
            analysis_runs: self.analysis_runs.iter().collect(),
            workload_template: None,
        }
    }
}

impl Head {
    fn read(top: &str) -> Self {
        let mut head = Self {
            values: BTreeMap::new(),
            images: BTreeMap::new(),
        };
        let mut last = String::new();
        for line in top.lines() {
            let split = line
                .char_indices()
                .nth(17)
                .map_or(line.len(), |(index, _)| index);
            let (name, value) = line.split_at(split);
            let name = name.trim().trim_end_matches(':');
            if !name.is_empty() {
                name.clone_into(&mut last);
            }
            if last == "Images" {
                let (image, roles) = value.split_once(" (").unwrap_or((value, ")"));
                for role in roles.trim_end_matches(')').split(", ") {
                    head.images.insert(role.to_owned(), image.to_owned());
                }
            } else {
                head.values.insert(last.clone(), value.to_owned());
            }
        }
        head
    }

    fn text(&self, name: &str) -> &str {
        self.values
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }

    fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap()
    }

    fn image(&self, notes: &str) -> &str {
        let role = notes
            .split(',')
            .find(|role| self.images.contains_key(*role));
        let image = self.images.get(role.unwrap_or_default());
        image
            .or_else(|| self.images.values().next())
            .map(String::as_str)
            .unwrap_or_default()
    }
}

fn lines(tree: &str) -> Vec<Line> {
    let mut lines = tree.lines();
    let header: Vec<char> = lines.next().unwrap().chars().collect();
    let column = |name: &str| {
        let name: Vec<char> = name.chars().collect();
        header
            .windows(name.len())
            .position(|window| window == name)
            .unwrap()
    };
    let ends = [
        column("KIND"),
        column("STATUS"),
        column("AGE"),
        column("INFO"),
        usize::MAX,
    ];
    lines
        .map(|line| {
            let line: Vec<char> = line.chars().collect();
            let mut start = 0;
            let mut cells = ends.iter().map(|end| {
                let end = (*end).min(line.len());
                let cell: String = line[start..end].iter().collect();
                start = end;
                cell.trim().to_owned()
            });
            let mut next = || cells.next().unwrap();
            let name = next();
            let name = name.trim_start_matches(|c: char| !c.is_alphanumeric());
            let name = name.strip_prefix("α ").unwrap_or(name).to_owned();
            Line {
                name,
                kind: next(),
                status: next(),
                age: next(),
                notes: next(),
            }
        })
        .collect()
}

#[derive(Default)]
struct Objects {
    replica_sets: Vec<Value>,
    pods: Vec<Value>,
    analysis_runs: Vec<Value>,
    stable: String,
    current: String,
    active: String,
    preview: String,
}

struct Builder {
    head: Head,
    routed: bool,
    objects: Objects,
}

impl Builder {
    fn add(&mut self, lines: &[Line]) {
        let mut revision = String::new();
        for (index, line) in lines.iter().enumerate() {
            match line.kind.as_str() {
                "" => line
                    .name
                    .trim_start_matches("revision:")
                    .clone_into(&mut revision),
                "ReplicaSet" => {
                    let below = lines[index + 1..]
                        .iter()
                        .take_while(|line| line.kind == "Pod");
                    self.replica_set(line, &revision, &below.collect::<Vec<_>>());
                }
                "AnalysisRun" => self.analysis_run(line, &revision),
                _ => {}
            }
        }
    }

    fn replica_set(&mut self, line: &Line, revision: &str, pods: &[&Line]) {
        let hash = line.name.rsplit('-').next().unwrap();
        for role in line.notes.split(',') {
            let slot = match role {
                "stable" => &mut self.objects.stable,
                "canary" => &mut self.objects.current,
                "active" => &mut self.objects.active,
                "preview" => &mut self.objects.preview,
                _ => continue,
            };
            hash.clone_into(slot);
        }
        let ready = pods
            .iter()
            .filter(|pod| pod.notes.starts_with("ready:1/1"))
            .count();
        let mut metadata = metadata(line, "uid-rollout", revision);
        metadata["labels"] = json!({"rollouts-pod-template-hash": hash});
        let delay = line
            .notes
            .split(',')
            .find_map(|note| note.strip_prefix("delay:"));
        if let Some(delay) = delay {
            let deadline = now() + SignedDuration::from_nanos(duration::parse_go(delay).unwrap());
            metadata["annotations"]["scale-down-deadline"] = json!(deadline.to_string());
        }
        let image = self.head.image(&line.notes);
        self.objects.replica_sets.push(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata,
            "spec": {
                "replicas": pods.len(), "selector": {},
                "template": {"spec": {"containers": [{"name": "app", "image": image}]}},
            },
            "status": {"replicas": pods.len(), "availableReplicas": ready},
        }));
        for pod in pods {
            self.objects
                .pods
                .push(pod_of(pod, &format!("uid-{}", line.name)));
        }
    }

    fn analysis_run(&mut self, line: &Line, revision: &str) {
        let mut result = json!({"name": "m", "phase": "Running"});
        for count in line.notes.split(',').filter(|count| !count.is_empty()) {
            let (icon, count) = count.split_once(' ').unwrap();
            let field = match icon {
                "✔" => "successful",
                "✖" => "failed",
                "?" => "inconclusive",
                _ => "error",
            };
            result[field] = json!(count.parse::<i64>().unwrap());
        }
        let phase = line.status.split_once(' ').unwrap().1;
        self.objects.analysis_runs.push(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
            "metadata": metadata(line, "uid-rollout", revision),
            "spec": {"metrics": []},
            "status": {"phase": phase, "metricResults": [result]},
        }));
    }

    fn build(mut self, root: &Line) -> Recorded {
        for slot in [&mut self.objects.current, &mut self.objects.preview] {
            if slot.is_empty() {
                self.objects.stable.clone_into(slot);
            }
        }
        let mut metadata = metadata(root, "", "1");
        metadata["namespace"] = json!(self.head.text("Namespace"));
        metadata["uid"] = json!("uid-rollout");
        let objects = self.objects;
        let head = self.head;
        let message = head.text("Message");
        let mut status = json!({
            "observedGeneration": "1",
            "phase": head.text("Status").split_once(' ').unwrap().1,
            "message": message,
            "abort": message.starts_with("RolloutAborted"),
            "replicas": head.number("Current"),
            "updatedReplicas": head.number("Updated"),
            "readyReplicas": head.number("Ready"),
            "availableReplicas": head.number("Available"),
            "currentPodHash": objects.current,
            "stableRS": objects.stable,
            "blueGreen": {"activeSelector": objects.active, "previewSelector": objects.preview},
        });
        let strategy = if head.text("Strategy") == "Canary" {
            canary(&head, &mut status, self.routed)
        } else {
            json!({"blueGreen": {"activeService": "active"}})
        };
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": metadata,
            "spec": {"replicas": head.number("Desired"), "strategy": strategy},
            "status": status,
        });
        Recorded {
            rollout: read(rollout),
            replica_sets: objects.replica_sets.into_iter().map(read).collect(),
            pods: objects.pods.into_iter().map(read).collect(),
            analysis_runs: objects.analysis_runs.into_iter().map(read).collect(),
        }
    }
}

/// A weight and then pauses, as many steps as the screen says (2 if it doesn't).
fn canary(head: &Head, status: &mut Value, routed: bool) -> Value {
    let mut steps = vec![
        json!({"setWeight": head.number("SetWeight")}),
        json!({"pause": {}}),
    ];
    if let Some((index, count)) = head.text("Step").split_once('/') {
        status["currentStepIndex"] = json!(index.parse::<i64>().unwrap());
        steps.resize(count.parse().unwrap(), json!({"pause": {}}));
    }
    let mut canary = json!({"steps": steps});
    if routed {
        canary["trafficRouting"] = json!({"nginx": {"stableIngress": "app"}});
        status["canary"]["weights"]["canary"]["weight"] = json!(head.number("ActualWeight"));
    }
    json!({"canary": canary})
}

fn metadata(line: &Line, owner: &str, revision: &str) -> Value {
    let age = SignedDuration::from_nanos(duration::parse_go(&line.age).unwrap());
    json!({
        "name": line.name,
        "uid": format!("uid-{}", line.name),
        "creationTimestamp": (now() - age).to_string(),
        "annotations": {"rollout.argoproj.io/revision": revision},
        "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": owner}],
    })
}

fn pod_of(line: &Line, owner: &str) -> Value {
    let reason = line.status.split_once(' ').unwrap().1;
    let (phase, state) = match reason {
        "Running" => ("Running", json!({"running": {}})),
        "Pending" => ("Pending", json!({})),
        reason => ("Pending", json!({"waiting": {"reason": reason}})),
    };
    let container = json!({
        "name": "app", "image": "i", "imageID": "", "restartCount": 0,
        "ready": line.notes.starts_with("ready:1/1"), "state": state,
    });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata(line, owner, "1"),
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": phase, "containerStatuses": [container]},
    })
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
