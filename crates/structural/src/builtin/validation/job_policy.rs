//! What the policies of a Job must satisfy: for failures by index, failures of pods, and success.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{at, items, names, non_negative, text};
use crate::{FieldError, go};

const RULES: usize = 20;
const CONDITIONS: usize = 20;
const EXIT_CODES: usize = 255;
/// The longest list of indexes, in bytes.
const INDEXES: usize = 64 << 10;
const INDEXED: &str = "requires indexed completion mode";

pub(super) fn check(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let indexed = text(spec, "completionMode") == "Indexed";
    let limit = at(spec, "backoffLimitPerIndex");
    if !limit.is_null() && !indexed {
        let at = format!("{path}.backoffLimitPerIndex");
        errors.push(FieldError::invalid(at, limit.clone(), INDEXED));
    }
    let most = at(spec, "maxFailedIndexes").as_i64();
    if most.is_some() && limit.is_null() {
        let at = format!("{path}.backoffLimitPerIndex");
        let detail = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(at, detail));
    }
    let failure = at(spec, "podFailurePolicy");
    if !failure.is_null() {
        failure_policy(spec, failure, &format!("{path}.podFailurePolicy"), errors);
        let replacement = text(spec, "podReplacementPolicy");
        if !replacement.is_empty() && replacement != "Failed" {
            let at = format!("{path}.podReplacementPolicy");
            errors.push(FieldError::not_supported(at, replacement, &["Failed"]));
        }
    }
    let success = at(spec, "successPolicy");
    if success.is_null() {
        return;
    }
    let path = format!("{path}.successPolicy");
    if indexed {
        success_policy(spec, success, &path, errors);
    } else {
        errors.push(FieldError::invalid(path, success.clone(), INDEXED));
    }
}

fn too_many(found: usize, most: usize, path: &str, errors: &mut Vec<FieldError>) {
    if found > most {
        errors.push(FieldError::too_many(path, found, most));
    }
}

fn failure_policy(spec: &Value, policy: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let rules = items(policy, "rules");
    too_many(rules.len(), RULES, &format!("{path}.rules"), errors);
    let template = spec.pointer("/template/spec").unwrap_or(&Value::Null);
    let containers = items(template, "containers").iter();
    let containers = containers.chain(items(template, "initContainers"));
    let containers: BTreeSet<&str> = containers.map(|own| text(own, "name")).collect();
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}.rules[{index}]");
        if text(rule, "action") == "FailIndex" && at(spec, "backoffLimitPerIndex").is_null() {
            let detail = "requires the backoffLimitPerIndex to be set";
            let at = format!("{path}.action");
            errors.push(FieldError::invalid(at, "FailIndex", detail));
        }
        let codes = at(rule, "onExitCodes");
        let conditions = items(rule, "onPodConditions");
        if !codes.is_null() {
            exit_codes(codes, &containers, &format!("{path}.onExitCodes"), errors);
        }
        pod_conditions(conditions, &format!("{path}.onPodConditions"), errors);
        let detail = match (codes.is_null(), conditions.is_empty()) {
            (false, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (true, true) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        errors.push(FieldError {
            printed: Some(String::new()),
            ..FieldError::invalid(path, Value::Null, detail)
        });
    }
}

fn exit_codes(
    codes: &Value,
    containers: &BTreeSet<&str>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    if let Some(name) = at(codes, "containerName").as_str()
        && !containers.contains(name)
    {
        let detail = "must be one of the container or initContainer names in the pod template";
        let at = format!("{path}.containerName");
        errors.push(FieldError::invalid(at, name, detail));
    }
    let values = items(codes, "values");
    let at_values = format!("{path}.values");
    if values.is_empty() {
        let detail = "at least one value is required";
        let value = Value::Array(Vec::new());
        errors.push(FieldError::invalid(at_values.as_str(), value, detail));
    }
    too_many(values.len(), EXIT_CODES, &at_values, errors);
    let numbers: Vec<i64> = values.iter().filter_map(Value::as_i64).collect();
    let mut seen = BTreeSet::new();
    for (index, number) in numbers.iter().enumerate() {
        let at = format!("{at_values}[{index}]");
        if *number == 0 && text(codes, "operator") == "In" {
            let detail = "must not be 0 for the In operator";
            errors.push(FieldError::invalid(at.as_str(), *number, detail));
        }
        if !seen.insert(*number) {
            errors.push(FieldError::duplicate(at, *number));
        }
    }
    if !numbers.is_sorted() {
        let values = at(codes, "values").clone();
        errors.push(FieldError::invalid(at_values, values, "must be ordered"));
    }
}

