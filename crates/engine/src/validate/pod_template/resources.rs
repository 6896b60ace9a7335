//! What Kubernetes checks of requests and limits.

use super::super::error::{Check, SpecError};
use super::super::node::Node;
use gocompat::quantity::Quantity;
use serde_json::{Map, Value};

/// Checks that requests and limits are quantities, and that no request exceeds its limit.
pub(super) fn check(container: &Node<'_>) -> Check {
    let Some(resources) = container.object("resources")? else {
        return Ok(());
    };
    let limits = resources.object("limits")?;
    if let Some(limits) = &limits {
        for (name, value) in entries(limits) {
            quantity(&limits.at(name), value)?;
        }
    }
    let Some(requests) = resources.object("requests")? else {
        return Ok(());
    };
    for (name, value) in entries(&requests) {
        let request = quantity(&requests.at(name), value)?;
        let limit = limits.as_ref().and_then(|limits| limits.value.get(name));
        let Some(limit) = limit else { continue };
        let limit = quantity(&format!("{}.limits.{name}", resources.path), limit)?;
        if request > limit {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            return Err(SpecError::invalid(
                &requests.path,
                request.to_string(),
                &detail,
            ));
        }
    }
    Ok(())
}

fn entries<'a>(node: &Node<'a>) -> impl Iterator<Item = (&'a String, &'a Value)> {
    node.value.as_object().into_iter().flat_map(Map::iter)
}

/// A quantity, written as a text or as a number.
fn quantity(path: &str, value: &Value) -> Result<Quantity, SpecError> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let parsed = Quantity::parse(&text)
        .map_err(|error| SpecError::invalid(path, value.clone(), &error.to_string()))?;
    if parsed < Quantity::default() {
        return Err(SpecError::invalid(
            path,
            parsed.to_string(),
            "must be greater than or equal to 0",
        ));
    }
    Ok(parsed)
}
