//! Pod templates are JSON with accessors.

use api::PodTemplate;
use proptest::prelude::*;
use serde_json::{Value, json};

fn template() -> PodTemplate {
    PodTemplate::from(json!({
        "metadata": {"labels": {"app": "web"}, "creationTimestamp": null},
        "spec": {
            "initContainers": [{"name": "migrate", "image": "db:1"}],
            "containers": [{"name": "web", "image": "web:1", "futureField": {"x": [1, 2]}}],
            "novelPolicy": "Sometimes",
        },
    }))
}

#[test]
fn labels_are_read_and_set() {
    let mut template = template();
    assert_eq!(template.label("app"), Some("web"));
    template.set_label("hash", "abc");
    assert_eq!(template.labels().len(), 2);
    assert_eq!(template.remove_label("hash"), Some(json!("abc")));
    assert_eq!(template, self::template());
}

#[test]
fn the_last_annotation_takes_its_map_along() {
    let mut template = template();
    template.set_annotation("note", "x");
    assert_eq!(
        template.annotations().get("note").map(String::as_str),
        Some("x")
    );
    template.remove_annotation("note");
    assert_eq!(template, self::template());
}

#[test]
fn an_image_is_set_by_the_name_of_its_container() {
    let mut template = template();
    assert!(template.set_image("web", "web:2"));
    assert!(!template.set_image("absent", "web:3"));
    assert_eq!(template.images(), ["db:1", "web:2"]);
    assert!(template.set_image("*", "one:1"));
    assert_eq!(template.images(), ["one:1", "one:1"]);
    assert_eq!(
        template.containers()[0]["futureField"],
        json!({"x": [1, 2]})
    );
}

#[test]
fn what_go_writes_for_nothing_is_empty() {
    let written = json!({"metadata": {"creationTimestamp": null}, "spec": {"containers": null}});
    assert!(PodTemplate::from(written).is_empty());
    assert!(!template().is_empty());
}

#[test]
fn metadata_of_the_wrong_type_reads_as_empty() {
    for wrong in [json!(null), json!([]), json!({"metadata": 1, "spec": "x"})] {
        let template = PodTemplate::from(wrong);
        assert!(template.labels().is_empty());
        assert!(template.containers().is_empty());
        assert_eq!(template.metadata(), None);
    }
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z ]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,10}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_template_survives(value in any_json()) {
        let template: PodTemplate = serde_json::from_value(value.clone()).unwrap();
        prop_assert_eq!(serde_json::to_value(&template).unwrap(), value);
    }

    #[test]
    fn setting_a_label_makes_it_readable(value in any_json(), key in "[a-z]{1,5}") {
        let mut template = PodTemplate::from(value);
        template.set_label(&key, "v");
        prop_assert_eq!(template.label(&key), Some("v"));
    }
}
