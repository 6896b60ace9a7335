//! Kinds whose objects can't be seen: they may not be listed, or the API server can't answer for
//! them. Such a kind costs the Application the comparison of its own objects, and nothing else: the
//! others are compared, what is well is told, and a sync that has no need of the kind goes on. Of
//! its objects nothing is taken for missing and nothing is pruned, and what the status says of them
//! stays.

use super::assess::Assessment;
use super::snapshot::ApplicationSnapshot;
use super::status::id_of;
use crate::health::{Health, HealthCode};
use crate::manifest::Manifest;
use crate::resource::ResourceId;
use api::constants::gitops::condition::COMPARISON_ERROR;
use api::{ApplicationStatus, HealthStatus, ResourceStatus, SyncOperation, SyncStatusCode};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What conditions about live objects begin with.
pub(super) const LIVE_STATE: &str = "Failed to load live state: ";
/// What stands between the kind and the reason, which may change from look to look.
const NOT_LISTED: &str = " can't be listed: ";
/// The health of what Git declares and nobody has seen yet: whether it is there is not known.
const NEVER_SEEN: &str = "It can't be seen whether it is there";
/// How often a kind that can't be seen is looked for. Seconds.
pub(super) const LOOK_S: i64 = 10;
/// How long a sync waits for a kind that it needs. Seconds.
pub(super) const PATIENCE_S: i64 = 60;

/// A kind of an Application whose objects can't be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unseen {
    group: String,
    kind: String,
    /// Git declares objects of it. Otherwise there were some when it was last seen.
    declared: bool,
    why: String,
}

impl Unseen {
    /// The condition, naming the kind and the reason.
    pub(super) fn text(&self) -> String {
        let Self {
            group, kind, why, ..
        } = self;
        match group.as_str() {
            "" => format!("{LIVE_STATE}objects of kind {kind}{NOT_LISTED}{why}"),
            group => format!("{LIVE_STATE}objects of kind {kind} of {group}{NOT_LISTED}{why}"),
        }
    }

    fn is_needed(&self, sync: &SyncOperation) -> bool {
        if sync.resources.is_empty() {
            return self.declared || sync.prune.unwrap_or(false);
        }
        let mut selected = sync.resources.iter();
        selected.any(|selector| {
            selector.group.as_deref().unwrap_or_default() == self.group
                && selector.kind == self.kind
        })
    }

    /// Since when it has not been seen, as far as conditions tell.
    fn since(&self, snapshot: &ApplicationSnapshot) -> Option<Timestamp> {
        let text = self.text();
        let status = snapshot.app.status.as_ref()?;
        let mut conditions = status.conditions.iter();
        let known = conditions.find(|condition| {
            condition.type_ == COMPARISON_ERROR && is_same(&condition.message, &text)
        })?;
        known.last_transition_time.as_ref().map(|at| at.0)
    }
}

/// Whether two conditions speak of the same kind that can't be seen, whatever the reasons are by
/// now.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let subject = |text: &str| {
        let (subject, _) = text.strip_prefix(LIVE_STATE)?.split_once(NOT_LISTED)?;
        Some(subject.to_owned())
    };
    subject(one).is_some_and(|one| subject(other) == Some(one))
}

/// The kinds of an Application that can't be seen: those that Git declares, and those of what the
/// status lists.
pub(super) fn find(snapshot: &ApplicationSnapshot, manifests: &[Manifest]) -> Vec<Unseen> {
    let status = snapshot.app.status.as_ref();
    let listed = status.into_iter().flat_map(|status| &status.resources);
    let listed = listed
        .filter(|entry| entry.status.is_some() && !is_new(entry))
        .map(|entry| ((entry.group.as_str(), entry.kind.as_str()), false));
    let declared = manifests.iter().map(|manifest| {
        (
            (manifest.id.group.as_str(), manifest.id.kind.as_str()),
            true,
        )
    });
    // The later ones count.
    let kinds: BTreeMap<(&str, &str), bool> = listed.chain(declared).collect();
    let hidden = kinds.into_iter().filter_map(|((group, kind), declared)| {
        let why = snapshot.live.hidden(group, kind)?;
        Some(Unseen {
            group: group.to_owned(),
            kind: kind.to_owned(),
            declared,
            why: why.to_owned(),
        })
    });
    hidden.collect()
}

