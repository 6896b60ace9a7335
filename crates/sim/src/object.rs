//! Objects as the world holds them: parsed once when they are written, shared by every view. Where
//! there are very many, they are kept as text, and parsed by whoever looks at one.

use api::{AnalysisRun, AnalysisTemplate, Experiment, Rollout};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use plan::ObjectKey;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// The only namespace of a world.
pub const NAMESPACE: &str = "demo";

/// The kinds that a world knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rollout,
    ReplicaSet,
    Pod,
    Service,
    HttpRoute,
    AnalysisRun,
    AnalysisTemplate,
    Experiment,
    Deployment,
    Ingress,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Rollout,
        Self::ReplicaSet,
        Self::Pod,
        Self::Service,
        Self::HttpRoute,
        Self::AnalysisRun,
        Self::AnalysisTemplate,
        Self::Experiment,
        Self::Deployment,
        Self::Ingress,
    ];

    /// (`apiVersion`, `kind`) as in manifests.
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Rollout => ("argoproj.io/v1alpha1", "Rollout"),
            Self::ReplicaSet => ("apps/v1", "ReplicaSet"),
            Self::Pod => ("v1", "Pod"),
            Self::Service => ("v1", "Service"),
            Self::HttpRoute => ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            Self::AnalysisRun => ("argoproj.io/v1alpha1", "AnalysisRun"),
            Self::AnalysisTemplate => ("argoproj.io/v1alpha1", "AnalysisTemplate"),
            Self::Experiment => ("argoproj.io/v1alpha1", "Experiment"),
            Self::Deployment => ("apps/v1", "Deployment"),
            Self::Ingress => ("networking.k8s.io/v1", "Ingress"),
        }
    }

    pub fn of(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.names().1 == kind)
    }
}

/// The address of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    pub kind: Kind,
    pub name: Arc<str>,
}

impl Id {
    pub fn new(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    pub fn of_key(key: &ObjectKey) -> Option<Self> {
        Some(Self::new(Kind::of(&key.kind)?, &key.name))
    }

    /// The address that a manifest gives itself.
    pub fn of_json(object: &Value) -> Option<Self> {
        let kind = Kind::of(object.get("kind")?.as_str()?)?;
        Some(Self::new(kind, object["metadata"]["name"].as_str()?))
    }

    pub fn key(&self) -> ObjectKey {
        let (api_version, kind) = self.kind.names();
        ObjectKey::namespaced(api_version, kind, NAMESPACE, &self.name)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.names().1, self.name)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Rollout(Arc<Rollout>),
    ReplicaSet(Arc<ReplicaSet>),
    Pod(Arc<Pod>),
    Service(Arc<Service>),
    AnalysisRun(Arc<AnalysisRun>),
    AnalysisTemplate(Arc<AnalysisTemplate>),
    Experiment(Arc<Experiment>),
    Deployment(Arc<Deployment>),
    HttpRoute(Arc<Value>),
    Ingress(Arc<Value>),
    Packed(Arc<Packed>),
}

/// An object as text, and what is asked of it without reading that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    kind: Kind,
    uid: Box<str>,
    /// The uid of the owner that controls it.
    controller: Option<Box<str>>,
    text: Box<str>,
}

/// One version of one object.
#[derive(Clone, Debug)]
pub struct Object {
    /// `metadata.resourceVersion`.
    pub version: u64,
    pub body: Body,
}

impl Body {
    /// Whether two versions of an object want the same.
    pub fn has_spec_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rollout(own), Self::Rollout(other)) => own.spec == other.spec,
            (Self::ReplicaSet(own), Self::ReplicaSet(other)) => own.spec == other.spec,
            (Self::Service(own), Self::Service(other)) => own.spec == other.spec,
            (Self::AnalysisRun(own), Self::AnalysisRun(other)) => own.spec == other.spec,
            _ => self == other,
        }
    }
}

