//! What two recordings of one scenario differ in, line by line.
//!
//! At each `until`: between that moment and what a user does next, every object was seen in a state
//! that the other recording has there too. At the end: the last states are equal. In between: the
//! milestones come in one order, of which some may be left out. Events: the same set.

use crate::flat::{Mask, flat};
use crate::recording::{Entry, Op, Recording, Step};
use api::constants::{DEPLOYMENT_REVISION_ANNOTATION, reason};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Recorded times are rounded to tenths.
const TENTH: f64 = 0.11;

type Object = (String, String);
type Flat = BTreeMap<String, String>;

/// The time that a scenario was played in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// All pods that are made together are ready together.
    Virtual,
    /// Pods become ready when they do, one before the other, and controllers follow: how many steps
    /// a ReplicaSet takes on its way, and which, is not compared.
    Real,
}

/// Every difference between the recording of the peer and one of ours.
pub fn differences(peer: &Recording, weir: &Recording, time: Time) -> Vec<String> {
    let mask = Mask::new(&peer.hashes);
    let (peer_seen, weir_seen) = (Seen::new(peer, &mask), Seen::new(weir, &mask));
    let mut lines = hashes(peer, weir);
    lines.extend(states(&peer_seen, &weir_seen));
    lines.extend(order(&peer_seen, &weir_seen, time));
    lines.extend(events(&peer_seen, &weir_seen, time));
    lines
}

/// The hashes of revisions must be the same, byte for byte.
fn hashes(peer: &Recording, weir: &Recording) -> Vec<String> {
    let differ = weir.hashes.iter().filter_map(|(revision, hash)| {
        let wanted = peer.hashes.get(revision)?;
        let line = format!("hash of revision {revision}: peer {wanted} / weir {hash}");
        (wanted != hash).then_some(line)
    });
    differ.collect()
}

/// A part of a timeline. Where times are rounded, what a user does next may show in its last tenth.
struct Window {
    all: Range<usize>,
    /// Without that last tenth.
    surely: Range<usize>,
}

/// A recording with everything masked.
struct Seen<'r> {
    steps: &'r [Step],
    entries: Vec<Entry>,
}

impl<'r> Seen<'r> {
    fn new(recording: &'r Recording, mask: &Mask) -> Self {
        let masked = |entry: &Entry| Entry {
            t: entry.t,
            kind: entry.kind.clone(),
            name: of_deployment(entry).unwrap_or_else(|| mask.text(&entry.name)),
            op: entry.op,
            is: mask.value(&entry.is),
        };
        Self {
            steps: &recording.steps,
            entries: recording.timeline.iter().map(masked).collect(),
        }
    }

    /// The states of every object in a part of the timeline, the one it had at its beginning
    /// included.
    fn within(&self, part: Range<usize>) -> BTreeMap<Object, Vec<Flat>> {
        let mut states: BTreeMap<Object, Vec<Flat>> = BTreeMap::new();
        for (index, entry) in self.entries.iter().enumerate().take(part.end) {
            if entry.kind == "Event" {
                continue;
            }
            let of = states.entry((entry.kind.clone(), entry.name.clone()));
            let of = of.or_default();
            if index < part.start {
                of.clear();
            }
            if entry.op == Op::Applied {
                of.push(flat(&entry.is));
            }
        }
        states.retain(|_, states| !states.is_empty());
        states
    }

    /// From the moment at which an `until` was met to the next thing that a user does.
    fn window(&self, index: usize) -> Window {
        let next = self.steps[index + 1..]
            .iter()
            .find(|step| step.acts() || step.until.is_some());
        let all = self.entries.len();
        let met = self.place(&self.steps[index], -TENTH);
        let end = next.map_or(all, |step| self.place(step, TENTH));
        let surely = next.map_or(all, |step| self.place(step, -TENTH / 2.0));
        Window {
            all: met..end.max(met),
            surely: met..surely.max(met),
        }
    }

    /// The states in a window, of the objects that were there before its end: surely, or because
    /// `others` were.
    fn states(
        &self,
        window: &Window,
        others: &BTreeMap<Object, Vec<Flat>>,
    ) -> BTreeMap<Object, Vec<Flat>> {
        let there = self.within(window.surely.clone());
        let mut states = self.within(window.all.clone());
        states.retain(|object, _| there.contains_key(object) || others.contains_key(object));
        states
    }

    /// How much of the timeline is before a step: before an action, or before an `until` was met.
    fn place(&self, step: &Step, tolerance: f64) -> usize {
        step.seen.unwrap_or_else(|| {
            let until = step.end() + tolerance;
            self.entries.partition_point(|entry| entry.t <= until)
        })
    }

    fn untils(&self) -> Vec<usize> {
        let steps = self.steps.iter().enumerate();
        steps
            .filter(|(_, step)| step.until.is_some())
            .map(|(index, _)| index)
            .collect()
    }
}

