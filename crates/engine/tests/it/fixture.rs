//! A recorded scenario: manifests, what users do, and what the peer's world looked like.

use crate::analyses::{JobEnd, Network};
use crate::world::{Script, World};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fixture {
    pub(crate) scenario: String,
    pub(crate) hashes: BTreeMap<String, String>,
    pub(crate) manifests: Vec<Value>,
    pub(crate) actions: Vec<Value>,
    /// What runs do that are not planned here, by name.
    #[serde(default)]
    pub(crate) analysis: BTreeMap<String, RecordedRun>,
    /// What runs find that are: documents by URL.
    #[serde(default)]
    pub(crate) network: Option<Network>,
    /// How their Jobs end.
    #[serde(default)]
    pub(crate) jobs: Option<JobEnd>,
    pub(crate) expect: Vec<Expected>,
    pub(crate) milestones: Milestones,
    pub(crate) events: Vec<(String, String, String)>,
    pub(crate) differences: Vec<Difference>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RecordedRun {
    pub(crate) after_s: i64,
    pub(crate) seen_running: bool,
    pub(crate) phase: String,
    pub(crate) message: String,
}

/// The world at one `until`, or at the end.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Expected {
    pub(crate) at: String,
    pub(crate) status: Value,
    pub(crate) rollout_annotations: Value,
    pub(crate) replica_sets: Value,
    pub(crate) services: Value,
    pub(crate) analysis_runs: Value,
    /// Absent where there are none.
    #[serde(default)]
    pub(crate) experiments: Value,
    /// Annotations of Ingresses; null where there are none.
    #[serde(default)]
    pub(crate) ingresses: Value,
}

/// Values in the order in which they were seen.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Milestones {
    pub(crate) phase: Vec<String>,
    pub(crate) step: Vec<i64>,
    pub(crate) weight: Vec<i64>,
    pub(crate) stable: Vec<String>,
    pub(crate) replicas: BTreeMap<String, Vec<i64>>,
    pub(crate) selectors: BTreeMap<String, Vec<String>>,
}

/// One intended difference: what differs, and why Weir is right.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Difference {
    /// A line as the comparison prints it.
    pub(crate) what: String,
    #[serde(rename = "why")]
    pub(crate) _why: String,
}

impl Fixture {
    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap()
    }

    pub(crate) fn world(&self) -> World {
        let mut world = World::new(&self.manifests);
        world.dead_images.insert("demo:does-not-exist".to_owned());
        world.network.clone_from(&self.network);
        world.job_end.clone_from(&self.jobs);
        for (name, run) in &self.analysis {
            world.scripts.insert(
                self.unmask(name),
                Script {
                    after_s: run.after_s,
                    seen_running: run.seen_running,
                    phase: run.phase.clone(),
                    message: self.unmask(&run.message),
                },
            );
        }
        world
    }

    /// `<hash:1>` becomes the hash.
    pub(crate) fn unmask(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (revision, hash) in &self.hashes {
            text = text.replace(&format!("<hash:{revision}>"), hash);
        }
        text
    }

    /// The hash becomes `<hash:1>`.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (revision, hash) in &self.hashes {
            text = text.replace(hash, &format!("<hash:{revision}>"));
        }
        text
    }

    /// Plays the scenario; `at` sees the world at every `until` and at the end.
    pub(crate) fn play(&self, world: &mut World, mut at: impl FnMut(&str, &World)) {
        let mut untils = 0;
        for action in &self.actions {
            let key = world.rollout_key();
            match action["do"].as_str().unwrap() {
                "until" => {
                    untils += 1;
                    let want = action["status.phase"].as_str().unwrap().to_owned();
                    let met = world.run_until(|world| phase_is(world, &want));
                    let label = format!("until {untils}: {want}");
                    assert!(
                        met,
                        "{} never met {label}: {:#?}",
                        self.scenario,
                        world.rollout()
                    );
                    at(&label, world);
                }
                "patch" | "status" => {
                    world.user_patch(&target(world, action, key), &action["with"]);
                }
                "sleep" => world.sleep(action["s"].as_f64().unwrap()),
                other => panic!("no such action: {other}"),
            }
            world.settle();
        }
        at("end", world);
    }
}

fn target(world: &World, action: &Value, rollout: plan::ObjectKey) -> plan::ObjectKey {
    let what = action["what"].as_str().unwrap();
    let (kind, name) = what.split_once('/').unwrap();
    if kind == "rollout" {
        return rollout;
    }
    world
        .objects
        .keys()
        .find(|key| key.kind.eq_ignore_ascii_case(kind) && key.name == name)
        .cloned()
        .unwrap()
}

fn phase_is(world: &World, want: &str) -> bool {
    let rollout = world.rollout();
    let generation = rollout["metadata"]["generation"].to_string();
    let observed = rollout
        .pointer("/status/observedGeneration")
        .and_then(Value::as_str);
    observed == Some(&generation)
        && rollout.pointer("/status/phase").and_then(Value::as_str) == Some(want)
}
