//! The comparison, object by object: what Git declares beside what lives.

use super::diff::{Difference, FieldDiff, Ownership, declared};
use super::digest::digest;
use super::fields::owned_by;
use super::{DiffRules, FIELD_MANAGER, LiveTree, client_side};
use crate::manifest::{Hook, Manifest, hook};
use crate::resource::{self, ResourceId, annotation};
use crate::tracking::{self, TRACKING_ANNOTATION};
use api::constants::gitops::{
    COMPARE_OPTIONS_ANNOTATION, DIGEST_ANNOTATION, INSTANCE_LABEL, OWN_INSTANCE_LABEL,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// One object of the target state, of the live state, or of both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResourceComparison {
    pub id: ResourceId,
    pub version: String,
    pub wave: i64,
    /// Git declares it.
    pub in_target: bool,
    pub in_live: bool,
    /// Why it is out of sync; empty if Git and cluster agree, or if one side is missing.
    pub differences: Vec<FieldDiff>,
    /// The Application that the live object says it belongs to, if that is another one.
    pub shared_with: Option<String>,
    /// Out of sync, but of no weight for the Application as a whole.
    pub extraneous: bool,
    /// The live object was applied from exactly the manifest that Git has: the view of the cluster
    /// has caught up with our last apply.
    pub applied: bool,
}

impl ResourceComparison {
    pub fn is_synced(&self) -> bool {
        self.in_target && self.in_live && self.differences.is_empty()
    }

    /// Ours, live, and no longer in Git.
    pub fn requires_pruning(&self) -> bool {
        self.in_live && !self.in_target
    }
}

/// Everything that belongs to an Application, by identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    pub resources: Vec<ResourceComparison>,
}

impl Comparison {
    pub fn get(&self, id: &ResourceId) -> Option<&ResourceComparison> {
        self.resources
            .binary_search_by(|resource| resource.id.cmp(id))
            .ok()
            .map(|at| &self.resources[at])
    }

    /// Whether the Application as a whole is in sync.
    pub fn is_synced(&self) -> bool {
        self.resources
            .iter()
            .all(|resource| resource.is_synced() || resource.extraneous)
    }
}

/// Compares what Git declares with what lives.
pub fn compare(target: &[Manifest], live: &LiveTree, rules: &DiffRules) -> Comparison {
    let mut resources: Vec<ResourceComparison> = target
        .iter()
        .map(|manifest| {
            let live = live.at(&manifest.id, manifest.version());
            one(manifest, live.map(AsRef::as_ref), rules)
        })
        .collect();
    let declared: BTreeSet<&ResourceId> = target.iter().map(|manifest| &manifest.id).collect();
    for (id, object) in live.iter() {
        let ours = tracking::owner(object) == Some(rules.app.as_str());
        if ours && !declared.contains(id) && hook(object) == Hook::No {
            resources.push(ResourceComparison {
                id: id.clone(),
                version: resource::version(object).to_owned(),
                wave: crate::order::wave(object),
                in_target: false,
                in_live: true,
                differences: Vec::new(),
                shared_with: None,
                extraneous: has_compare_option(object, "IgnoreExtraneous"),
                applied: false,
            });
        }
    }
    resources.sort_by(|a, b| a.id.cmp(&b.id));
    Comparison { resources }
}

fn has_compare_option(object: &Value, option: &str) -> bool {
    annotation(object, COMPARE_OPTIONS_ANNOTATION)
        .is_some_and(|words| words.split(',').any(|word| word.trim() == option))
}

