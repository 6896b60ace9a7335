//! `{{args.name}}` (rollouts.md §4.3).

use api::{Argument, IntOrString, Metric};
use gocompat::number;
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands for a secret value wherever no request is made.
pub(crate) const SECRET_PLACEHOLDER: &str = "temp-for-secret";

/// A number that may be written as a string; a string that is none is 0.
pub(crate) fn int_of(value: Option<&IntOrString>, absent: i32) -> i32 {
    match value {
        None => absent,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => text.parse().unwrap_or(0),
    }
}

/// The values of arguments by name; `secret` gives that of a secret argument. One that has none is
/// an error, whether a metric uses it or not.
pub(crate) fn values(
    args: &[Argument],
    mut secret: impl FnMut(&api::SecretKeyRef) -> Result<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    for arg in args {
        let reference = arg
            .value_from
            .as_ref()
            .and_then(|from| from.secret_key_ref.as_ref());
        let value = match (reference, &arg.value) {
            (Some(reference), _) => secret(reference)?,
            (None, Some(value)) => value.clone(),
            (None, None) => return Err(format!("argument \"{}\" was not supplied", arg.name)),
        };
        values.insert(arg.name.clone(), value);
    }
    Ok(values)
}

/// The metric with its arguments filled in, as JSON.
pub(crate) fn substitute(
    metric: &Metric,
    values: &BTreeMap<String, String>,
) -> Result<Value, String> {
    filled_in(&text(metric)?, values)
}

/// The metric with its arguments filled in; most have none.
pub(crate) fn substitute_typed(
    metric: &Metric,
    values: &BTreeMap<String, String>,
) -> Result<Metric, String> {
    let template = text(metric)?;
    if template.contains("{{") {
        typed(filled_in(&template, values)?)
    } else {
        Ok(metric.clone())
    }
}

fn text(metric: &Metric) -> Result<String, String> {
    serde_json::to_string(metric).map_err(|error| error.to_string())
}

fn filled_in(template: &str, values: &BTreeMap<String, String>) -> Result<Value, String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find("{{") {
        filled.push_str(&rest[..open]);
        let after = &rest[open + 2..];
        let Some(close) = after.find("}}") else {
            // JSON itself may end in braces, but never begins a tag without an end.
            return Err(format!("failed to resolve {{{{{after}"));
        };
        let (tag, tail) = after.split_at(close);
        filled.push_str(&escaped(tag.trim(), values)?);
        rest = &tail[2..];
    }
    filled.push_str(rest);
    serde_json::from_str(&filled).map_err(|error| error.to_string())
}

/// The value of a tag, quoted as Go does, without the quotes.
fn escaped(tag: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let Some(value) = tag.strip_prefix("args.").and_then(|name| values.get(name)) else {
        return Err(format!("failed to resolve {{{{{tag}}}}}"));
    };
    let quoted = number::quote(value);
    Ok(quoted[1..quoted.len() - 1].to_owned())
}

/// The typed form of a filled-in metric.
pub(crate) fn typed(metric: Value) -> Result<Metric, String> {
    serde_json::from_value(metric).map_err(|error| error.to_string())
}
