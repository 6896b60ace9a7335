//! Indexed Jobs: which completion index a pod works on, and which indexes are done with.
//!
//! An index is completed by one pod that succeeds. With `backoffLimitPerIndex` it fails for good
//! after so many failures and one more; how many there were is carried on from pod to pod in an
//! annotation, and the next pod of an index waits for that index alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};

use super::{View, count, manage, policy};
use crate::{Step, meta, pods};

const ANNOTATION: &str = "batch.kubernetes.io/job-completion-index";
const FAILURES_ANNOTATION: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED_ANNOTATION: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
const VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// The longest name that an API server puts its five characters after.
const PREFIX_MAX: usize = 58;
const HOSTNAME_MAX: usize = 63;

/// Indexes as the status writes them: `1,3-5`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<i32>);

impl Indexes {
    /// Reads them; what is no index of so many completions is left out.
    pub(super) fn parse(text: Option<&str>, completions: i32) -> Self {
        let parts = text.unwrap_or_default().split(',');
        let ranges = parts.filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
            Some(first.max(0)..=last.min(completions - 1))
        });
        Self(ranges.flatten().collect())
    }

    /// Two neighbours are two indexes, more of them a range.
    pub(super) fn text(&self) -> String {
        let mut ranges: Vec<(i32, i32)> = Vec::new();
        for index in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => ranges.push((*index, *index)),
            }
        }
        let texts = ranges.into_iter().map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        });
        texts.collect::<Vec<_>>().join(",")
    }

    pub(super) fn contains(&self, index: i32) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn insert(&mut self, index: i32) {
        self.0.insert(index);
    }

    pub(super) fn len(&self) -> i32 {
        self.0.len() as i32
    }

    /// How many are in the other ones too.
    pub(super) fn common(&self, other: &Self) -> i32 {
        self.0.intersection(&other.0).count() as i32
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }
}

/// An index for a new pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    index: i32,
    /// How often it has failed, if that is counted.
    failures: Option<i32>,
    /// How often it has failed besides, without that it counts.
    ignored: i32,
}

pub(super) fn is_indexed(job: &Job) -> bool {
    let spec = job.spec.as_ref();
    spec.and_then(|spec| spec.completion_mode.as_deref()) == Some("Indexed")
}

fn completions(job: &Job) -> i32 {
    let spec = job.spec.as_ref();
    spec.and_then(|spec| spec.completions).unwrap_or(0)
}

/// How many failures an index may have, if they are counted by index.
pub(super) fn limit(job: &Job) -> Option<i32> {
    let spec = job.spec.as_ref().filter(|_| is_indexed(job))?;
    spec.backoff_limit_per_index
}

/// The index of a pod, if the Job has it.
pub(super) fn of(job: &Job, pod: &Pod) -> Option<i32> {
    let index = meta::annotation(&pod.metadata, ANNOTATION)?;
    let index: i32 = index.parse().ok()?;
    (0..completions(job)).contains(&index).then_some(index)
}

pub(super) fn completed(job: &Job, status: Option<&JobStatus>) -> Indexes {
    let text = status.and_then(|status| status.completed_indexes.as_deref());
    Indexes::parse(text, completions(job))
}

pub(super) fn failed(job: &Job, status: Option<&JobStatus>) -> Indexes {
    let text = status.and_then(|status| status.failed_indexes.as_deref());
    Indexes::parse(text, completions(job))
}

/// Writes down what is completed, and what has failed for good. Answers both together.
pub(super) fn note(view: &View<'_>, completed: Indexes, status: &mut JobStatus) -> Indexes {
    let job = view.job;
    status.succeeded = Some(completed.len()).filter(|count| *count > 0);
    status.completed_indexes = Some(completed.text()).filter(|text| !text.is_empty());
    let mut done = completed;
    if let Some(limit) = limit(job) {
        let mut failed = failed(job, Some(&*status));
        for (index, failures) in failures(view) {
            if (failures.count > limit || failures.for_good) && !done.contains(index) {
                failed.insert(index);
            }
        }
        status.failed_indexes = Some(failed.text());
        done.extend(&failed);
    }
    done
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: i32,
    /// Those that count for nothing, except for how long the next pod waits.
    ignored: i32,
    /// Whether one of them fails the index whatever their count.
    for_good: bool,
    last: Option<Timestamp>,
}

/// By index. A pod knows how many there were before it.
fn failures(view: &View<'_>) -> BTreeMap<i32, Failures> {
    let mut all: BTreeMap<i32, Failures> = BTreeMap::new();
    for pod in view.pods {
        if meta::is_deleting(&pod.metadata) && !count::is_tracked(pod) {
            // Dismissed by the Job itself, or counted before it was let go.
            continue;
        }
        let (Some(index), Some(false)) = (of(view.job, pod), count::outcome(view.job, pod)) else {
            continue;
        };
        let known = all.entry(index).or_default();
        let ignored = i32::from(policy::is_ignored(view.job, pod));
        let failed = failed_before(pod).saturating_add(1 - ignored);
        known.count = known.count.max(failed);
        let ignored = ignored_before(pod).saturating_add(ignored);
        known.ignored = known.ignored.max(ignored);
        known.for_good |= policy::fails_index(view.job, pod);
        known.last = known.last.max(manage::ended_at(pod));
    }
    all
}

