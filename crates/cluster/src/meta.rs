//! Small readings of object metadata that every controller needs.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::Kind;

/// The owner that manages the object, if any (`controller: true`).
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
}

/// Whether `metadata` is controlled by the object of that uid.
pub fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    controller_of(metadata).is_some_and(|owner| owner.uid == uid)
}

/// A reference that makes `owner` the controller of what carries it, and blocks its foreground
/// deletion.
pub fn controller_reference(kind: &Kind, owner: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: kind.api_version(),
        kind: kind.kind.to_string(),
        name: name(owner).to_owned(),
        uid: uid(owner).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// `metadata.uid`, empty on an object that was never stored.
pub fn uid(metadata: &ObjectMeta) -> &str {
    metadata.uid.as_deref().unwrap_or_default()
}

/// `metadata.name`, empty on an object that was never stored.
pub fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// `metadata.namespace`, empty on a cluster-scoped object.
pub fn namespace(metadata: &ObjectMeta) -> &str {
    metadata.namespace.as_deref().unwrap_or_default()
}

/// Whether deletion was asked for.
pub fn is_deleting(metadata: &ObjectMeta) -> bool {
    metadata.deletion_timestamp.is_some()
}

/// One annotation.
pub fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The prefix of generated children: `<name>-`.
pub fn generate_name(owner: &ObjectMeta) -> String {
    format!("{}-", name(owner))
}

/// `at` plus whole seconds, saturating.
pub fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

/// API times have a resolution of a second.
pub fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// A number, or a percentage of `total`. Negative numbers and percentages that can't be read count
/// as 0.
pub fn scaled(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    let percent = |pct: i64| {
        let product = i64::from(total) * pct;
        let rounded = if round_up {
            (product + 99).div_euclid(100)
        } else {
            product.div_euclid(100)
        };
        i32::try_from(rounded).unwrap_or(i32::MAX)
    };
    match value {
        IntOrString::Int(number) => (*number).max(0),
        IntOrString::String(text) => text
            .strip_suffix('%')
            .and_then(|digits| digits.parse::<i64>().ok())
            .filter(|pct| (0..=10_000).contains(pct))
            .map_or(0, percent),
    }
}
