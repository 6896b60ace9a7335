//! Images whose tag can come to mean something else: a rollback to their revision is no rollback.
//!
//! Ours, the peer has nothing of it. A new revision with such an image is warned of; with
//! [`Config::deny_mutable_tags`](crate::config::Config::deny_mutable_tags) it is refused.

use super::context::Context;
use crate::validate::SpecError;
use api::Rollout;
use api::constants::reason;
use serde_json::Value;

const REMEDY: &str = "name a version or a digest";

/// No digest, and no tag or the tag `latest`.
pub(super) fn is_mutable(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    !image.contains('@') && (name.ends_with(":latest") || !name.contains(':'))
}

/// Field path, container and image of every container with such an image.
fn mutable(rollout: &Rollout) -> Vec<(String, String, String)> {
    let Some(template) = &rollout.spec.template else {
        return Vec::new();
    };
    let lists = [
        ("initContainers", template.init_containers()),
        ("containers", template.containers()),
    ];
    let text = |container: &Value, field: &str| {
        let value = container.get(field).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    lists
        .into_iter()
        .flat_map(|(list, containers)| {
            containers
                .iter()
                .enumerate()
                .map(move |(index, container)| {
                    let path = format!("spec.template.spec.{list}[{index}].image");
                    (path, text(container, "name"), text(container, "image"))
                })
        })
        .filter(|(_, _, image)| !image.is_empty() && is_mutable(image))
        .collect()
}

/// The first image that is refused, where the operator wants that.
pub(super) fn denied(rollout: &Rollout) -> Option<SpecError> {
    let (path, _, image) = mutable(rollout).into_iter().next()?;
    let detail = format!("this controller refuses tags that can change: {REMEDY}");
    Some(SpecError::invalid(path, image, &detail))
}

impl Context<'_> {
    /// Warns of the images of a revision that is being made.
    pub(super) fn warn_of_mutable_tags(&mut self, revision: i64) {
        for (_, container, image) in mutable(&self.rollout) {
            self.warn(
                reason::MUTABLE_IMAGE_TAG,
                format!(
                    "Container '{container}' of revision {revision} uses the image '{image}', whose tag can change: \
                     a rollback may bring back something else; {REMEDY}"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_can_change_are_told_from_those_that_should_not() {
        for image in [
            "demo",
            "demo:latest",
            "registry:5000/team/demo",
            "a/b:latest",
        ] {
            assert!(is_mutable(image), "{image}");
        }
        for image in [
            "demo:v1",
            "registry:5000/demo:1.2",
            "demo@sha256:ab",
            "demo:latest@sha256:ab",
        ] {
            assert!(!is_mutable(image), "{image}");
        }
    }
}
