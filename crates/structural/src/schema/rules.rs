//! `x-kubernetes-validations`: what the rules of a schema say of an object.
//!
//! Rules are evaluated from the outside in, on values that are not null. A rule that speaks of
//! `oldSelf` is one of transitions: it is evaluated where a value stood before that this one
//! succeeds. Any other rule is not held against a value that did not change.
//!
//! A rule that can't be evaluated here, or fails in a way that may be our own, holds nobody up;
//! of the former [`unsupported`] tells, for the server to warn who installs it.

use serde_json::Value;

use super::cel::{Fault, Program, Scope};
use super::model::{Additional, ListType, MapType, Rule, Schema, Type};
use super::validate::correlate;
use crate::FieldError;

/// What all rules of one object may cost together, in values touched.
const BUDGET: u64 = 50_000_000;
/// The longest message that an expression may make, in bytes.
const MESSAGE: usize = 5 * 1024;

type Pair<'v> = (&'v Value, Option<&'v Value>);

pub(super) fn check(schema: &Schema, pair: Pair<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let (value, old) = pair;
    let mut walk = Walk {
        budget: BUDGET,
        errors,
    };
    let place = Place {
        value,
        old,
        nearest: None,
        path,
    };
    walk.node(schema, place);
}

struct Walk<'e> {
    budget: u64,
    errors: &'e mut Vec<FieldError>,
}

/// A value, and what is known of the one before it.
#[derive(Clone, Copy)]
struct Place<'v> {
    value: &'v Value,
    /// The value that it succeeds.
    old: Option<&'v Value>,
    /// The nearest value around it that succeeds one, with that one.
    nearest: Option<(&'v Value, &'v Value)>,
    path: &'v str,
}

impl Place<'_> {
    fn is_unchanged(&self) -> bool {
        self.nearest.is_some_and(|(value, old)| value == old)
    }
}

impl Walk<'_> {
    fn node(&mut self, schema: &Schema, place: Place<'_>) {
        let schema = schema.resolve();
        let nearest = place.old.map(|old| (place.value, old)).or(place.nearest);
        let place = Place { nearest, ..place };
        if place.value.is_null() {
            return;
        }
        if !schema.rules.is_empty() {
            self.rules(schema, place);
        }
        match place.value {
            Value::Object(map) => {
                let granular = schema.effective_map_type() == MapType::Granular;
                for (name, value) in map {
                    let (property, path) = match (schema.properties.get(name), &schema.additional) {
                        (Some(property), _) if place.path.is_empty() => (property, name.clone()),
                        (Some(property), _) => (property, format!("{}.{name}", place.path)),
                        (None, Additional::Schema(all)) => {
                            (&**all, format!("{}[{name}]", place.path))
                        }
                        _ => continue,
                    };
                    let old = place.old.and_then(|old| old.get(name));
                    let below = Place {
                        value,
                        old: old.filter(|_| granular),
                        path: &path,
                        ..place
                    };
                    self.node(property, below);
                }
            }
            Value::Array(items) => {
                let Some(item) = &schema.items else { return };
                let keyed = schema.effective_list_type() == ListType::Map;
                for (index, value) in items.iter().enumerate() {
                    let before = place.old.filter(|_| keyed);
                    let below = Place {
                        value,
                        old: correlate(schema, value, index, before),
                        path: &format!("{}[{index}]", place.path),
                        ..place
                    };
                    self.node(item, below);
                }
            }
            _ => {}
        }
    }

    /// The rules of one place.
    fn rules(&mut self, schema: &Schema, place: Place<'_>) {
        let old = place.old.filter(|old| !old.is_null());
        let mut scope = None;
        for rule in &schema.rules {
            let Some(program) = Program::of(&rule.rule, rule.optional_old_self) else {
                continue;
            };
            if program.uses_old && old.is_none() && !rule.optional_old_self {
                continue;
            }
            let scope = scope.get_or_insert_with(|| Scope::new(schema, place.value, old));
            match program.truth(scope, &mut self.budget) {
                Ok(true) | Err(Fault::Unsure) => {}
                Err(Fault::Told(words)) => {
                    let detail = format!("{words} evaluating rule: {}", name(rule));
                    let error = FieldError::invalid(at(place.path), type_name(schema), detail);
                    self.errors.push(error);
                }
                Ok(false) if !program.uses_old && place.is_unchanged() => {}
                Ok(false) => {
                    let detail = self.message(rule, scope);
                    let path = at(&field(rule, schema, place.path));
                    self.errors.push(failure(rule, schema, path, detail));
                }
            }
        }
    }

    fn message(&mut self, rule: &Rule, scope: &Scope) -> String {
        let made = self.made_message(rule, scope);
        made.unwrap_or_else(|| match &rule.message {
            Some(message) => message.trim().to_owned(),
            None => format!("failed rule: {}", name(rule)),
        })
    }

    /// The message that an expression makes; `None` if it makes none that is fit to be told.
    fn made_message(&mut self, rule: &Rule, scope: &Scope) -> Option<String> {
        let expression = rule.message_expression.as_deref()?;
        let program = Program::of(expression, rule.optional_old_self)?;
        let text = program.text(scope, &mut self.budget)?;
        let text = text.trim();
        let fits = !text.is_empty() && text.len() <= MESSAGE && !text.contains('\n');
        fits.then(|| text.to_owned())
    }
}

