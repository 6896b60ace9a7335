use crate::{table, text};
use gocompat::intstr::{self, IntOrStr, Round};

#[test]
fn percentages_scale_as_in_go() {
    for row in table("intstrs") {
        let value = match row["in"].as_i64() {
            Some(count) => IntOrStr::Int(count as i32),
            None => IntOrStr::Str(text(&row, "in")),
        };
        let round = if row["up"] == true {
            Round::Up
        } else {
            Round::Down
        };
        let total = row["total"].as_i64().unwrap() as i32;
        match intstr::scale(value, total, round) {
            Ok(scaled) => {
                assert!(row["err"].is_null(), "{row}");
                assert_eq!(Some(scaled), row["out"].as_i64(), "{row}");
            }
            Err(error) => assert_eq!(error.to_string(), text(&row, "err"), "{row}"),
        }
    }
}

#[test]
fn text_that_is_no_number_counts_as_zero() {
    assert_eq!(intstr::int_value(IntOrStr::Str("5")), 5);
    assert_eq!(intstr::int_value(IntOrStr::Str("{{args.count}}")), 0);
    assert_eq!(intstr::int_value(IntOrStr::Int(3)), 3);
}

#[test]
fn a_long_percentage_is_refused_without_being_repeated() {
    let long = "0".repeat(1025) + "%";
    assert_eq!(
        intstr::percentage(&long).unwrap_err().to_string(),
        "invalid value for IntOrString: longer than 1024 characters"
    );
    assert_eq!(intstr::percentage(&("0".repeat(1000) + "5%")), Ok(5));
}
