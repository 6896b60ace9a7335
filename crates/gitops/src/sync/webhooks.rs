//! Admission webhooks that an Application brings itself. While one of them is broken it keeps out,
//! with everything else that it judges, what would mend it: the commit that does so must not fail
//! for the refusal of the one that it replaces. So of two objects of a sync, one refused by a
//! webhook and one that this webhook depends on, the refusal of the first is no reason not to send
//! the second. It is tried again after that, as the operation says.
//!
//! A webhook without an answer may want for anything that is near it. One that has said no is at
//! work, and most likely right: only a change of what it consists of may make it say another thing:
//! its configuration, its Service, the workloads that this selects, and the ConfigMaps and Secrets
//! of its namespace. Which of these it reads can't be told: some programs ask the API server for
//! them.

use super::run::Running;
use super::tasks::{Task, Todo};
use crate::resource::{self, ResourceId};
use api::constants::HASH_LABEL;
use serde_json::{Map, Value};

const GROUP: &str = "admissionregistration.k8s.io";
const CONFIGURATIONS: [&str; 2] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// What the API server says, before the name of a webhook, when that has no answer, and when it has
/// said no.
const BLAMES: [&str; 2] = ["failed calling webhook \"", "admission webhook \""];
/// What it says of a webhook that has looked at the object.
const DENIED: &str = "denied the request";

/// What a webhook is made of, by group and kind: who answers, and what these are set up by.
const PARTS: [(&str, &str); 9] = [
    ("", "ConfigMap"),
    ("", "Pod"),
    ("", "Secret"),
    ("", "Service"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("argoproj.io", "Rollout"),
];

/// Whether a refusal of the object of one task comes from a webhook that another one, which is to
/// be sent as well, may change.
pub(super) fn may_be_mended<'t>(
    running: Running<'_>,
    why: &str,
    refused: &Task,
    mut others: impl Iterator<Item = &'t Task>,
) -> bool {
    let Some(webhook) = Webhook::blamed(running, why) else {
        return false;
    };
    let is_sent = |task: &Task| matches!(task.todo, Todo::Apply { .. } | Todo::Prune);
    let may_mend = |id: &ResourceId| {
        if has_denied(why) {
            webhook.consists_of(running, id) && is_changed(running, id)
        } else {
            webhook.depends_on(id)
        }
    };
    others.any(|other| other.id != refused.id && is_sent(other) && may_mend(&other.id))
}

/// What is known of a webhook of an Application.
#[derive(Debug)]
struct Webhook {
    configuration: Option<ResourceId>,
    /// Where those are who answer, if they are in the cluster.
    namespace: Option<String>,
    /// The Service that they are behind.
    service: Option<ResourceId>,
}

impl Webhook {
    /// The webhook that a refusal is to blame on; `None` if there is none, or it is not one of the
    /// Application.
    fn blamed(running: Running<'_>, why: &str) -> Option<Self> {
        let name = BLAMES.iter().find_map(|words| quoted(why, words))?;
        let declared = running.assessment.manifests.iter();
        let declared = declared.map(|manifest| (&manifest.id, &manifest.object));
        let live = running.snapshot.live.iter();
        let mut all = declared.chain(live.map(|(id, object)| (id, object.as_ref())));
        all.find_map(|(id, object)| Self::of_configuration(id, object, name))
            .or_else(|| Self::of_service(running, why))
    }

    fn of_configuration(id: &ResourceId, object: &Value, name: &str) -> Option<Self> {
        if id.group != GROUP || !CONFIGURATIONS.contains(&id.kind.as_str()) {
            return None;
        }
        let mut webhooks = resource::list(object, "/webhooks").iter();
        let webhook = webhooks.find(|one| resource::string(one, "/name") == Some(name))?;
        let namespace = resource::string(webhook, "/clientConfig/service/namespace");
        let name = resource::string(webhook, "/clientConfig/service/name");
        let service = namespace.zip(name);
        Some(Self {
            configuration: Some(id.clone()),
            namespace: namespace.map(str::to_owned),
            service: service
                .map(|(namespace, name)| ResourceId::new("", "Service", namespace, name)),
        })
    }