/// The ReplicaSets of a Deployment have the names that the cluster gives them.
fn of_deployment(entry: &Entry) -> Option<String> {
    let revision = &entry.is["annotations"][DEPLOYMENT_REVISION_ANNOTATION];
    Some(format!("<deployment:{}>", revision.as_str()?))
}

fn states(peer: &Seen<'_>, weir: &Seen<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let pairs = peer.untils().into_iter().zip(weir.untils());
    for (number, (of_peer, of_weir)) in pairs.enumerate() {
        let phase = peer.steps[of_peer].phase().unwrap_or_default();
        let at = format!("until {}: {phase}", number + 1);
        if weir.steps[of_weir].met == Some(false) {
            lines.push(format!("{at}: never met"));
        }
        let weir = weir.within(weir.window(of_weir).all);
        let peer = peer.states(&peer.window(of_peer), &weir);
        lines.extend(unequal(&at, &peer, &weir));
    }
    let last = |seen: &Seen<'_>| {
        let all = seen.entries.len();
        let mut states = seen.within(all..all);
        let only_last = |states: &mut Vec<Flat>| drop(states.drain(..states.len() - 1));
        states.values_mut().for_each(only_last);
        states
    };
    lines.extend(unequal("end", &last(peer), &last(weir)));
    lines
}

/// Objects without a state in common; what their last states differ in.
fn unequal(
    at: &str,
    peer: &BTreeMap<Object, Vec<Flat>>,
    weir: &BTreeMap<Object, Vec<Flat>>,
) -> Vec<String> {
    let nothing = Vec::new();
    let mut lines = Vec::new();
    let objects: BTreeSet<&Object> = peer.keys().chain(weir.keys()).collect();
    for object in objects {
        let (ours, theirs) = (
            weir.get(object).unwrap_or(&nothing),
            peer.get(object).unwrap_or(&nothing),
        );
        if ours.iter().any(|state| theirs.contains(state)) {
            continue;
        }
        let empty = Flat::new();
        let (ours, theirs) = (
            ours.last().unwrap_or(&empty),
            theirs.last().unwrap_or(&empty),
        );
        let fields: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        for field in fields {
            let show = |value: Option<&String>| value.map_or("nothing", String::as_str).to_owned();
            if ours.get(field) != theirs.get(field) {
                lines.push(format!(
                    "{at}: {} {}{field}: peer {} / weir {}",
                    object.0,
                    object.1,
                    show(theirs.get(field)),
                    show(ours.get(field)),
                ));
            }
        }
    }
    lines
}

/// Milestones: kind, and the field of what was seen.
const MILESTONES: &[(&str, &str)] = &[
    ("Rollout", "/status/phase"),
    ("Rollout", "/status/currentStepIndex"),
    ("Rollout", "/status/canary/weights/canary/weight"),
    ("Rollout", "/status/stableRS"),
    ("ReplicaSet", "/replicas"),
    ("Service", "/selector/rollouts-pod-template-hash"),
    ("AnalysisRun", "/status/phase"),
    ("Experiment", "/status/phase"),
];

/// Milestones that do not come in the recorded order.
fn order(peer: &Seen<'_>, weir: &Seen<'_>, time: Time) -> Vec<String> {
    let mut lines = Vec::new();
    for &(kind, field) in MILESTONES {
        let names = |seen: &Seen<'_>| -> BTreeSet<String> {
            let of_kind = seen.entries.iter().filter(|entry| entry.kind == kind);
            of_kind.map(|entry| entry.name.clone()).collect()
        };
        for name in names(peer).intersection(&names(weir)) {
            let (mut theirs, mut ours) = (
                values(peer, kind, name, field),
                values(weir, kind, name, field),
            );
            if (time, kind) == (Time::Real, "ReplicaSet") {
                (theirs, ours) = (turns(theirs), turns(ours));
            }
            if !is_subsequence(&ours, &theirs) {
                lines.push(format!(
                    "order of {field} of {kind} {name}: peer {} / weir {}",
                    json!(theirs),
                    json!(ours)
                ));
            }
        }
    }
    lines
}

/// The values of one field over time, without repeats.
fn values(seen: &Seen<'_>, kind: &str, name: &str, field: &str) -> Vec<Value> {
    let of = seen
        .entries
        .iter()
        .filter(|entry| entry.kind == kind && entry.name == name);
    let mut values: Vec<Value> = of
        .filter_map(|entry| entry.is.pointer(field).cloned())
        .filter(|value| !value.is_null() && *value != json!(""))
        .collect();
    values.dedup();
    values
}

/// First, last, and where up becomes down or down up.
fn turns(sizes: Vec<Value>) -> Vec<Value> {
    let mut turns: Vec<Value> = Vec::new();
    for size in sizes {
        if let [.., before, last] = turns.as_slice() {
            let number = |value: &Value| value.as_i64().unwrap_or(0);
            let rises = number(last) > number(before);
            if rises == (number(&size) > number(last)) {
                turns.pop();
            }
        }
        turns.push(size);
    }
    turns
}