/// The kind that a sync can't do without, and since when it has not been seen; `now` if that is
/// news.
pub(super) fn needed<'a>(
    snapshot: &ApplicationSnapshot,
    assessment: &'a Assessment,
    sync: &SyncOperation,
    now: Timestamp,
) -> Option<(&'a Unseen, Timestamp)> {
    let mut unseen = assessment.unseen.iter();
    let needed = unseen.find(|unseen| unseen.is_needed(sync))?;
    Some((needed, needed.since(snapshot).unwrap_or(now)))
}

/// What the status lists of such kinds: what it has listed, and what Git declares beside that. What
/// was never seen goes with its manifest.
pub(super) fn listed(before: Vec<ResourceStatus>, assessment: &Assessment) -> Vec<ResourceStatus> {
    // By name alone: while a kind can't be looked up, whether it has a namespace is not known.
    let is_it = |entry: &ResourceStatus, id: &ResourceId| {
        (&entry.group, &entry.kind, &entry.name) == (&id.group, &id.kind, &id.name)
    };
    let hidden = &assessment.hidden;
    let mut kept = before;
    kept.retain(|entry| !is_new(entry) || hidden.iter().any(|manifest| is_it(entry, &manifest.id)));
    let is_listed = |id: &ResourceId| kept.iter().any(|entry| is_it(entry, id));
    let new: Vec<ResourceStatus> = hidden
        .iter()
        .filter(|manifest| !is_listed(&manifest.id))
        .map(never_seen)
        .collect();
    kept.extend(new);
    kept
}

fn never_seen(manifest: &Manifest) -> ResourceStatus {
    ResourceStatus {
        group: manifest.id.group.clone(),
        version: manifest.version().to_owned(),
        kind: manifest.id.kind.clone(),
        namespace: manifest.id.namespace.clone(),
        name: manifest.id.name.clone(),
        status: Some(SyncStatusCode::Unknown),
        health: Some(HealthStatus {
            status: Some(HealthCode::Unknown),
            message: NEVER_SEEN.to_owned(),
            last_transition_time: None,
        }),
        sync_wave: crate::order::wave(&manifest.object),
        ..ResourceStatus::default()
    }
}

/// The first kind of what the status lists, or has seen applied, that can't be seen, with the
/// reason.
pub(super) fn of_status(
    snapshot: &ApplicationSnapshot,
    status: &ApplicationStatus,
) -> Option<String> {
    let listed = status.resources.iter().filter(|entry| !is_new(entry));
    let listed = listed.map(|entry| (&entry.group, &entry.kind));
    let result = status
        .operation_state
        .as_ref()
        .and_then(|state| state.sync_result.as_ref());
    let applied = result.into_iter().flat_map(|result| &result.resources);
    let applied = applied.map(|result| (&result.group, &result.kind));
    listed.chain(applied).find_map(|(group, kind)| {
        let unseen = Unseen {
            why: snapshot.live.hidden(group, kind)?.to_owned(),
            group: group.clone(),
            kind: kind.clone(),
            declared: false,
        };
        Some(unseen.text())
    })
}

/// The health that the status has last told of an object.
pub(super) fn last_health(entry: &ResourceStatus) -> Option<Health> {
    let known = entry.health.as_ref()?;
    Some(Health::new(known.status?, known.message.clone()))
}

/// Whether a listed object has never been seen.
pub(super) fn is_new(entry: &ResourceStatus) -> bool {
    let health = entry.health.as_ref();
    health.is_some_and(|health| health.message == NEVER_SEEN)
}

/// Whether a listed object is of a kind that can't be seen.
pub(super) fn is_hidden(snapshot: &ApplicationSnapshot, entry: &ResourceStatus) -> bool {
    !snapshot.live.sees(&id_of(entry))
}