fn pod_conditions(conditions: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    too_many(conditions.len(), CONDITIONS, path, errors);
    for (index, condition) in conditions.iter().enumerate() {
        let kind = text(condition, "type");
        for detail in names::qualified_name(kind) {
            let at = format!("{path}[{index}].type");
            errors.push(FieldError::invalid(at, kind, detail));
        }
        let status = text(condition, "status");
        let known = ["False", "True", "Unknown"];
        if !status.is_empty() && !known.contains(&status) {
            let at = format!("{path}[{index}].status");
            errors.push(FieldError::not_supported(at, status, &known));
        }
    }
}

fn success_policy(spec: &Value, policy: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let rules = items(policy, "rules");
    let at_rules = format!("{path}.rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(at_rules.as_str(), detail));
    }
    too_many(rules.len(), RULES, &at_rules, errors);
    let completions = at(spec, "completions").as_i64().unwrap_or_default();
    for (index, rule) in rules.iter().enumerate() {
        success_rule(rule, completions, &format!("{at_rules}[{index}]"), errors);
    }
}

fn success_rule(rule: &Value, completions: i64, path: &str, errors: &mut Vec<FieldError>) {
    let count = at(rule, "succeededCount").as_i64();
    let indexes = at(rule, "succeededIndexes").as_str();
    if count.is_none() && indexes.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(FieldError::required(path, detail));
    }
    let mut listed = 0;
    if let Some(indexes) = indexes {
        let at = format!("{path}.succeededIndexes");
        if indexes.len() > INDEXES {
            errors.push(FieldError::too_long(at.as_str(), INDEXES));
        }
        match count_indexes(indexes, completions) {
            Ok(count) => listed = count,
            Err(why) => {
                let detail = format!("error parsing succeededIndexes: {why}");
                errors.push(FieldError::invalid(at, indexes, detail));
            }
        }
    }
    non_negative(rule, "succeededCount", path, errors);
    let at = format!("{path}.succeededCount");
    let Some(count) = count else { return };
    if count > completions {
        let detail = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        errors.push(FieldError::invalid(at.as_str(), count, detail));
    }
    if indexes.is_some() && count > listed {
        let detail = format!(
            "must be less than or equal to {listed} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.push(FieldError::invalid(at, count, detail));
    }
}

/// How many indexes a list such as `1,3-5` has, which must grow and be below `completions`.
fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let mut total = 0;
    let mut last: Option<i64> = None;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let mut bounds = part.split('-');
        let (first, end) = (bounds.next().unwrap_or_default(), bounds.next());
        if bounds.next().is_some() {
            let part = go::quote(part);
            return Err(format!(
                "the fragment {part} violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let start = last;
        for bound in [Some(first), end].into_iter().flatten() {
            let number: i64 = bound.parse().map_err(|_| {
                format!(
                    "cannot convert string to integer for index: {}",
                    go::quote(bound)
                )
            })?;
            if number >= completions {
                return Err(format!("too large index: {}", go::quote(bound)));
            }
            if let Some(last) = last.filter(|last| *last >= number) {
                return Err(format!(
                    "non-increasing order, previous: {last}, current: {number}"
                ));
            }
            total += match (end, last) {
                (Some(_), Some(before)) if last != start => number - before,
                _ => 1,
            };
            last = Some(number);
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::count_indexes;

    #[test]
    fn indexes_are_counted_and_must_grow() {
        for (text, wanted) in [
            ("", Ok(0)),
            ("0", Ok(1)),
            ("0,2-4", Ok(4)),
            ("0-1,3,5-9", Ok(8)),
            (
                "a",
                Err("cannot convert string to integer for index: \"a\""),
            ),
            (
                "1-",
                Err("cannot convert string to integer for index: \"\""),
            ),
            ("10", Err("too large index: \"10\"")),
            ("2,1", Err("non-increasing order, previous: 2, current: 1")),
            ("3-3", Err("non-increasing order, previous: 3, current: 3")),
            (
                "1-2-3",
                Err(
                    "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
                ),
            ),
        ] {
            assert_eq!(
                count_indexes(text, 10),
                wanted.map_err(str::to_owned),
                "{text}"
            );
        }
    }
}
