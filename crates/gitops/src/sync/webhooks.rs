//! Admission webhooks that an Application brings itself. While one of them is broken it keeps out,
//! with everything else that it judges, what would mend it: the commit that does so must not fail
//! for the refusal of the one that it replaces. So of two objects of a sync, one refused by a
//! webhook and one that this webhook depends on, the refusal of the first is no reason not to send
//! the second. It is tried again after that, as the operation says.
//!
//! A webhook without an answer may want for anything that is near it. One that has said no is at
//! work, and most likely right: only a change of what it consists of may make it say another thing.

use super::run::Running;
use super::tasks::{Task, Todo};
use crate::resource::{self, ResourceId};
use serde_json::Value;

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
            webhook.consists_of(id) && is_changed(running, id)
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
        Some(Self {
            configuration: Some(id.clone()),
            namespace: namespace.map(str::to_owned),
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
            })
    }

    /// Whether the webhook may be another one once this object is as it is to be.
    fn depends_on(&self, id: &ResourceId) -> bool {
        let is_near = self.namespace.as_ref() == Some(&id.namespace);
        is_near || self.configuration.as_ref() == Some(id)
    }

    /// Whether it depends on this object for what it says, and not for an answer alone.
    fn consists_of(&self, id: &ResourceId) -> bool {
        let is_part = PARTS.iter().any(|(group, kind)| id.is(group, kind));
        self.configuration.as_ref() == Some(id) || (is_part && self.depends_on(id))
    }
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
