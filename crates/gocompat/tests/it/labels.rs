use crate::{table, text};
use gocompat::labels::Selector;
use serde_json::Value;
use std::collections::BTreeMap;

/// The label sets that the tables were matched against.
fn sets() -> Vec<BTreeMap<String, String>> {
    let sets: [&[(&str, &str)]; 6] = [
        &[],
        &[("a", "b")],
        &[("a", "c"), ("x", "1")],
        &[("x", "10"), ("tier", "web")],
        &[("a", "")],
        &[("example.com/role", "db"), ("x", "5")],
    ];
    let owned = |set: &[(&str, &str)]| {
        set.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    sets.into_iter().map(owned).collect()
}

fn check(row: &Value, selector: Result<Selector, gocompat::labels::SelectorError>) {
    match selector {
        Ok(selector) => {
            assert!(row["err"].is_null(), "{row}");
            assert_eq!(selector.to_string(), text(row, "out"), "{row}");
            let matches: Vec<bool> = sets().iter().map(|set| selector.matches(set)).collect();
            assert_eq!(serde_json::json!(matches), row["matches"], "{row}");
        }
        Err(error) => assert_eq!(error.to_string(), text(row, "err"), "{row}"),
    }
}

#[test]
fn selector_strings_parse_and_match_as_in_go() {
    for row in table("label_selectors") {
        check(&row, Selector::parse(text(&row, "in")));
    }
}

#[test]
fn label_selectors_match_as_in_go() {
    for row in table("label_selector_objects") {
        check(&row, Selector::from_label_selector(Some(&row["in"])));
    }
}