fn one(manifest: &Manifest, live: Option<&Value>, rules: &DiffRules) -> ResourceComparison {
    let mut out = ResourceComparison {
        id: manifest.id.clone(),
        version: manifest.version().to_owned(),
        wave: crate::order::wave(&manifest.object),
        in_target: true,
        in_live: live.is_some(),
        differences: Vec::new(),
        shared_with: None,
        extraneous: false,
        applied: false,
    };
    let Some(live) = live else {
        return out;
    };
    out.shared_with = tracking::owner(live)
        .filter(|app| *app != rules.app)
        .map(str::to_owned);
    let target = masked_target(manifest, Some(live), rules);
    let target_digest = target_digest(manifest, rules);
    let live_digest = annotation(live, DIGEST_ANNOTATION);
    out.applied = live_digest == Some(target_digest.as_str());

    let own = owned_by(live, &|entry| {
        entry.get("manager").and_then(Value::as_str) == Some(FIELD_MANAGER)
            && entry.get("operation").and_then(Value::as_str) == Some("Apply")
    });
    let any = owned_by(live, &|_| true);
    let client_side = match &own {
        Some(_) => None,
        None => client_side::owned(live, &rules.migrated),
    };
    let mut seen = live.clone();
    rules.mask(&manifest.id, &mut seen, Some(live));
    rules.mask_added_rules(&manifest.id, &target, &mut seen);
    drop_server_fields(&mut seen);
    out.differences = declared(
        &target,
        &seen,
        Ownership {
            own: own.as_ref(),
            any: any.as_ref(),
            client_side: client_side.as_ref(),
            digest_matches: out.applied,
        },
    );
    if live_digest.is_some() && !out.applied && out.differences.is_empty() {
        out.differences.push(FieldDiff {
            path: String::new(),
            what: Difference::Changed,
            target: None,
            live: None,
        });
    }
    out.differences.extend(unclaimed(manifest, live, rules));
    out
}

/// That a declared object does not say that it is ours. Until it is applied it goes neither with
/// its manifest nor with the Application, however much it is as declared. The tracking id is no
/// field like others: whose object it is matters more than what is ignored of it.
fn unclaimed(manifest: &Manifest, live: &Value, rules: &DiffRules) -> Option<FieldDiff> {
    let wanted = annotation(&manifest.object, TRACKING_ANNOTATION)?;
    let owner = tracking::owner(live);
    let is_ours = match owner {
        Some(owner) => owner == rules.app,
        None => is_labelled(live, &rules.app),
    };
    // What stands for an object that can't be seen has no uid.
    if is_ours || !tracking::is_tracked(&manifest.id) || resource::uid(live).is_none() {
        return None;
    }
    // Where the live annotations are kept, an apply would not change it.
    let mut sent = manifest.object.clone();
    rules.keep(&manifest.id, &mut sent, live);
    if annotation(&sent, TRACKING_ANNOTATION) != Some(wanted) {
        return None;
    }
    let seen = annotation(live, TRACKING_ANNOTATION);
    Some(FieldDiff {
        path: format!(".metadata.annotations.{TRACKING_ANNOTATION}"),
        what: if seen.is_some() {
            Difference::Differs
        } else {
            Difference::Missing
        },
        target: Some(wanted.into()),
        live: seen.map(Value::from),
    })
}

/// Whether an object is tracked by label, as it is where the peer is configured so. It is ours as
/// it is; the next sync that there is a reason for gives it the id.
fn is_labelled(live: &Value, app: &str) -> bool {
    let labels = live.pointer("/metadata/labels");
    [INSTANCE_LABEL, OWN_INSTANCE_LABEL]
        .iter()
        .filter_map(|key| labels?.get(key)?.as_str())
        .any(|name| name == app)
}

/// The digest of what counts in a manifest. Independent of the live object, so that it is the same
/// when the manifest is applied and when it is compared.
pub(crate) fn target_digest(manifest: &Manifest, rules: &DiffRules) -> String {
    digest(&masked_target(manifest, None, rules))
}

/// What the managed fields of a live object have to be before it is applied for the first time,
/// where client-side apply made it; `None` where nothing is to be handed over to us.
pub(crate) fn handed_over(live: &Value, rules: &DiffRules) -> Option<Value> {
    client_side::handed_over(live, &rules.migrated)
}

fn masked_target(manifest: &Manifest, live: Option<&Value>, rules: &DiffRules) -> Value {
    let mut target = manifest.object.clone();
    rules.mask(&manifest.id, &mut target, live);
    drop_tracking(&mut target);
    target
}

fn drop_tracking(object: &mut Value) {
    if let Some(map) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        map.remove(TRACKING_ANNOTATION);
        map.remove(DIGEST_ANNOTATION);
    }
}

fn drop_server_fields(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in [
            "managedFields",
            "resourceVersion",
            "uid",
            "generation",
            "creationTimestamp",
            "selfLink",
        ] {
            metadata.remove(key);
        }
    }
    drop_tracking(object);
}