/// How often the index of a pod had failed before it.
fn failed_before(pod: &Pod) -> i32 {
    number(pod, FAILURES_ANNOTATION)
}

/// How often it had failed without that it counts.
fn ignored_before(pod: &Pod) -> i32 {
    number(pod, IGNORED_ANNOTATION)
}

fn number(pod: &Pod, annotation: &str) -> i32 {
    let text = meta::annotation(&pod.metadata, annotation);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The uids of failed pods that must not be let go yet: the last of each open index that nobody
/// works on. It alone knows how often the index has failed, until a new pod has taken that on.
pub(super) fn held<'a>(view: &View<'a>) -> BTreeSet<&'a str> {
    let status = view.job.status.as_ref();
    // Of a Job that is about to end every pod goes.
    if limit(view.job).is_none() || status.and_then(manage::decided).is_some() {
        return BTreeSet::new();
    }
    let mut closed = completed(view.job, status);
    closed.extend(&failed(view.job, status));
    let active = view.pods.iter().filter(|pod| pods::is_active(pod));
    let taken: BTreeSet<i32> = active.filter_map(|pod| of(view.job, pod)).collect();
    let mut last = BTreeMap::new();
    for pod in view.pods.iter().filter(|pod| count::is_tracked(pod)) {
        let (Some(index), Some(false)) = (of(view.job, pod), count::outcome(view.job, pod)) else {
            continue;
        };
        if closed.contains(index) || taken.contains(&index) {
            continue;
        }
        let uid = meta::uid(&pod.metadata);
        let before = failed_before(pod).saturating_add(ignored_before(pod));
        let place = (before, manage::ended_at(pod), uid);
        let known = last.entry(index).or_insert(place);
        *known = place.max(*known);
    }
    last.into_values().map(|(_, _, uid)| uid).collect()
}

/// Pods that run for nothing: their index is none, or done, or somebody else's too.
pub(super) fn misplaced<'a>(view: &View<'a>, done: &Indexes) -> Vec<&'a Pod> {
    let mut taken = BTreeSet::new();
    let active = view.pods.iter().filter(|pod| pods::is_active(pod));
    active
        .filter(|pod| match of(view.job, pod) {
            Some(index) => done.contains(index) || !taken.insert(index),
            None => true,
        })
        .map(|pod| &**pod)
        .collect()
}

/// The lowest indexes that nobody works on, at most `most`; those that must wait are left out.
pub(super) fn free(
    view: &View<'_>,
    done: &Indexes,
    most: usize,
    now: Timestamp,
    step: &mut Step,
) -> Vec<Slot> {
    let there = |pod: &Pod| pods::is_active(pod) || manage::is_ending(view.job, pod);
    let there = view.pods.iter().filter(|pod| there(pod));
    let taken: BTreeSet<i32> = there.filter_map(|pod| of(view.job, pod)).collect();
    let counts = limit(view.job).is_some();
    let failures = if counts {
        failures(view)
    } else {
        BTreeMap::new()
    };
    let open =
        (0..completions(view.job)).filter(|index| !taken.contains(index) && !done.contains(*index));
    let slots = open.filter_map(|index| {
        let known = failures.get(&index).copied().unwrap_or_default();
        let times = known.count.saturating_add(known.ignored);
        let at = known.last.map(|last| manage::delayed(last, times));
        if let Some(at) = at.filter(|at| *at > now) {
            step.wake(at);
            return None;
        }
        Some(Slot {
            index,
            failures: counts.then_some(known.count),
            ignored: known.ignored,
        })
    });
    slots.take(most).collect()
}

/// Tells a new pod its index: by its name, its label, its annotation and its environment.
///
/// The variable has the index itself, where kube-controller-manager refers to the label: not every
/// kubelet here reads those.
pub(super) fn assign(pod: &mut Pod, job: &str, slot: Slot) {
    let index = slot.index.to_string();
    let metadata = &mut pod.metadata;
    let room = PREFIX_MAX.saturating_sub(index.len() + 2);
    let prefix: String = job.chars().take(room).collect();
    metadata.generate_name = Some(format!("{prefix}-{index}-"));
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(ANNOTATION.to_owned(), index.clone());
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(ANNOTATION.to_owned(), index.clone());
    if let Some(failures) = slot.failures {
        annotations.insert(FAILURES_ANNOTATION.to_owned(), failures.to_string());
    }
    if slot.ignored > 0 {
        annotations.insert(IGNORED_ANNOTATION.to_owned(), slot.ignored.to_string());
    }
    let Some(spec) = &mut pod.spec else { return };
    spec.hostname = Some(format!("{job}-{index}")).filter(|name| name.len() <= HOSTNAME_MAX);
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        set_variable(container, &index);
    }
}

fn set_variable(container: &mut Container, index: &str) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().all(|variable| variable.name != VARIABLE) {
        variables.push(EnvVar {
            name: VARIABLE.to_owned(),
            value: Some(index.to_owned()),
            value_from: None,
        });
    }
}

#[cfg(test)]
mod tests;
