use gocompat::{duration, hash, jsonpath::JsonPath, labels::Selector, quantity::Quantity, yaml};
use proptest::prelude::*;
use serde_json::Value;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e15..1e15_f64).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-e]{1,2}", inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn durations_survive_printing(nanos in any::<i64>()) {
        prop_assert_eq!(duration::parse_go(&duration::format_go(nanos)), Ok(nanos));
    }

    #[test]
    fn quantities_survive_printing(text in "[+-]?[0-9]{1,22}(\\.[0-9]{0,12})?(n|u|m||k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e-?[0-9])") {
        let quantity = Quantity::parse(&text).unwrap();
        // Go prints no suffix beyond E.
        prop_assume!(quantity.to_f64().abs() < 1e21);
        prop_assert_eq!(&Quantity::parse(&quantity.canonical()).unwrap(), &quantity);
        prop_assert_eq!(&Quantity::parse(&quantity.to_string()).unwrap(), &quantity);
    }

    #[test]
    fn selectors_survive_printing(text in "!?[a-c]{1,3}( (in|notin) \\([a-z]{0,3}(, ?[a-z]{0,3}){0,2}\\)|(=|==|!=)[a-z]{0,3}|[<>][0-9]{1,3})?(,[a-c]+)?") {
        if let Ok(selector) = Selector::parse(&text) {
            prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
        }
    }

    #[test]
    fn yaml_survives_printing(value in any_json()) {
        let text = yaml::to_string(&value).unwrap();
        let again = yaml::from_str_single(&text).unwrap();
        prop_assert_eq!(gocompat::json::marshal(&again), gocompat::json::marshal(&value));
    }

    #[test]
    fn nothing_panics(text in ".{0,60}", value in any_json()) {
        let _ = duration::parse_go(&text);
        let _ = duration::pause_seconds(&text);
        let _ = Quantity::parse(&text).map(|quantity| quantity.canonical());
        let _ = Selector::parse(&text);
        let _ = yaml::from_str(&text);
        let _ = JsonPath::parse(&text).map(|template| template.render(&value));
        let _ = gocompat::intstr::percentage(&text);
        let _ = hash::pod_template_hash(&value, None);
        let _ = hash::step_hash(Some(&value));
        let _ = Selector::from_label_selector(Some(&value));
    }

    #[test]
    fn paths_never_panic(
        path in "(\\{|\\}|\\.|\\.\\.|[a-e]|\\[|\\]|\\*|\\?\\(|\\)|@|\\$|range |end|[0-9]|:|-|==|>|'|\"|,| |\\\\){0,24}",
        value in any_json(),
    ) {
        let _ = JsonPath::parse(&format!("{{{path}}}")).map(|template| template.render(&value));
    }

    #[test]
    fn small_quantities_never_panic(text in "[+-]?[0-9.]{0,30}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,11}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            let _ = (quantity.canonical(), quantity.value(), quantity.milli_value());
        }
    }
}
