//! What Kubernetes checks of volumes and of where they are mounted.

use super::super::error::{Check, SpecError, first_complaint};
use super::super::node::Node;
use super::name;
use std::collections::BTreeSet;

/// The names of a pod's volumes.
pub(super) type Volumes<'a> = BTreeSet<&'a str>;

/// Checks the volumes of a pod.
pub(super) fn check<'a>(spec: &Node<'a>) -> Result<Volumes<'a>, SpecError> {
    let mut names = BTreeSet::new();
    for volume in spec.list("volumes")? {
        let volume_name = volume.required_text("name")?;
        first_complaint(
            &volume.at("name"),
            volume_name,
            name::dns_label(volume_name),
        )?;
        if !names.insert(volume_name) {
            return Err(SpecError::duplicate(volume.at("name"), volume_name));
        }
    }
    Ok(names)
}

/// Checks that a container mounts volumes that are there, each place once.
pub(super) fn mounts(container: &Node<'_>, volumes: &Volumes<'_>) -> Check {
    let mut places = BTreeSet::new();
    for mount in container.list("volumeMounts")? {
        let volume = mount.required_text("name")?;
        if !volumes.contains(volume) {
            return Err(SpecError::not_found(mount.at("name"), volume));
        }
        let place = mount.required_text("mountPath")?;
        if !places.insert(place) {
            return Err(SpecError::invalid(
                mount.at("mountPath"),
                place,
                "must be unique",
            ));
        }
    }
    Ok(())
}
