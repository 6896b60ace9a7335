//! The replica arithmetic against the golden vectors of the peer (rollouts.md §3.9, §3.10): one
//! JSON object a line, with what goes in and what comes out. `WEIR_VECTORS` names another file of
//! them.

use api::IntOrString;
use engine::rollout::canary::limits::surge_and_unavailable;
use engine::rollout::canary::split::{Arm, Basic, Recorded, Routed, Split, abort_weight};
use serde::Deserialize;
use std::collections::BTreeMap;

const VECTORS: &str = include_str!("../fixtures/replicas.jsonl");

#[derive(Debug, Deserialize)]
#[serde(tag = "fn", rename_all = "lowercase")]
enum Vector {
    Basic(WithoutRouter),
    Traffic(WithRouter),
}

/// Sizes by the share of pods.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WithoutRouter {
    replicas: i32,
    max_surge: String,
    max_unavailable: String,
    surge_resolved: i32,
    unavail_resolved: i32,
    weight: i32,
    has_stable: bool,
    abort: bool,
    new_spec: i32,
    new_avail: i32,
    stable_spec: i32,
    stable_avail: i32,
    old_spec: i32,
    out_new: i32,
    out_stable: i32,
}

/// Sizes by weights.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WithRouter {
    replicas: i32,
    max_weight: i32,
    dynamic_stable_scale: bool,
    min_pods: Option<i32>,
    abort: bool,
    abort_scale_down_delay_seconds: Option<i32>,
    recorded_canary_weight: i32,
    steps: Vec<i32>,
    step_index: usize,
    new_avail: i32,
    #[serde(rename = "newSpec")]
    _new_spec: i32,
    stable_avail: i32,
    #[serde(rename = "stableSpec")]
    _stable_spec: i32,
    desired_canary_weight: i32,
    out_canary: i32,
    out_stable: i32,
}

/// A number as a number, a percentage as a text: as a manifest has them.
fn amount(text: &str) -> IntOrString {
    text.parse()
        .map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int)
}

impl WithoutRouter {
    fn check(&self) -> Result<(), String> {
        let (surge, unavailable) = (amount(&self.max_surge), amount(&self.max_unavailable));
        let limits = surge_and_unavailable(&surge, &unavailable, self.replicas);
        equal(
            "surge and unavailable",
            limits,
            (self.surge_resolved, self.unavail_resolved),
        )?;
        let arm = |spec, available| Arm { spec, available };
        let basic = Basic {
            replicas: self.replicas,
            surge: self.surge_resolved,
            unavailable: self.unavail_resolved,
            weight: match (self.has_stable, self.abort) {
                (false, _) => 100,
                (true, true) => 0,
                (true, false) => self.weight,
            },
            max_weight: 100,
            new: Some(arm(self.new_spec, self.new_avail)),
            stable: self
                .has_stable
                .then(|| arm(self.stable_spec, self.stable_avail)),
            distinct: self.has_stable,
            others_spec: self.old_spec,
        };
        let want = Split {
            new: self.out_new,
            stable: self.out_stable,
        };
        equal("sizes", basic.next(), want)
    }
}

impl WithRouter {
    /// The weight of the step; what is left of it after an abort.
    fn weight(&self) -> i32 {
        if !self.abort {
            return self.steps[self.step_index];
        }
        if !self.dynamic_stable_scale {
            return 0;
        }
        let missing = self.replicas - self.stable_avail;
        let needed = if self.abort_scale_down_delay_seconds.unwrap_or(0) > 0 {
            missing
        } else {
            missing.max(self.new_avail)
        };
        let weights = &self.steps[..=self.step_index];
        abort_weight(weights, needed, self.replicas, self.max_weight)
    }

    fn check(&self) -> Result<(), String> {
        let weight = self.weight();
        equal("weight", weight, self.desired_canary_weight)?;
        let recorded = self.recorded_canary_weight;
        let routed = Routed {
            replicas: self.replicas,
            max_weight: self.max_weight,
            scale: None,
            weight,
            dynamic_stable: self.dynamic_stable_scale,
            min_pods: self.min_pods,
            aborted: self.abort,
            recorded: (recorded >= 0).then(|| Recorded {
                canary: recorded,
                stable: self.max_weight - recorded,
            }),
        };
        let want = Split {
            new: self.out_canary,
            stable: self.out_stable,
        };
        equal("sizes", routed.split(), want)
    }
}

fn equal<T: Copy + PartialEq + std::fmt::Debug>(
    what: &str,
    weir: T,
    peer: T,
) -> Result<(), String> {
    if weir == peer {
        return Ok(());
    }
    Err(format!("{what}: weir {weir:?}, peer {peer:?}"))
}

#[test]
fn replica_vectors() {
    let named = std::env::var_os("WEIR_VECTORS");
    let text = match &named {
        Some(path) => std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("WEIR_VECTORS names {}: {error}", path.display())),
        None => VECTORS.to_owned(),
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let lines = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty());
    for (line, number) in lines {
        let vector: Vector = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("line {number} is no vector: {error}: {line}"));
        let (kind, checked) = match vector {
            Vector::Basic(vector) => ("basic", vector.check()),
            Vector::Traffic(vector) => ("traffic", vector.check()),
        };
        *counts.entry(kind).or_default() += 1;
        wrong.extend(
            checked
                .err()
                .map(|why| format!("line {number}: {why}: {line}")),
        );
    }
    let first: Vec<&String> = wrong.iter().take(5).collect();
    assert!(
        wrong.is_empty(),
        "{} of {counts:?} differ: {first:#?}",
        wrong.len()
    );
    assert!(!counts.is_empty(), "there are no vectors");
    if named.is_none() {
        assert_eq!(counts, BTreeMap::from([("basic", 2666), ("traffic", 1334)]));
    }
}
