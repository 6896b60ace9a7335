//! Custom resource schemas: structurality, pruning, defaulting, validation.

use serde_json::Value;
use structural::{Schema, schema};

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn schemas_behave_as_in_kubernetes() {
    let table: Vec<Value> = serde_json::from_str(include_str!("fixtures/schemas.json")).unwrap();
    let mut failures = Vec::new();
    for row in &table {
        let (name, want) = (row["name"].as_str().unwrap(), &row["want"]);
        let (got, wanted) = match Schema::parse(&row["schema"], "openAPIV3Schema") {
            Err(errors) => {
                let got: Vec<_> = errors.iter().map(ToString::to_string).collect();
                let mut wanted = texts(&want["structural"]);
                // The text of a bad pattern is the regular expression library's own.
                if name == "bad pattern" {
                    assert!(got[0].starts_with(wanted[0].split(" error parsing").next().unwrap()));
                    wanted.clone_from(&got);
                }
                (format!("{got:#?}"), format!("{wanted:#?}"))
            }
            Ok(parsed) => {
                let mut object = row["object"].clone();
                let pruned = schema::prune(&parsed, &mut object);
                schema::default(&parsed, &mut object);
                let mut errors: Vec<_> = schema::validate(&parsed, &object, None)
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                errors.sort();
                let mut wanted = texts(&want["errors"]);
                wanted.sort();
                let wanted_pruned = texts(&want["pruned"]);
                (
                    format!("{pruned:?}\n{object:#}\n{errors:#?}"),
                    format!("{wanted_pruned:?}\n{:#}\n{wanted:#?}", want["object"]),
                )
            }
        };
        if got != wanted {
            failures.push(format!("{name}\ngot {got}\nwant {wanted}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(table.len() > 60);
}
