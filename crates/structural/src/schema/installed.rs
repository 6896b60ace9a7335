//! Rules as a definition brings them: what of them an API server refuses to install.
//!
//! Rules whose form is wrong are told first; an expression is only compiled where no form is wrong
//! at its place or below. Then come, from the inside out, expressions that do not fit their schema,
//! and those that may cost too much.

use std::sync::Arc;

use serde_json::Value;

use super::cel::{self, Declared, Fit, Refusal, Wanted};
use super::model::{Additional, ListType, MapType, Rule, Schema, Type};
use super::rules::step;
use crate::{ErrorKind, FieldError, go};

/// What one rule may cost by its estimate, at all the places where it may be evaluated.
const RULE_LIMIT: u64 = 10_000_000;
/// What all rules of a schema may cost together.
const SCHEMA_LIMIT: u64 = 100_000_000;
/// How many of the dearest rules are named when all together are too dear.
const NAMED: usize = 4;
const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

/// One error for each thing that is wrong. A schema that did not change is spared the limit of
/// each rule.
pub(super) fn errors(schema: &Schema, path: &str, unchanged: bool) -> Vec<FieldError> {
    let mut judge = Judge {
        unchanged,
        forms: Vec::new(),
        errors: Vec::new(),
        total: 0,
        dear: Vec::new(),
    };
    let root = Spot {
        path,
        declared: None,
        times: Some(1),
        apart: None,
        whole: true,
    };
    judge.node(schema, &root);
    let mut errors = judge.forms;
    errors.append(&mut judge.errors);
    if judge.total > SCHEMA_LIMIT {
        let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
        let dear = judge.dear.into_iter();
        errors.extend(dear.map(|(at, _)| FieldError::forbidden(at, detail)));
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        let detail = over(what, judge.total, SCHEMA_LIMIT);
        errors.push(FieldError::forbidden(path, detail));
    }
    errors
}

/// Where a schema stands.
struct Spot<'p> {
    path: &'p str,
    /// What the schema around declares here.
    declared: Option<Arc<Declared>>,
    /// How often such a value may be in an object; `None` if nothing bounds that.
    times: Option<u64>,
    /// The schema around from which on old values can't be told to belong to new ones.
    apart: Option<&'p str>,
    /// Whether it is a whole object, with metadata.
    whole: bool,
}

impl<'p> Spot<'p> {
    fn child(
        path: &'p str,
        declared: Option<&Arc<Declared>>,
        times: Option<u64>,
        apart: Option<&'p str>,
    ) -> Self {
        Self {
            path,
            declared: declared.cloned(),
            times,
            apart,
            whole: false,
        }
    }
}

struct Judge {
    unchanged: bool,
    /// Rules whose form is wrong.
    forms: Vec<FieldError>,
    errors: Vec<FieldError>,
    total: u64,
    /// The dearest rules, by their fields.
    dear: Vec<(String, u64)>,
}

impl Judge {
    fn node(&mut self, schema: &Schema, spot: &Spot<'_>) {
        let before = self.forms.len();
        let declared = match &spot.declared {
            Some(declared) => Some(Arc::clone(declared)),
            None if schema.rules.is_empty() => None,
            None => Declared::of(schema, spot.whole || schema.embedded),
        };
        self.below(schema, spot, declared.as_ref());
        for (index, rule) in schema.rules.iter().enumerate() {
            let at = format!("{}.x-kubernetes-validations[{index}]", spot.path);
            form(schema, rule, &at, &mut self.forms);
        }
        if self.forms.len() > before || schema.rules.is_empty() {
            return;
        }
        let Some(declared) = declared else {
            let detail = "internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
            let at = format!("{}.x-kubernetes-validations", spot.path);
            let error = FieldError::new(at, ErrorKind::Internal, detail);
            self.errors.push(error);
            return;
        };
        for (index, rule) in schema.rules.iter().enumerate() {
            let at = format!("{}.x-kubernetes-validations[{index}]", spot.path);
            self.rule(rule, &at, &declared, spot);
        }
    }

