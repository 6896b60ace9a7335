//! Label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

type Labels = BTreeMap<String, String>;

/// Whether a workload's selector takes these labels. An empty selector takes everything, one with
/// an unknown operator nothing.
pub fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let empty = Labels::new();
    let labels = labels.unwrap_or(&empty);
    selector
        .match_labels
        .as_ref()
        .is_none_or(|wanted| contains(labels, wanted))
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|rule| holds(rule, labels))
}

/// Whether the selector has no requirement at all.
pub fn is_empty(selector: &LabelSelector) -> bool {
    selector
        .match_labels
        .as_ref()
        .is_none_or(BTreeMap::is_empty)
        && selector
            .match_expressions
            .as_ref()
            .is_none_or(Vec::is_empty)
}

/// Whether every wanted pair is there (a Service's selector).
pub fn contains(labels: &Labels, wanted: &Labels) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

fn holds(rule: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&rule.key);
    let listed = |value: &String| {
        rule.values
            .as_ref()
            .is_some_and(|list| list.contains(value))
    };
    match rule.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn expression(operator: &str, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "tier".to_owned(),
                operator: operator.to_owned(),
                values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
            }]),
            match_labels: None,
        }
    }

    #[test]
    fn expressions_follow_the_four_operators() {
        let web = labels(&[("tier", "web")]);
        assert!(matches(&expression("In", &["web", "api"]), Some(&web)));
        assert!(!matches(&expression("In", &["api"]), Some(&web)));
        assert!(matches(&expression("NotIn", &["api"]), Some(&web)));
        assert!(
            matches(&expression("NotIn", &["api"]), None),
            "NotIn takes an absent key"
        );
        assert!(matches(&expression("Exists", &[]), Some(&web)));
        assert!(matches(&expression("DoesNotExist", &[]), None));
        assert!(
            !matches(&expression("Near", &["web"]), Some(&web)),
            "unknown operator"
        );
    }
}
