//! Objects as they came: text, of which only the name and the version are known.
//!
//! Every write of ours comes back from the watch, after its answer has been taken over already. Of
//! what is known, nothing else is decoded: most of what an object costs is its decoding.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor,
};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
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

/// Namespace, name, uid and resource version of an object, out of its JSON. Nothing is read beyond
/// the last of them: who owns which field, the spec and the status are nearly all of an object.
///
/// # Errors
/// When there is no metadata, or what is read of it makes no sense.
pub fn identity_of(text: &str) -> serde_json::Result<ObjectMeta> {
    let mut found = Identity::default();
    let read = serde_json::Deserializer::from_str(text).deserialize_map(Object(&mut found));
    if found.is_known {
        // Of the rest it is said that it is not expected here.
        return Ok(found.metadata);
    }
    read.and_then(|()| Err(serde_json::Error::missing_field("metadata")))
}

#[derive(Default)]
struct Identity {
    metadata: ObjectMeta,
    /// Nothing more is to be read.
    is_known: bool,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Part {
    Metadata,
    #[serde(other)]
    Other,
}

/// Looks for the metadata.
struct Object<'i>(&'i mut Identity);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(part) = map.next_key::<Part>()? {
            if matches!(part, Part::Metadata) {
                return map.next_value_seed(Metadata(self.0));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Name,
    Namespace,
    Uid,
    ResourceVersion,
    #[serde(other)]
    Other,
}

/// Takes out of the metadata what is looked for.
struct Metadata<'i>(&'i mut Identity);

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(Identity { metadata, is_known }) = self;
        while let Some(field) = map.next_key::<Field>()? {
            match field {
                Field::Name => metadata.name = map.next_value()?,
                Field::Namespace => metadata.namespace = map.next_value()?,
                Field::Uid => metadata.uid = map.next_value()?,
                Field::ResourceVersion => metadata.resource_version = map.next_value()?,
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            }
            let names = [&metadata.name, &metadata.namespace, &metadata.uid];
            if metadata.resource_version.is_some() && names.into_iter().all(Option::is_some) {
                break;
            }
        }
        *is_known = true;
        Ok(())
    }
}

/// Reads JSON text only: other formats have no text to keep.
impl<'de, K> Deserialize<'de> for Unread<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self {
            metadata: identity_of(text.get()).map_err(D::Error::custom)?,
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
    fn an_object_is_known_wherever_its_metadata_says_who_it_is() {
        let fields = [("name", "a"), ("namespace", "n"), ("uid", "u")];
        let [name, namespace, uid] = fields.map(|(field, text)| format!(r#""{field}": "{text}""#));
        let version = r#""resourceVersion": "7""#;
        let owners = r#""labels": {"uid": "x"}, "managedFields": [{"name": ["y"]}]"#;
        let built_in = format!("{name}, {namespace}, {uid}, {version}, {owners}");
        let custom = format!("{owners}, {name}, {namespace}, {version}, {uid}");
        let escaped = built_in.replace("name\": \"a", "n\\u0061me\": \"\\u0061");
        for metadata in [&built_in, &custom, &escaped] {
            for text in [
                format!(r#"{{"kind": "Pod", "metadata": {{{metadata}}}, "spec": {{"uid": 1}}}}"#),
                format!(r#"{{"spec": {{"metadata": 1}}, "metadata": {{{metadata}}}}}"#),
            ] {
                let known = identity_of(&text).unwrap();
                assert_eq!(known.name.as_deref(), Some("a"), "{text}");
                assert_eq!(known.namespace.as_deref(), Some("n"), "{text}");
                assert_eq!(known.uid.as_deref(), Some("u"), "{text}");
                assert_eq!(known.resource_version.as_deref(), Some("7"), "{text}");
            }
        }
        // What belongs to no namespace, or was never in a server, does not have all of them.
        let text = r#"{"metadata": {"namespace": null, "name": "a", "labels": {}}, "spec": 1}"#;
        let known = identity_of(text).unwrap();
        assert_eq!(known.name.as_deref(), Some("a"));
        assert_eq!((known.namespace, known.resource_version), (None, None));
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
