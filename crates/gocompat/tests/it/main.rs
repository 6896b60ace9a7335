//! Tables that a Go program wrote (apimachinery and client-go 0.34.5, Go's own library), and the
//! hashes of recorded rollouts.

mod durations;
mod hashes;
mod intstrs;
mod jsonpaths;
mod labels;
mod numbers;
mod properties;
mod quantities;
mod yamls;

use serde_json::Value;

/// Rows of `tests/fixtures/NAME.jsonl`.
fn table(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("fixture is there");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("fixture is JSON"))
        .collect()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().expect("the field is a string")
}
