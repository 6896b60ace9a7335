use crate::{table, text};
use gocompat::{json, jsonpath::JsonPath};

#[test]
fn templates_render_as_in_client_go() {
    let mut rows = table("jsonpaths").into_iter();
    let data = json::with_float_numbers(rows.next().unwrap()["data"].clone());
    for row in rows {
        let template = match JsonPath::parse(text(&row, "in")) {
            Ok(template) => template.allow_missing_keys(row["allow"] == true),
            Err(error) => {
                assert_eq!(error.to_string(), text(&row, "parseErr"), "{}", row["in"]);
                continue;
            }
        };
        assert!(row["parseErr"].is_null(), "{row}");
        match template.render(&data) {
            Ok(out) => {
                assert!(row["err"].is_null(), "{row}\n{out}");
                assert_eq!(out, text(&row, "out"), "{}", row["in"]);
            }
            Err(error) => assert_eq!(error.to_string(), row["err"], "{}", row["in"]),
        }
    }
}