fn is_subsequence(part: &[Value], whole: &[Value]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|other| other == item))
}

fn is_only_ours(event: &Entry) -> bool {
    let reason = event.is["reason"].as_str().unwrap_or_default();
    reason::ONLY_OURS.contains(&reason)
}

/// `Scaled down ReplicaSet app-1 (revision 1) from 4 to 0`.
struct Scaling<'e> {
    what: &'e str,
    from: i64,
    to: i64,
}

impl<'e> Scaling<'e> {
    /// Of these events alone: weights go up and down again.
    fn of(event: &'e str) -> Option<Self> {
        let (what, sizes) = event.rsplit_once(" from ")?;
        what.contains(SCALING).then_some(())?;
        let (from, to) = sizes.split_once(" to ")?;
        Some(Self {
            what,
            from: from.parse().ok()?,
            to: to.parse().ok()?,
        })
    }
}

const SCALING: &str = " ScalingReplicaSet ";

/// Whether others tell of the same pods coming or going, in steps of their own.
fn is_told_otherwise(event: &str, others: &BTreeSet<String>) -> bool {
    let Some(wanted) = Scaling::of(event) else {
        return false;
    };
    let steps = others.iter().filter_map(|other| Scaling::of(other));
    let steps: Vec<_> = steps.filter(|step| step.what == wanted.what).collect();
    let (low, high) = (wanted.from.min(wanted.to), wanted.from.max(wanted.to));
    (low..high).all(|size| {
        let mut steps = steps.iter();
        steps.any(|step| step.from.min(step.to) <= size && size < step.from.max(step.to))
    })
}

/// From the tenth of a kind on, event recorders say so. Which one that is depends on how many
/// scalings the others took.
const COMBINED: &str = "(combined from similar events): ";

/// Events that only one of the two has, without those that the peer does not know.
fn events(peer: &Seen<'_>, weir: &Seen<'_>, time: Time) -> Vec<String> {
    let all = |seen: &Seen<'_>| -> BTreeSet<String> {
        let events = seen.entries.iter().filter(|entry| entry.kind == "Event");
        events
            .filter(|entry| !is_only_ours(entry))
            .map(|entry| {
                let text = |field: &str| entry.is[field].as_str().unwrap_or_default();
                let message = text("message");
                format!(
                    "{} {} {} {}",
                    entry.name,
                    text("type"),
                    text("reason"),
                    message.strip_prefix(COMBINED).unwrap_or(message)
                )
            })
            .collect()
    };
    let (theirs, ours) = (all(peer), all(weir));
    let missing = theirs
        .difference(&ours)
        .filter(|event| time == Time::Virtual || !is_told_otherwise(event, &ours))
        .map(|event| format!("events: only peer: {event}"));
    let extra = ours
        .difference(&theirs)
        .filter(|event| time == Time::Virtual || !is_told_otherwise(event, &theirs))
        .map(|event| format!("events: only weir: {event}"));
    missing.chain(extra).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sizes: &[(i64, i64)]) -> BTreeSet<String> {
        let event = |(from, to): &(i64, i64)| {
            format!("Rollout/a Normal ScalingReplicaSet Scaled down b from {from} to {to}")
        };
        sizes.iter().map(event).collect()
    }

    #[test]
    fn a_scaling_may_be_told_in_other_steps() {
        let (slow, fast) = (told(&[(4, 3), (3, 1), (1, 0)]), told(&[(4, 2), (2, 0)]));
        assert!(slow.iter().all(|event| is_told_otherwise(event, &fast)));
        assert!(fast.iter().all(|event| is_told_otherwise(event, &slow)));
    }

    #[test]
    fn a_scaling_that_others_do_not_tell_of_is_a_difference() {
        let (part, whole) = (told(&[(4, 3), (3, 1)]), told(&[(4, 0)]));
        assert!(part.iter().all(|event| is_told_otherwise(event, &whole)));
        assert!(!whole.iter().any(|event| is_told_otherwise(event, &part)));
        let weight = "Rollout/a Normal TrafficWeightUpdated Traffic weight updated from 5 to 0";
        assert!(!is_told_otherwise(
            weight,
            &BTreeSet::from([weight.to_owned()])
        ));
    }

    #[test]
    fn turns_are_where_the_direction_changes() {
        let values = |sizes: &[i64]| sizes.iter().map(|size| json!(size)).collect::<Vec<_>>();
        let turned = turns(values(&[0, 4, 3, 6, 4, 2, 0]));
        assert_eq!(turned, values(&[0, 4, 3, 6, 0]));
        assert_eq!(turns(values(&[0, 1, 2, 3])), values(&[0, 3]));
        assert_eq!(turns(values(&[2])), values(&[2]));
    }
}
