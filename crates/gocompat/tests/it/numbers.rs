use crate::{table, text};
use gocompat::{json, number};

#[test]
fn floats_print_as_in_go() {
    for row in table("floats") {
        let float = f64::from_bits(text(&row, "bits").parse().unwrap());
        assert_eq!(number::format_v(float), text(&row, "v"));
        assert_eq!(number::format_json(float), text(&row, "json"));
    }
    assert_eq!(number::format_v(f64::NAN), "NaN");
    assert_eq!(number::format_v(f64::INFINITY), "+Inf");
    assert_eq!(number::format_v(f64::NEG_INFINITY), "-Inf");
    assert_eq!(number::format_floats(&[1.0, 2.5, f64::NAN]), "[1 2.5 NaN]");
}

#[test]
fn strings_quote_as_in_go() {
    for row in table("quotes") {
        assert_eq!(number::quote(text(&row, "in")), text(&row, "out"));
    }
}

#[test]
fn values_print_as_in_go() {
    for row in table("values") {
        let decoded = json::with_float_numbers(row["in"].clone());
        assert_eq!(number::format_value(&decoded), text(&row, "out"));
    }
}
