//! Strategic merge patch.

use serde_json::Value;
use structural::{builtin, patch};

#[test]
fn strategic_patches_behave_as_in_kubernetes() {
    let table: Vec<Value> = serde_json::from_str(include_str!("fixtures/strategic.json")).unwrap();
    let mut failures = Vec::new();
    for row in &table {
        let object = &row["object"];
        let text = |key: &str| object[key].as_str().unwrap();
        let schema = builtin::kind_of(text("apiVersion"), text("kind"))
            .unwrap()
            .schema();
        let (got, want) = match patch::strategic(object, &row["patch"], schema) {
            Ok(object) => (
                format!("{object:#}"),
                format!("{:#}", row["want"]["object"]),
            ),
            Err(error) => (
                error.to_string(),
                row["want"]["error"].as_str().unwrap_or("(fine)").to_owned(),
            ),
        };
        if got != want {
            failures.push(format!("{}\ngot {got}\nwant {want}", row["name"]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(table.len() > 40);
}
