use crate::{table, text};
use gocompat::quantity::Quantity;
use std::cmp::Ordering;

#[test]
fn quantities_parse_and_print_as_in_go() {
    for row in table("quantities") {
        let input = text(&row, "in");
        if input == "1e9999999999" {
            // Go lets the exponent wrap around.
            assert!(Quantity::parse(input).is_err());
            continue;
        }
        match Quantity::parse(input) {
            Ok(quantity) => {
                assert!(row["err"].is_null(), "{input}: Go says {}", row["err"]);
                assert_eq!(quantity.to_string(), text(&row, "out"), "{input}");
                if let Some(canonical) = row["canonical"].as_str() {
                    assert_eq!(quantity.canonical(), canonical, "{input}");
                    // Beyond 64 bits Go answers with zero or nonsense, and rounds some negative
                    // fractions the other way; we saturate, and round away from zero.
                    let negative = input.starts_with('-') && input.contains('.');
                    let size = if negative {
                        f64::INFINITY
                    } else {
                        quantity.to_f64().abs()
                    };
                    if size < 9e18 {
                        assert_eq!(quantity.value().to_string(), text(&row, "value"), "{input}");
                    }
                    if size < 9e15 {
                        let milli = quantity.milli_value().to_string();
                        assert_eq!(milli, text(&row, "milli"), "{input}");
                    }
                }
            }
            Err(error) => assert_eq!(error.to_string(), text(&row, "err"), "{input}"),
        }
    }
}

#[test]
fn quantities_compare_by_value() {
    for row in table("quantity_order") {
        let side = |index: usize| Quantity::parse(row[index].as_str().unwrap()).unwrap();
        let order = match row[2].as_i64() {
            Some(-1) => Ordering::Less,
            Some(0) => Ordering::Equal,
            _ => Ordering::Greater,
        };
        assert_eq!(side(0).cmp(&side(1)), order, "{row}");
    }
}
