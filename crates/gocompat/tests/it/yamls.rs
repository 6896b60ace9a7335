use crate::{table, text};
use gocompat::{json, yaml};

/// Read otherwise than in Go.
const DIFFERENT: [&str; 2] = [
    // An error instead of a string.
    "1e400", // A string instead of 1.
    "1_",
];

#[test]
fn scalars_read_as_in_go() {
    for row in table("yaml_scalars") {
        let input = text(&row, "in");
        if DIFFERENT.contains(&input) {
            continue;
        }
        let read = yaml::from_str_single(input).map(|value| json::marshal(&value));
        assert_eq!(
            read.as_deref().ok(),
            row["out"].as_str(),
            "{input} {read:?}"
        );
    }
}

#[test]
fn documents_are_separate_and_empty_ones_left_out() {
    let documents = yaml::from_str("a: 1\n---\n---\n# nothing\n---\nb: [2]\n...\n").unwrap();
    assert_eq!(
        documents,
        [serde_json::json!({"a": 1}), serde_json::json!({"b": [2]})]
    );
    assert!(yaml::from_str("").unwrap().is_empty());
}

#[test]
fn mistakes_have_a_place() {
    let error = yaml::from_str("a: 1\nb:\n  c: 2\n  c: 3\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 4, column 3: duplicate mapping key: c"
    );
    let error = yaml::from_str("a: [1,\nb: }").unwrap_err();
    assert!(
        error.to_string().starts_with("line 1, column 4: "),
        "{error}"
    );
}

#[test]
fn bombs_are_refused() {
    let levels = (1..12).map(|level| {
        let below = format!("*a{},", level - 1).repeat(10);
        format!("a{level}: &a{level} [{below}]\n")
    });
    let bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned() + &levels.collect::<String>();
    assert!(yaml::from_str(&bomb).is_err());
    assert!(yaml::from_str(&"[".repeat(10_000)).is_err());
    assert!(yaml::from_str(&"- ".repeat(10_000)).is_err());
}