    /// By the address that had no answer: who registers the webhook may be one of the Application's
    /// own programs.
    fn of_service(running: Running<'_>, why: &str) -> Option<Self> {
        let (_, address) = why.split_once("https://")?;
        let (host, _) = address.split_once(".svc")?;
        let (name, namespace) = host.split_once('.')?;
        let service = ResourceId::new("", "Service", namespace, name);
        let mut declared = running.assessment.manifests.iter();
        declared
            .any(|manifest| manifest.id == service)
            .then(|| Self {
                configuration: None,
                namespace: Some(namespace.to_owned()),
                service: Some(service),
            })
    }

    /// Whether the webhook may be another one once this object is as it is to be.
    fn depends_on(&self, id: &ResourceId) -> bool {
        let is_near = self.namespace.as_ref() == Some(&id.namespace);
        is_near || self.configuration.as_ref() == Some(id)
    }

    /// Whether it depends on this object for what it says, and not for an answer alone.
    fn consists_of(&self, running: Running<'_>, id: &ResourceId) -> bool {
        let is_part = PARTS.iter().any(|(group, kind)| id.is(group, kind));
        self.configuration.as_ref() == Some(id)
            || (is_part && self.depends_on(id) && self.may_use(running, id))
    }

    /// Whether an object near the webhook may be one of those who answer, or be read by them.
    fn may_use(&self, running: Running<'_>, id: &ResourceId) -> bool {
        let Some(service) = &self.service else {
            return true;
        };
        if id.is("", "ConfigMap") || id.is("", "Secret") {
            return true;
        }
        if id.is("", "Service") {
            return id == service;
        }
        let selectors: Vec<Map<String, Value>> =
            versions(running, service).map(selector_of).collect();
        // Whom one without a selector leads to is for somebody else to say.
        if selectors.is_empty() || selectors.iter().any(Map::is_empty) {
            return true;
        }
        versions(running, id).any(|object| {
            pod_labels(object).is_none_or(|labels| {
                let is_in = |selector: &Map<String, Value>| {
                    let mut wanted = selector.iter();
                    wanted.all(|(key, value)| labels.get(key) == Some(value))
                };
                selectors.iter().any(is_in)
            })
        })
    }
}

/// An object as Git declares it, and as it is.
fn versions<'a>(running: Running<'a>, id: &ResourceId) -> impl Iterator<Item = &'a Value> {
    let mut manifests = running.assessment.manifests.iter();
    let declared = manifests.find(|manifest| manifest.id == *id);
    let live = running.snapshot.live.get(id).map(AsRef::as_ref);
    declared
        .map(|manifest| &manifest.object)
        .into_iter()
        .chain(live)
}

/// What a Service selects by, but for the hash that a rollout controller puts there.
fn selector_of(service: &Value) -> Map<String, Value> {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let mut selector = selector.cloned().unwrap_or_default();
    selector.remove(HASH_LABEL);
    selector
}

/// The labels of the pods of a workload; `None` if it does not say itself what they are.
fn pod_labels(object: &Value) -> Option<&Value> {
    let meta = if resource::kind(object) == "Pod" {
        object.get("metadata")?
    } else {
        object.pointer("/spec/template/metadata")?
    };
    Some(meta.get("labels").unwrap_or(&Value::Null))
}

/// Whether a webhook has looked at the object, and said no.
fn has_denied(why: &str) -> bool {
    quoted(why, BLAMES[0]).is_none() && why.contains(DENIED)
}

/// Whether the sync makes something else of an object. What is only applied for the first time, and
/// is as declared already, stays as it is.
fn is_changed(running: Running<'_>, id: &ResourceId) -> bool {
    let compared = running.assessment.comparison.get(id);
    compared.is_none_or(|compared| !compared.is_synced())
}

/// What is between these words, which end with a quotation mark, and the next such mark.
fn quoted<'w>(why: &'w str, words: &str) -> Option<&'w str> {
    let (_, rest) = why.split_once(words)?;
    rest.split_once('"').map(|(name, _)| name)
}