fn parse<T: DeserializeOwned>(json: Value) -> Result<Arc<T>, String> {
    serde_json::from_value(json)
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

impl Object {
    /// Parses an object of the given kind.
    ///
    /// # Errors
    /// When the kind's type can't hold it.
    pub fn parse(kind: Kind, version: u64, json: Value) -> Result<Self, String> {
        let body = match kind {
            Kind::Rollout => Body::Rollout(parse(json)?),
            Kind::ReplicaSet => Body::ReplicaSet(parse(json)?),
            Kind::Pod => Body::Pod(parse(json)?),
            Kind::Service => Body::Service(parse(json)?),
            Kind::AnalysisRun => Body::AnalysisRun(parse(json)?),
            Kind::AnalysisTemplate => Body::AnalysisTemplate(parse(json)?),
            Kind::Experiment => Body::Experiment(parse(json)?),
            Kind::Deployment => Body::Deployment(parse(json)?),
            Kind::HttpRoute => Body::HttpRoute(Arc::new(json)),
            Kind::Ingress => Body::Ingress(Arc::new(json)),
        };
        Ok(Self { version, body })
    }

    /// The object as JSON. Every type of the API can be written.
    pub fn json(&self) -> Value {
        let json = match &self.body {
            Body::Rollout(own) => serde_json::to_value(&**own),
            Body::ReplicaSet(own) => serde_json::to_value(&**own),
            Body::Pod(own) => serde_json::to_value(&**own),
            Body::Service(own) => serde_json::to_value(&**own),
            Body::AnalysisRun(own) => serde_json::to_value(&**own),
            Body::AnalysisTemplate(own) => serde_json::to_value(&**own),
            Body::Experiment(own) => serde_json::to_value(&**own),
            Body::Deployment(own) => serde_json::to_value(&**own),
            Body::HttpRoute(own) | Body::Ingress(own) => return (**own).clone(),
            Body::Packed(own) => serde_json::from_str(&own.text),
        };
        json.unwrap_or(Value::Null)
    }

    /// The same object as text.
    #[must_use]
    pub fn packed(&self, kind: Kind) -> Self {
        if matches!(self.body, Body::Packed(_)) {
            return self.clone();
        }
        let packed = Packed {
            kind,
            uid: self.uid().into(),
            controller: self.controller_uid().map(Into::into),
            text: self.json().to_string().into(),
        };
        let body = Body::Packed(Arc::new(packed));
        Self { body, ..*self }
    }

    /// The same object, parsed. What was packed was parsed before.
    #[must_use]
    pub fn opened(&self) -> Self {
        let Body::Packed(own) = &self.body else {
            return self.clone();
        };
        Self::parse(own.kind, self.version, self.json()).unwrap_or_else(|_| self.clone())
    }

    /// Writes the version down in the object, and a generation if that is new.
    pub(crate) fn renew(&mut self, has_new_spec: bool) {
        let metadata = match &mut self.body {
            Body::Rollout(own) => &mut Arc::make_mut(own).metadata,
            Body::ReplicaSet(own) => &mut Arc::make_mut(own).metadata,
            Body::Service(own) => &mut Arc::make_mut(own).metadata,
            Body::AnalysisRun(own) => &mut Arc::make_mut(own).metadata,
            _ => return,
        };
        metadata.resource_version = Some(self.version.to_string());
        let generation = metadata.generation.unwrap_or(1);
        metadata.generation = Some(generation + i64::from(has_new_spec));
    }

    /// `None` for what routers read, which has no type here, and for what is packed.
    pub fn metadata(&self) -> Option<&ObjectMeta> {
        Some(match &self.body {
            Body::Rollout(own) => &own.metadata,
            Body::ReplicaSet(own) => &own.metadata,
            Body::Pod(own) => &own.metadata,
            Body::Service(own) => &own.metadata,
            Body::AnalysisRun(own) => &own.metadata,
            Body::AnalysisTemplate(own) => &own.metadata,
            Body::Experiment(own) => &own.metadata,
            Body::Deployment(own) => &own.metadata,
            Body::HttpRoute(_) | Body::Ingress(_) | Body::Packed(_) => return None,
        })
    }

    pub fn uid(&self) -> &str {
        match &self.body {
            Body::HttpRoute(own) | Body::Ingress(own) => {
                own["metadata"]["uid"].as_str().unwrap_or_default()
            }
            Body::Packed(own) => &own.uid,
            _ => self
                .metadata()
                .and_then(|metadata| metadata.uid.as_deref())
                .unwrap_or_default(),
        }
    }

    /// The owner that controls it.
    pub fn controller(&self) -> Option<&OwnerReference> {
        let mut owners = self.metadata()?.owner_references.iter().flatten();
        owners.find(|owner| owner.controller == Some(true))
    }

    /// The uid of that owner; of what has no type too.
    pub fn controller_uid(&self) -> Option<&str> {
        if let Body::Packed(own) = &self.body {
            return own.controller.as_deref();
        }
        let (Body::HttpRoute(own) | Body::Ingress(own)) = &self.body else {
            return self.controller().map(|owner| owner.uid.as_str());
        };
        let mut owners = own["metadata"]["ownerReferences"].as_array()?.iter();
        let owner = owners.find(|owner| owner["controller"] == true)?;
        owner.get("uid")?.as_str()
    }

    /// Whether it is a pod that is ready.
    pub fn is_ready(&self) -> bool {
        let Body::Pod(pod) = &self.body else {
            return false;
        };
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|own| own.type_ == "Ready" && own.status == "True")
    }

    pub fn rollout(&self) -> Option<&Arc<Rollout>> {
        match &self.body {
            Body::Rollout(own) => Some(own),
            _ => None,
        }
    }

    pub fn replica_set(&self) -> Option<&Arc<ReplicaSet>> {
        match &self.body {
            Body::ReplicaSet(own) => Some(own),
            _ => None,
        }
    }

    pub fn analysis_run(&self) -> Option<&Arc<AnalysisRun>> {
        match &self.body {
            Body::AnalysisRun(own) => Some(own),
            _ => None,
        }
    }
}

/// The hash of the pod template that a ReplicaSet was made for.
pub fn hash_of(set: &ReplicaSet) -> &str {
    set.metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(api::constants::HASH_LABEL))
        .map_or("", String::as_str)
}

/// `spec.replicas`, which the server defaults to 1.
pub fn size_of(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_packed_is_what_it_was() {
        let owner = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app",
            "uid": "r", "controller": true});
        let metadata = json!({"name": "app", "uid": "u", "ownerReferences": [owner]});
        let spec = json!({"replicas": 3, "selector": {"matchLabels": {"app": "app"}}});
        for kind in [Kind::ReplicaSet, Kind::HttpRoute] {
            let object = json!({"kind": kind.names().1, "metadata": metadata, "spec": spec});
            let object = Object::parse(kind, 7, object).unwrap();
            let packed = object.packed(kind);
            assert_ne!(packed.body, object.body);
            assert_eq!(packed.version, 7);
            assert_eq!((packed.uid(), packed.controller_uid()), ("u", Some("r")));
            assert_eq!(packed.json(), object.json());
            assert_eq!(packed.packed(kind).body, packed.body);
            assert_eq!(packed.opened().body, object.body);
        }
    }
}
