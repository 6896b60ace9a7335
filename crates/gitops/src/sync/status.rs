//! The status of an Application: resources, sync, health, summary, conditions.

use super::assess::{Assessment, Finding};
use super::snapshot::{ApplicationSnapshot, Rendered};
use super::{removal, unseen};
use crate::compare::ResourceComparison;
use crate::health::{Child, Health, HealthCode, aggregate, health};
use crate::resource::{self, ResourceId, annotation};
use crate::{images, urls};
use api::constants::gitops::IGNORE_HEALTHCHECK_ANNOTATION;
use api::constants::reason::RESOURCE_UPDATED;
use api::{
    AppHealthStatus, Application, ApplicationCondition, ApplicationStatus, ApplicationSummary,
    ComparedTo, HealthStatus, ResourceStatus, SyncStatus, SyncStatusCode,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{EventKind, Release};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A time as it is stored: whole seconds, so that what was planned equals what is read back.
pub(super) fn stamp(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// How far `status.reconciledAt` may lag behind the last look while nothing else changes. Seconds.
const RECONCILED_LAG_S: i64 = 30 * 60;

/// That an Application was compared once more, and everything is as it was, is no reason to write a
/// status at every look at Git. The time of the comparison goes along with whatever else changes,
/// and is written by itself when it is [`RECONCILED_LAG_S`] old: the status is never older than it
/// says, and may be newer by that much.
pub(super) fn keep_reconciled_at(status: &mut ApplicationStatus, before: &ApplicationStatus) {
    let Some(stored) = &before.reconciled_at else {
        return;
    };
    let Some(looked) = status.reconciled_at.replace(stored.clone()) else {
        return;
    };
    let lag = looked.0.as_second().saturating_sub(stored.0.as_second());
    // Where the clock was set back, what is stored would be in the future.
    if !(0..RECONCILED_LAG_S).contains(&lag) || *status != *before {
        status.reconciled_at = Some(looked);
    }
}

/// Fills in everything that follows from comparing a rendered source with the cluster.
pub(super) fn compared(
    status: &mut ApplicationStatus,
    snapshot: &ApplicationSnapshot,
    rendered: &Rendered,
    assessment: &Assessment,
) {
    let app = &snapshot.app;
    let before = std::mem::take(&mut status.resources);
    let (hidden, before) = before
        .into_iter()
        .partition(|entry| unseen::is_hidden(snapshot, entry));
    status.resources = assessment
        .comparison
        .resources
        .iter()
        .map(|resource| resource_status(resource, snapshot, assessment))
        .collect();
    let mut others = skipped(snapshot, assessment);
    others.extend(unseen::listed(hidden, assessment));
    if assessment.incomplete {
        others.extend(unread(before, snapshot, assessment));
    }
    if !others.is_empty() {
        status.resources.append(&mut others);
        status.resources.sort_by_cached_key(id_of);
    }
    let code = if assessment.incomplete || !assessment.unseen.is_empty() {
        SyncStatusCode::Unknown
    } else if assessment.comparison.is_synced() {
        SyncStatusCode::Synced
    } else {
        SyncStatusCode::OutOfSync
    };
    status.sync = Some(SyncStatus {
        status: code,
        compared_to: compared_to(app),
        revision: rendered.revision.clone(),
        revisions: Vec::new(),
    });
    status.source_type.clone_from(&rendered.source_type);
    status.reconciled_at = Some(stamp(rendered.at));
}

/// What is declared as never to be applied, and lives: listed without a status, so that it does not
/// count.
fn skipped(snapshot: &ApplicationSnapshot, assessment: &Assessment) -> Vec<ResourceStatus> {
    let ids = assessment.skipped.iter();
    ids.filter_map(|id| {
        let live = snapshot.live.get(id)?;
        Some(ResourceStatus {
            group: id.group.clone(),
            version: resource::version(live).to_owned(),
            kind: id.kind.clone(),
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            ..ResourceStatus::default()
        })
    })
    .collect()
}

/// What can't be compared while a part of the manifests can't be read: what is ours, and what was
/// listed before, as far as it lives. Dropped from the list, their kinds would not be looked at any
/// more, and nothing would ever prune them.
fn unread(
    before: Vec<ResourceStatus>,
    snapshot: &ApplicationSnapshot,
    assessment: &Assessment,
) -> Vec<ResourceStatus> {
    let ours = assessment.unread.iter();
    let ours = ours.map(|resource| resource_status(resource, snapshot, assessment));
    let mut out: BTreeMap<ResourceId, ResourceStatus> = BTreeMap::new();
    for entry in ours.chain(before) {
        let id = id_of(&entry);
        let is_listed =
            assessment.comparison.get(&id).is_some() || assessment.skipped.contains(&id);
        let live = snapshot.live.get(&id).filter(|_| !is_listed);
        if let Some(live) = live {
            let health = child_health(Some(live.as_ref()));
            out.entry(id).or_insert_with(|| ResourceStatus {
                status: Some(SyncStatusCode::Unknown),
                health: health.map(|health| shown(&health)),
                requires_pruning: false,
                ..entry
            });
        }
    }
    out.into_values().collect()
}

/// What was compared with what, as far as the Application says.
fn compared_to(app: &Application) -> ComparedTo {
    ComparedTo {
        source: app
            .spec
            .source
            .clone()
            .filter(|_| app.spec.sources.is_empty()),
        destination: app.spec.destination.clone(),
        sources: app.spec.sources.clone(),
        ignore_differences: app.spec.ignore_differences.clone(),
    }
}

/// Without a target state the objects are still there, and the health of them is still known.
pub(super) fn not_compared(
    status: &mut ApplicationStatus,
    snapshot: &ApplicationSnapshot,
    at: Timestamp,
) {
    let counted = status.resources.iter_mut();
    let counted = counted.filter(|resource| resource.status.is_some());
    for resource in counted.filter(|resource| !unseen::is_hidden(snapshot, resource)) {
        resource.status = Some(SyncStatusCode::Unknown);
        let live = snapshot.live.at(&id_of(resource), &resource.version);
        resource.health = child_health(live.map(AsRef::as_ref)).map(|health| shown(&health));
    }
    let revision = status
        .sync
        .as_ref()
        .map(|sync| sync.revision.clone())
        .unwrap_or_default();
    status.sync = Some(SyncStatus {
        status: SyncStatusCode::Unknown,
        compared_to: compared_to(&snapshot.app),
        revision,
        revisions: Vec::new(),
    });
    status.reconciled_at = Some(stamp(at));
}

fn resource_status(
    resource: &ResourceComparison,
    snapshot: &ApplicationSnapshot,
    assessment: &Assessment,
) -> ResourceStatus {
    let id = &resource.id;
    let code = if assessment.denied.contains_key(id) {
        SyncStatusCode::Unknown
    } else if resource.is_synced() {
        SyncStatusCode::Synced
    } else {
        SyncStatusCode::OutOfSync
    };
    let health = if resource.in_live {
        let live = snapshot.live.at(id, &resource.version);
        child_health(live.map(AsRef::as_ref))
    } else {
        Some(Health::new(HealthCode::Missing, ""))
    };
    ResourceStatus {
        group: id.group.clone(),
        version: resource.version.clone(),
        kind: id.kind.clone(),
        namespace: id.namespace.clone(),
        name: id.name.clone(),
        status: Some(code),
        health: health.map(|health| shown(&health)),
        hook: false,
        requires_pruning: resource.requires_pruning(),
        sync_wave: resource.wave,
        requires_deletion_confirmation: removal::needs_confirmation(snapshot, id),
    }
}

/// The health of a live object as a part of an Application.
fn child_health(live: Option<&Value>) -> Option<Health> {
    let live = live?;
    if annotation(live, IGNORE_HEALTHCHECK_ANNOTATION) == Some("true") {
        return None;
    }
    health(live)
}

fn shown(health: &Health) -> HealthStatus {
    HealthStatus {
        status: Some(health.code),
        message: health.message.clone(),
        last_transition_time: None,
    }
}

pub(super) fn id_of(resource: &ResourceStatus) -> ResourceId {
    ResourceId::new(
        &resource.group,
        &resource.kind,
        &resource.namespace,
        &resource.name,
    )
}

/// Health of the whole and the summary, from the resources that the status lists by now. Of an
/// Application whose spec is invalid nobody knows what it consists of, so its health is not known
/// either.
pub(super) fn summarise(
    status: &mut ApplicationStatus,
    snapshot: &ApplicationSnapshot,
    is_invalid: bool,
    now: Timestamp,
) {
    let parts = parts(status, snapshot);
    let is_new =
        |entry: &ResourceStatus| unseen::is_hidden(snapshot, entry) && unseen::is_new(entry);
    let is_blind = parts.is_empty() && status.resources.iter().any(is_new);
    let whole = if is_blind || is_invalid {
        Health::new(HealthCode::Unknown, "")
    } else {
        aggregate(parts.iter().map(|(id, health, live)| Child {
            id,
            live: *live,
            health: health.as_ref(),
        }))
    };
    let before = status.health.take().unwrap_or_default();
    let since = before
        .last_transition_time
        .filter(|_| before.status == Some(whole.code))
        .unwrap_or_else(|| stamp(now));
    status.health = Some(AppHealthStatus {
        status: Some(whole.code),
        message: whole.message,
        last_transition_time: Some(since),
    });
    let ids = parts.into_iter().map(|(id, _, _)| id);
    let ids: Vec<ResourceId> = ids.collect();
    let before = std::mem::take(&mut status.summary);
    status.summary = summary(before, &ids, snapshot);
}

/// What there is to see of the objects that count. What is known of those that can't be seen stays.
fn summary(
    before: ApplicationSummary,
    ids: &[ResourceId],
    snapshot: &ApplicationSnapshot,
) -> ApplicationSummary {
    let (mut running, mut open) = (BTreeSet::new(), BTreeSet::new());
    if ids.iter().any(|id| !snapshot.live.sees(id)) {
        running.extend(before.images);
        open.extend(before.external_urls);
    }
    for live in ids.iter().filter_map(|id| snapshot.live.get(id)) {
        images::collect(live, &mut running);
        urls::collect(live, &mut open);
    }
    ApplicationSummary {
        external_urls: open.into_iter().collect(),
        images: running.into_iter().collect(),
        is_app_of_apps: ids.iter().any(|id| id.is("argoproj.io", "Application")),
    }
}

/// What counts for the health of the whole, with its health and whether it lives. What can't be
/// seen is as well as when it was last seen, and does not count if it never was.
fn parts(
    status: &ApplicationStatus,
    snapshot: &ApplicationSnapshot,
) -> Vec<(ResourceId, Option<Health>, bool)> {
    let name = snapshot.app.metadata.name.as_deref().unwrap_or_default();
    let counted = status.resources.iter();
    let counted = counted.filter(|resource| resource.status.is_some());
    let counted = counted.filter_map(|resource| {
        let id = id_of(resource);
        if id.is("argoproj.io", "Application") && id.name == name {
            return None;
        }
        if snapshot.live.sees(&id) {
            let live = snapshot.live.at(&id, &resource.version);
            let live = live.map(AsRef::as_ref);
            let health = child_health(live);
            return Some((id, health, live.is_some()));
        }
        let health = unseen::last_health(resource);
        let is_missing = health
            .as_ref()
            .is_some_and(|health| health.code == HealthCode::Missing);
        (!unseen::is_new(resource)).then_some((id, health, !is_missing))
    });
    counted.collect()
}

/// What is told of an Application that is in sync, or well, otherwise than before (gitops.md item
/// 88).
pub(super) fn changes(before: &ApplicationStatus, now: &ApplicationStatus) -> Vec<Release> {
    let sync = |status: &ApplicationStatus| {
        let sync = status.sync.as_ref();
        sync.map_or("", |sync| sync.status.as_str())
    };
    let health = |status: &ApplicationStatus| {
        let health = status.health.as_ref().and_then(|health| health.status);
        health.map_or("", |code| code.as_str())
    };
    let all = [
        ("sync", sync(before), sync(now)),
        ("health", health(before), health(now)),
    ];
    let changed = all.into_iter().filter(|(_, before, now)| before != now);
    let told = changed.map(|(what, before, now)| Release::Event {
        of: None,
        kind: EventKind::Normal,
        reason: RESOURCE_UPDATED,
        message: format!("Updated {what} status: {before} -> {now}"),
    });
    told.collect()
}

/// Turns findings into conditions; one that was there already keeps its time.
pub(super) fn conditions(
    before: &[ApplicationCondition],
    findings: &[Finding],
    now: Timestamp,
) -> Vec<ApplicationCondition> {
    let mut out: Vec<ApplicationCondition> = Vec::new();
    for (kind, message) in findings {
        let known = |c: &&ApplicationCondition| c.type_ == *kind && c.message == *message;
        if out.iter().any(|c| known(&c)) {
            continue;
        }
        let is_same =
            |c: &&ApplicationCondition| c.type_ == *kind && unseen::is_same(&c.message, message);
        let since = before
            .iter()
            .find(known)
            .or_else(|| before.iter().find(is_same))
            .and_then(|c| c.last_transition_time.clone());
        out.push(ApplicationCondition {
            type_: (*kind).to_owned(),
            message: message.clone(),
            last_transition_time: Some(since.unwrap_or_else(|| stamp(now))),
        });
    }
    out.sort_by(|a, b| a.type_.cmp(&b.type_));
    out
}
