use super::*;
use serde_json::json;

fn render(template: &str, data: &serde_json::Value) -> String {
    JsonPath::parse(template).unwrap().render(data).unwrap()
}

#[test]
fn objects_are_visited_in_order_of_their_keys() {
    let data = json!({"b": 2, "a": {"c": [true]}});
    assert_eq!(render("{.*}", &data), r#"{"c":[true]} 2"#);
    assert_eq!(
        render("{range .*}<{@}>{end}", &data),
        r#"<{"c":[true]}><2>"#
    );
    assert_eq!(
        render("{..}", &data),
        r#"{"a":{"c":[true]},"b":2} {"c":[true]} [true]"#
    );
}

#[test]
fn integers_compare_with_integers() {
    let data = json!({"arr": [1, 2, 3]});
    assert_eq!(render("{.arr[?(@>1)]}", &data), "2 3");
    assert_eq!(render("{.arr[?(@!=2)]}", &data), "1 3");
}

#[test]
fn templates_are_bounded() {
    let long = "x".repeat(100_000);
    assert_eq!(JsonPath::parse(&long).unwrap_err(), ParseError::TooLong);
    let data = json!({"a": vec![0; 2000]});
    let wide = JsonPath::parse("{range .a[*]}{$}{range .a[*]}{@}{end}{end}").unwrap();
    assert!(wide.allow_missing_keys(true).render(&data).is_ok());
    let deep = format!("{{.a{}}}", "[?(@.b".repeat(50) + &")]".repeat(50));
    assert!(JsonPath::parse(&deep).is_err());
}
