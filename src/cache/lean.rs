//! Objects without who owns which field: `managedFields` is passed over as text. It is longer than
//! most objects, nearly all of it small maps, and no plan of the kinds that are read so asks for
//! it.

use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer,
    MapAccess, SeqAccess, Visitor,
};
use std::borrow::Cow;
use std::fmt;

/// Fields from the outermost to the one that is left out.
type Path = &'static [&'static str];

const MANAGED_FIELDS: Path = &["metadata", "managedFields"];

/// Decodes an object.
///
/// # Errors
/// Those of [`serde_json::from_str`], but for what is wrong within `managedFields` and still JSON.
pub(super) fn from_str<K: DeserializeOwned>(text: &str) -> serde_json::Result<K> {
    let mut json = serde_json::Deserializer::from_str(text);
    let object = K::deserialize(Without {
        inner: &mut json,
        path: MANAGED_FIELDS,
    })?;
    json.end()?;
    Ok(object)
}

/// The same with everything that the object has.
///
/// # Errors
/// Those of [`serde_json::from_str`].
pub(super) fn whole<K: DeserializeOwned>(text: &str) -> serde_json::Result<K> {
    serde_json::from_str(text)
}

/// What it wraps (a deserializer, a visitor, a seed), without the field at `path`.
struct Without<T> {
    inner: T,
    path: Path,
}

/// Values that are no object: nothing can be left out of them.
macro_rules! straight {
    ($($method:ident($($name:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($name,)* visitor)
        })*
    };
}

/// Values that may be one.
macro_rules! within {
    ($($method:ident($($name:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($name,)* Without { inner: visitor, path: self.path })
        })*
    };
}

/// What a visitor is given that is no object.
macro_rules! scalars {
    ($($method:ident($type:ty))*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Without<D> {
    type Error = D::Error;

    within! {
        deserialize_any()
        deserialize_map()
        deserialize_option()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
    }

    straight! {
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i64()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_str()
        deserialize_string()
        deserialize_bytes()
        deserialize_byte_buf()
        deserialize_unit()
        deserialize_seq()
        deserialize_identifier()
        deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Without<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(formatter)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let path = self.path;
        self.inner.visit_map(Fields {
            map,
            path,
            below: &[],
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(seq)
    }

    scalars! {
        visit_bool(bool)
        visit_i64(i64)
        visit_u64(u64)
        visit_f64(f64)
        visit_str(&str)
        visit_borrowed_str(&'de str)
        visit_string(String)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let path = self.path;
        self.inner.visit_some(Without { inner, path })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Without<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let path = self.path;
        self.inner.deserialize(Without { inner, path })
    }
}

/// The fields of one object.
struct Fields<A> {
    map: A,
    path: Path,
    /// What is left out of the value that comes next.
    below: Path,
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        while let Some(Key(key)) = self.map.next_key::<Key<'de>>()? {
            self.below = match self.path {
                [field] if key == *field => {
                    self.map.next_value::<IgnoredAny>()?;
                    continue;
                }
                [field, below @ ..] if key == *field => below,
                _ => &[],
            };
            return seed.deserialize(key.into_deserializer()).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.below {
            [] => self.map.next_value_seed(seed),
            path => self.map.next_value_seed(Without { inner: seed, path }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Rollout;
    use k8s_openapi::api::core::v1::Pod;
    use kube::core::DynamicObject;
    use serde_json::Value;

    const POD: &str = r#"{
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "n\u0061me": "a\"b", "labels": {"managedFields": "not these"},
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {"f:nodeName": {}}}}],
            "annotations": null
        },
        "spec": {"containers": [{"name": "app", "ports": [{"containerPort": 80}]}]},
        "status": null
    }"#;

    #[test]
    fn all_but_the_managed_fields_is_as_it_would_be_with_them() {
        let mut whole: Pod = serde_json::from_str(POD).unwrap();
        assert!(whole.metadata.managed_fields.take().is_some());
        let lean: Pod = from_str(POD).unwrap();
        assert_eq!(lean, whole);
        assert_eq!(lean.metadata.name.as_deref(), Some("a\"b"));
        assert_eq!(lean.metadata.labels.unwrap()["managedFields"], "not these");
    }

    #[test]
    fn custom_resources_are_read_the_same_way() {
        let text = r#"{
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "a", "managedFields": [{"manager": "m"}]},
            "spec": {"replicas": 3, "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}},
            "status": {"phase": "Healthy"}
        }"#;
        let mut whole: Rollout = serde_json::from_str(text).unwrap();
        whole.metadata.managed_fields = None;
        let lean: Rollout = from_str(text).unwrap();
        assert_eq!(
            serde_json::to_value(lean).unwrap(),
            serde_json::to_value(whole).unwrap()
        );
    }

    #[test]
    fn what_has_no_type_is_read_the_same_way() {
        let text = r#"{
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "managedFields": [{"manager": "m"}], "labels": {"a": "b"}},
            "data": {"metadata": {"managedFields": 1}, "s": "a\nb"},
            "n": [null, true, -1, 2, 2.5]
        }"#;
        let mut whole: Value = serde_json::from_str(text).unwrap();
        let metadata = whole["metadata"].as_object_mut().unwrap();
        assert!(metadata.remove("managedFields").is_some());
        assert_eq!(from_str::<Value>(text).unwrap(), whole);
        let object: DynamicObject = from_str(text).unwrap();
        assert_eq!(object.metadata.managed_fields, None);
        assert_eq!(object.data["data"], whole["data"]);
        assert_eq!(object.data["n"], whole["n"]);
    }

    #[test]
    fn what_is_wrong_is_told_as_without_it() {
        for text in [
            "",
            "7",
            "null",
            r#"{"metadata": 7}"#,
            r#"{"metadata": {"name": 7}}"#,
            r#"{"metadata": {"managedFields": [}}"#,
            r#"{"metadata": {}, "spec": {"containers": 1}}"#,
            r#"{"metadata": {}} {}"#,
        ] {
            let whole = serde_json::from_str::<Pod>(text).map_err(|error| error.to_string());
            let lean = from_str::<Pod>(text).map_err(|error| error.to_string());
            assert!(
                lean.is_err() && whole.is_err(),
                "{text}: {lean:?}, {whole:?}"
            );
            if !text.contains("managedFields") {
                assert_eq!(lean.err(), whole.err(), "{text}");
            }
        }
    }
}