    fn below(&mut self, schema: &Schema, spot: &Spot<'_>, declared: Option<&Arc<Declared>>) {
        let path = spot.path;
        let times = spot.times.zip(factor(schema));
        let times = times.map(|(times, factor)| times.saturating_mul(factor));
        let element = declared.and_then(|declared| declared.element());
        if let Additional::Schema(values) = &schema.additional {
            let at = format!("{path}.additionalProperties");
            self.node(values, &Spot::child(&at, element, times, spot.apart));
        }
        let apart = match spot.apart {
            None if schema.map_type == Some(MapType::Atomic) => Some(path),
            apart => apart,
        };
        for (name, property) in &schema.properties {
            let at = format!("{path}.properties[{name}]");
            let declared = declared.and_then(|declared| declared.property(name));
            self.node(property, &Spot::child(&at, declared, times, apart));
        }
        if let Some(items) = &schema.items {
            let apart = match spot.apart {
                None if schema.list_type != Some(ListType::Map) => Some(path),
                apart => apart,
            };
            let at = format!("{path}.items");
            self.node(items, &Spot::child(&at, element, times, apart));
        }
    }

    fn rule(&mut self, rule: &Rule, at: &str, declared: &Arc<Declared>, spot: &Spot<'_>) {
        let at_rule = format!("{at}.rule");
        let judged = judge(&rule.rule, rule, declared, Wanted::Truth);
        let uses_old = judged.as_ref().is_ok_and(|fit| fit.names_old);
        match judged {
            Ok(fit) => {
                let times = spot.times.unwrap_or_else(|| declared.repeats());
                let cost = fit.cost.map(|cost| cost.saturating_mul(times));
                self.observe(&at_rule, "estimated rule cost", cost);
                self.message(rule, at, declared);
            }
            Err(why) => {
                let detail = match why {
                    Refusal::Compilation(why) => format!("compilation failed: {why}"),
                    Refusal::Result => "cel expression must evaluate to a bool".to_owned(),
                };
                self.refuse(&at_rule, rule, detail);
            }
        }
        if let Some(apart) = spot.apart.filter(|_| uses_old) {
            let detail = format!(
                "oldSelf cannot be used on the uncorrelatable portion of the schema within {apart}"
            );
            let error = FieldError::invalid(at_rule, rule.rule.as_str(), detail);
            self.errors.push(error);
        } else if rule.optional_old_self && !uses_old {
            let detail = "may not be set if oldSelf is not used in rule";
            let error = FieldError::invalid(format!("{at}.optionalOldSelf"), true, detail);
            self.errors.push(error);
        }
    }

    fn message(&mut self, rule: &Rule, at: &str, declared: &Arc<Declared>) {
        let Some(message) = &rule.message_expression else {
            return;
        };
        let at = format!("{at}.messageExpression");
        match judge(message, rule, declared, Wanted::Text) {
            Ok(fit) => self.observe(&at, "estimated messageExpression cost", fit.cost),
            Err(Refusal::Compilation(why)) => {
                let detail = format!("messageExpression compilation failed: {why}");
                self.refuse(&at, rule, detail);
            }
            Err(Refusal::Result) => {
                let detail = "messageExpression must evaluate to a string".to_owned();
                self.refuse(&at, rule, detail);
            }
        }
    }

    /// The whole rule is told, as the API server prints it.
    fn refuse(&mut self, at: &str, rule: &Rule, detail: String) {
        let error = FieldError::invalid(at, Value::Null, detail);
        self.errors.push(FieldError {
            printed: Some(printed(rule)),
            ..error
        });
    }

