//! Objects as they came: text, of which only the name and the version are known.
//!
//! Every write of ours comes back from the watch, after its answer has been taken over already. Of
//! what is known, nothing else is decoded: most of what an object costs is its decoding.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::marker::PhantomData;

/// An object of the kind `K` that has not been decoded.
#[derive(Clone, Debug)]
pub struct Unread<K> {
    /// Namespace, name, uid and resource version.
    metadata: ObjectMeta,
    text: Box<RawValue>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Unread<K> {
    /// Namespace, name, uid and resource version, and nothing else.
    pub(super) fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    /// The whole object, as JSON.
    pub(super) fn text(&self) -> &str {
        self.text.get()
    }
}

/// As much of an object as says which one it is, and which version of it.
#[derive(serde::Deserialize)]
struct Named {
    metadata: Metadata,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

/// Reads JSON text only: other formats have no text to keep.
impl<'de, K> Deserialize<'de> for Unread<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let Named { metadata } = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self {
            metadata: ObjectMeta {
                name: metadata.name,
                namespace: metadata.namespace,
                uid: metadata.uid,
                resource_version: metadata.resource_version,
                ..ObjectMeta::default()
            },
            text,
            kind: PhantomData,
        })
    }
}

impl<K: Resource> Resource for Unread<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn api_version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::api_version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use kube::api::WatchEvent;
    use kube::core::ObjectList;

    const POD: &str =
        r#"{"metadata": {"name": "a", "namespace": "n", "resourceVersion": "7"}, "spec": 1}"#;

    #[test]
    fn events_and_lists_keep_the_text_of_their_objects() {
        let event = format!(r#"{{"type": "MODIFIED", "object": {POD}}}"#);
        let event: WatchEvent<Unread<Pod>> = serde_json::from_str(&event).unwrap();
        let WatchEvent::Modified(pod) = event else {
            panic!("it is another event: {event:?}");
        };
        let list = format!(r#"{{"kind": "PodList", "metadata": {{}}, "items": [{POD}]}}"#);
        let list: ObjectList<Unread<Pod>> = serde_json::from_str(&list).unwrap();
        for pod in [&pod, &list.items[0]] {
            assert_eq!(pod.text(), POD);
            assert_eq!(pod.meta().name.as_deref(), Some("a"));
            assert_eq!(pod.meta().resource_version.as_deref(), Some("7"));
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "7",
            "{}",
            r#"{"metadata": 7}"#,
            r#"{"metadata": {"name": 7}}"#,
        ] {
            assert!(serde_json::from_str::<Unread<Pod>>(text).is_err(), "{text}");
        }
    }
}
