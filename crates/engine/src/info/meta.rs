//! Who owns whom, which revision, how old.

use api::constants::REVISION_ANNOTATION;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What the tree keeps of an object's metadata.
pub(super) fn brief(meta: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        creation_timestamp: meta.creation_timestamp.clone(),
        ..ObjectMeta::default()
    }
}

/// Whether `child` has an owner with the uid of `owner`.
pub(super) fn owns(owner: &ObjectMeta, child: &ObjectMeta) -> bool {
    let owners = child.owner_references.as_deref().unwrap_or_default();
    owner
        .uid
        .as_ref()
        .is_some_and(|uid| owners.iter().any(|reference| reference.uid == *uid))
}

/// The revision that an object carries, 0 if none.
pub(super) fn revision(meta: &ObjectMeta) -> i64 {
    annotation(meta, REVISION_ANNOTATION)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

pub(super) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

pub(super) fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

pub(super) fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// Sort key: oldest first, then by name.
pub(super) fn by_age(meta: &ObjectMeta) -> (Option<Timestamp>, String) {
    (
        meta.creation_timestamp.as_ref().map(|time| time.0),
        name(meta).to_owned(),
    )
}

/// Sort key: newest revision first, then oldest first, then by name.
pub(super) fn by_revision(
    revision: i64,
    meta: &ObjectMeta,
) -> (std::cmp::Reverse<i64>, Option<Timestamp>, String) {
    let (created, name) = by_age(meta);
    (std::cmp::Reverse(revision), created, name)
}