    /// Takes a cost in; one that is not known is taken for none.
    fn observe(&mut self, at: &str, what: &str, cost: Option<u64>) {
        let cost = cost.unwrap_or(0);
        if cost > RULE_LIMIT && !self.unchanged {
            let detail = over(what, cost, RULE_LIMIT);
            self.errors.push(FieldError::forbidden(at, detail));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= SCHEMA_LIMIT / 100 {
            self.dear.push((at.to_owned(), cost));
            self.dear.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
            self.dear.truncate(NAMED);
        }
    }
}

fn judge(
    text: &str,
    rule: &Rule,
    declared: &Arc<Declared>,
    wanted: Wanted,
) -> Result<Fit, Refusal> {
    match cel::syntax_error(text) {
        Some(why) => Err(Refusal::Compilation(why)),
        None => cel::check(text, declared, rule.optional_old_self, wanted),
    }
}

/// By how much more often a child of a schema may be in an object than the schema itself.
fn factor(schema: &Schema) -> Option<u64> {
    match (schema.kind, &schema.additional) {
        (Some(Type::Array), _) => schema.checks.max_items,
        (Some(Type::Object), Additional::Schema(_) | Additional::Allowed(_)) => {
            schema.checks.max_properties
        }
        _ => Some(1),
    }
}

/// How an estimate that is over its limit is told.
fn over(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

/// A rule as Go prints the structure that it is read into.
fn printed(rule: &Rule) -> String {
    let text = |text: &str| go::json(&Value::from(text));
    let optional = |value: Option<&str>| text(value.unwrap_or_default());
    let reason = rule
        .reason
        .as_deref()
        .map_or_else(|| "null".to_owned(), text);
    let old = if rule.optional_old_self {
        "true"
    } else {
        "null"
    };
    format!(
        r#"{{"Rule":{},"Message":{},"MessageExpression":{},"Reason":{reason},"FieldPath":{},"OptionalOldSelf":{old}}}"#,
        text(&rule.rule),
        optional(rule.message.as_deref()),
        optional(rule.message_expression.as_deref()),
        optional(rule.field_path.as_deref()),
    )
}

/// What of a rule is wrong before anybody looks at its expressions.
fn form(schema: &Schema, rule: &Rule, at: &str, errors: &mut Vec<FieldError>) {
    let message = rule.message.as_deref().unwrap_or_default();
    let has_lines = |text: &str| text.contains(['\n', '\r']);
    let at_message = || format!("{at}.message");
    if rule.rule.trim().is_empty() {
        let at = format!("{at}.rule");
        errors.push(FieldError::required(at, "rule is not specified"));
    } else if !message.is_empty() && message.trim().is_empty() {
        let detail = "message must be non-empty if specified";
        errors.push(FieldError::invalid(at_message(), message, detail));
    } else if has_lines(message.trim()) {
        let detail = "message must not contain line breaks";
        errors.push(FieldError::invalid(at_message(), message, detail));
    } else if has_lines(rule.rule.trim()) && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.push(FieldError::required(at_message(), detail));
    }
    let made = rule.message_expression.as_deref();
    if made.is_some_and(|text| text.trim().is_empty()) {
        let detail = "messageExpression must be non-empty if specified";
        let at = format!("{at}.messageExpression");
        errors.push(FieldError::required(at, detail));
    }
    if let Some(reason) = rule.reason.as_deref()
        && !REASONS.contains(&reason)
    {
        let at = format!("{at}.reason");
        errors.push(FieldError::not_supported(at, reason, &REASONS));
    }
    let Some(path) = rule.field_path.as_deref() else {
        return;
    };
    let mut wrong = |detail: &str| {
        let at = format!("{at}.fieldPath");
        errors.push(FieldError::invalid(at, path, detail));
    };
    if path.trim().is_empty() {
        wrong("fieldPath must be non-empty if specified");
    }
    if has_lines(path) {
        wrong("fieldPath must not contain line breaks");
    }
    if !leads_somewhere(schema, path) {
        wrong("fieldPath must be a valid path");
    }
}

/// Whether a path names a field below; what keeps unknown fields may have any.
fn leads_somewhere(schema: &Schema, path: &str) -> bool {
    if !path.starts_with(['.', '[']) {
        return false;
    }
    let mut schema = schema;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, after) = step(rest);
        match schema.property(&name) {
            Some(below) => schema = below,
            None => return schema.preserve_unknown,
        }
        rest = after;
    }
    true
}
