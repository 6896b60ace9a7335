//! Carries out writes on the API server.

use apiserver::{ApiServer, DeleteOptions, Gvk, Patch, PatchOptions, Status};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{EventNote, Kind, Propagation, Target, Write, meta};

const MANAGER: &str = "weir-cluster";

impl From<&Kind> for Gvk {
    fn from(kind: &Kind) -> Self {
        Self::new(&kind.group, &kind.version, &kind.kind)
    }
}

impl From<&Gvk> for Kind {
    fn from(gvk: &Gvk) -> Self {
        Self {
            group: gvk.group.clone().into(),
            version: gvk.version.clone().into(),
            kind: gvk.kind.clone().into(),
        }
    }
}

/// How a write went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Stored; for a create, under that name.
    Done { name: String },
    /// The world had moved on: the next look at it decides anew.
    Stale,
    /// The server does not want it.
    Refused(Status),
}

/// One write. Events that can't be recorded are dropped: nothing depends on them.
pub(crate) fn write(api: &ApiServer, write: &Write, events: bool) -> Outcome {
    let result = match write {
        Write::Create { kind, object } => {
            let namespace = object["metadata"]["namespace"].as_str();
            api.create(&kind.into(), namespace, object.clone())
                .map(|stored| name_of(&stored))
        }
        Write::Update {
            kind,
            object,
            subresource,
        } => {
            let namespace = object["metadata"]["namespace"].as_str();
            let updated = api.update(&kind.into(), namespace, object.clone(), *subresource);
            updated.map(|stored| name_of(&stored))
        }
        Write::Merge { target, patch } => {
            self::patch(api, target, None, &Patch::Merge(guarded(target, patch)))
        }
        Write::StrategicStatus { target, patch } => {
            let patch = Patch::Strategic(guarded(target, patch));
            self::patch(api, target, Some("status"), &patch)
        }
        Write::Bind { target, node } => {
            let namespace = target.namespace.as_deref();
            api.bind(namespace, &target.name, node)
                .map(|()| target.name.clone())
        }
        Write::Delete {
            target,
            grace_s,
            propagation,
        } => delete(api, target, *grace_s, *propagation),
        Write::Event(note) => {
            if events {
                record(api, note);
            }
            Ok(String::new())
        }
    };
    match result {
        Ok(name) => Outcome::Done { name },
        Err(status) if matches!(status.reason, "NotFound" | "Conflict") => Outcome::Stale,
        Err(status) => Outcome::Refused(status),
    }
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A uid in a patch is a precondition.
fn guarded(target: &Target, patch: &Value) -> Value {
    let mut patch = patch.clone();
    if let Some(uid) = &target.uid {
        patch["metadata"]["uid"] = json!(uid);
    }
    patch
}

fn patch(
    api: &ApiServer,
    target: &Target,
    subresource: Option<&str>,
    patch: &Patch,
) -> Result<String, Status> {
    let namespace = target.namespace.as_deref();
    let options = PatchOptions::manager(MANAGER);
    let stored = api.patch(
        &(&target.kind).into(),
        namespace,
        &target.name,
        subresource,
        patch,
        &options,
    )?;
    Ok(name_of(&stored))
}

fn delete(
    api: &ApiServer,
    target: &Target,
    grace_s: Option<i64>,
    propagation: Option<Propagation>,
) -> Result<String, Status> {
    let options = DeleteOptions {
        grace_s,
        propagation: propagation.map(|propagation| match propagation {
            Propagation::Background => apiserver::Propagation::Background,
            Propagation::Foreground => apiserver::Propagation::Foreground,
            Propagation::Orphan => apiserver::Propagation::Orphan,
        }),
        uid: target.uid.clone(),
        ..DeleteOptions::default()
    };
    api.delete(
        &(&target.kind).into(),
        target.namespace.as_deref(),
        &target.name,
        &options,
    )?;
    Ok(target.name.clone())
}

/// Events are named by subject, reason and message; a repetition counts up.
fn record(api: &ApiServer, note: &EventNote) {
    let namespace = note.regarding.namespace.as_deref().unwrap_or("default");
    let uid = note.regarding.uid.as_deref().unwrap_or_default();
    let digest = crate::workload::hash(&format!("{uid}/{}/{}", note.reason, note.message));
    let name = format!("{}.{digest:08x}", note.regarding.name);
    let now = meta::time(api.now());
    let gvk = (&Kind::EVENT).into();
    if let Ok(live) = api.get(&gvk, Some(namespace), &name) {
        let count = live["count"].as_i64().unwrap_or(1) + 1;
        let patch = Patch::Merge(json!({ "count": count, "lastTimestamp": now }));
        let options = PatchOptions::manager(note.source);
        drop(api.patch(&gvk, Some(namespace), &name, None, &patch, &options));
        return;
    }
    drop(api.create(
        &gvk,
        Some(namespace),
        event(note, namespace, &name, api.now()),
    ));
}

fn event(note: &EventNote, namespace: &str, name: &str, now: Timestamp) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": name, "namespace": namespace },
        "involvedObject": {
            "apiVersion": note.regarding.kind.api_version(),
            "kind": note.regarding.kind.kind,
            "namespace": note.regarding.namespace,
            "name": note.regarding.name,
            "uid": note.regarding.uid,
        },
        "type": note.kind,
        "reason": note.reason,
        "message": note.message,
        "source": { "component": note.source },
        "reportingComponent": note.source,
        "firstTimestamp": meta::time(now),
        "lastTimestamp": meta::time(now),
        "count": 1,
    })
}