/// How a rule is called in what is said of it.
fn name(rule: &Rule) -> &str {
    rule.message.as_ref().unwrap_or(&rule.rule).trim()
}

/// What stands for the value in what is said of it.
fn type_name(schema: &Schema) -> &'static str {
    schema.kind.map_or("", Type::name)
}

/// The field error's path; the whole object has none.
fn at(path: &str) -> String {
    if path.is_empty() {
        "<nil>".to_owned()
    } else {
        path.to_owned()
    }
}

/// Where a rule reports: at its place, or at the field below that it names.
fn field(rule: &Rule, schema: &Schema, path: &str) -> String {
    let mut out = path.to_owned();
    let mut schema = Some(schema);
    let mut rest = rule.field_path.as_deref().unwrap_or_default();
    while !rest.is_empty() {
        let (name, after) = step(rest);
        let listed = schema.is_some_and(|schema| !schema.properties.is_empty());
        if !listed {
            out = format!("{out}[{name}]");
        } else if out.is_empty() {
            out.clone_from(&name);
        } else {
            out = format!("{out}.{name}");
        }
        schema = schema.and_then(|schema| schema.property(&name));
        rest = after;
    }
    out
}

/// The first field of `.a.b` or `['a'].b`, and what follows it.
pub(super) fn step(path: &str) -> (String, &str) {
    if let Some(quoted) = path.strip_prefix("['") {
        let (name, after) = quoted.split_once("']").unwrap_or((quoted, ""));
        return (name.replace("\\'", "'").replace("\\\\", "\\"), after);
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let end = path.find(['.', '[']).unwrap_or(path.len());
    // A bracket without a quote names nothing; it is no reason to stay where we are.
    let end = if end == 0 { path.len() } else { end };
    let (name, after) = path.split_at(end);
    (name.to_owned(), after)
}

fn failure(rule: &Rule, schema: &Schema, path: String, detail: String) -> FieldError {
    let kind = type_name(schema);
    match rule.reason.as_deref() {
        Some("FieldValueForbidden") => FieldError::forbidden(path, detail),
        Some("FieldValueRequired") => FieldError::required(path, detail),
        Some("FieldValueDuplicate") => FieldError::duplicate(path, kind),
        _ => FieldError::invalid(path, kind, detail),
    }
}

/// Whether there is a rule anywhere.
pub(super) fn any(schema: &Schema) -> bool {
    let additional = match &schema.additional {
        Additional::Schema(additional) => Some(&**additional),
        _ => None,
    };
    let below = schema.properties.values().chain(additional);
    !schema.rules.is_empty() || below.chain(schema.items.as_deref()).any(any)
}

/// Visits every rule with its place.
fn each<'s>(schema: &'s Schema, path: &str, visit: &mut impl FnMut(&'s Rule, String)) {
    for (index, rule) in schema.rules.iter().enumerate() {
        visit(rule, format!("{path}.x-kubernetes-validations[{index}]"));
    }
    for (name, property) in &schema.properties {
        each(property, &format!("{path}.properties[{name}]"), visit);
    }
    if let Additional::Schema(additional) = &schema.additional {
        each(additional, &format!("{path}.additionalProperties"), visit);
    }
    if let Some(items) = &schema.items {
        each(items, &format!("{path}.items"), visit);
    }
}

/// One sentence per rule that [`check`] does not evaluate, or not with its message. They go into a
/// header, hence one line each.
pub(super) fn unsupported(schema: &Schema, path: &str, sentences: &mut Vec<String>) {
    each(schema, path, &mut |rule, at| {
        let message = rule.message_expression.as_deref();
        let is_left = |text: &str| Program::of(text, rule.optional_old_self).is_none();
        let left = if is_left(&rule.rule) {
            "rule"
        } else if message.is_some_and(is_left) {
            "messageExpression"
        } else {
            return;
        };
        sentences.push(format!(
            "{at}.{left} is kept but not evaluated by this API server"
        ));
    });
}
