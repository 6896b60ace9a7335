//! What Kubernetes checks of a container: name, image, ports, environment.

use super::super::error::{Check, SpecError, first_complaint, within};
use super::super::node::Node;
use super::volume::Volumes;
use super::{name, one_of, resources, volume};
use std::collections::BTreeSet;

/// Checks what containers and init containers have in common. `names` holds the names so far and
/// gets this one's.
pub(super) fn check<'a>(
    container: &Node<'a>,
    volumes: &Volumes<'_>,
    names: &mut BTreeSet<&'a str>,
) -> Check {
    let container_name = container.required_text("name")?;
    first_complaint(
        &container.at("name"),
        container_name,
        name::dns_label(container_name),
    )?;
    container.required_text("image")?;
    one_of(
        container,
        "terminationMessagePolicy",
        &["File", "FallbackToLogsOnError"],
    )?;
    ports(container)?;
    environment(container)?;
    volume::mounts(container, volumes)?;
    one_of(
        container,
        "imagePullPolicy",
        &["Always", "IfNotPresent", "Never"],
    )?;
    resources::check(container)?;
    if !names.insert(container_name) {
        return Err(SpecError::duplicate(container.at("name"), container_name));
    }
    Ok(())
}

fn ports(container: &Node<'_>) -> Check {
    let mut names = BTreeSet::new();
    for port in container.list("ports")? {
        if let Some(port_name) = port.text("name")? {
            first_complaint(&port.at("name"), port_name, name::port(port_name))?;
            if !names.insert(port_name) {
                return Err(SpecError::duplicate(port.at("name"), port_name));
            }
        }
        match port.integer("containerPort")? {
            None | Some(0) => return Err(SpecError::required(port.at("containerPort"), "")),
            Some(number) => within(&port.at("containerPort"), number, 1..=65535)?,
        }
        match port.integer("hostPort")? {
            None | Some(0) => {}
            Some(number) => within(&port.at("hostPort"), number, 1..=65535)?,
        }
        one_of(&port, "protocol", &["SCTP", "TCP", "UDP"])?;
    }
    Ok(())
}

fn environment(container: &Node<'_>) -> Check {
    for variable in container.list("env")? {
        variable.required_text("name")?;
        let Some(source) = variable.object("valueFrom")? else {
            continue;
        };
        if variable.text("value")?.is_some() {
            return Err(SpecError::invalid(
                &source.path,
                "",
                "may not be specified when `value` is not empty",
            ));
        }
        let sources = source.value.as_object().map_or(0, serde_json::Map::len);
        if sources != 1 {
            let detail = if sources == 0 {
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, \
                 `secretKeyRef` or `fileKeyRef`"
            } else {
                "may not have more than one field specified at a time"
            };
            return Err(SpecError::invalid(&source.path, "", detail));
        }
    }
    Ok(())
}
