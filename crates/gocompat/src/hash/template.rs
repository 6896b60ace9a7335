//! The pod template hash.

use super::encode::Encoder;
use super::fnv::{fnv1a_32, safe_encode};
use super::shape::Shape;
use crate::generated::POD_TEMPLATE;
use serde_json::Value;

/// The bytes that are hashed: the template as Go's `encoding/json` writes a `PodTemplateSpec`.
pub fn canonical_template(template: &Value) -> String {
    Encoder::encode(POD_TEMPLATE, Shape::Object(0), Some(template))
}

/// The value of the label `rollouts-pod-template-hash` for a pod template (rollouts.md §2.2).
///
/// `collision_count` is `status.collisionCount`; `Some(0)` and `None` give different hashes.
pub fn pod_template_hash(template: &Value, collision_count: Option<i32>) -> String {
    let bytes = canonical_template(template);
    // Go writes a 32-bit count into a buffer of eight bytes and hashes the whole buffer.
    let mut collisions = [0; 8];
    let suffix: &[u8] = match collision_count {
        Some(count) => {
            collisions[..4].copy_from_slice(&count.to_le_bytes());
            &collisions
        }
        None => &[],
    };
    safe_encode(fnv1a_32(&[bytes.as_bytes(), suffix]))
}
