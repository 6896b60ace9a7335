//! Quantities such as `500m` and `1.5Gi`, as far as they are looked at here: whether a value is
//! one, and about how much it is.

use serde_json::Value;

/// The definition of quantities in the table.
pub(super) const DEFINITION: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const FORMAT: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const SUFFIX: &str = "unable to parse quantity's suffix";
/// The letters that suffixes are made of.
const LETTERS: &str = "eEinumkKMGTP";

/// A value as a quantity is read from it: numbers by their digits.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

/// About how much a value is, or what Go says of one that is no quantity.
pub(super) fn parse(value: &Value) -> Result<f64, &'static str> {
    let text = text(value);
    if text.is_empty() {
        return Err(FORMAT);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(&text)),
    };
    let (whole, rest) = digits(rest);
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
    let exponent = suffix.trim_start_matches(|letter| LETTERS.contains(letter));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if !digits(exponent).1.is_empty() {
        return Err(FORMAT);
    }
    let factor = factor(suffix).ok_or(SUFFIX)?;
    let amount = format!("0{whole}.{fraction}0").parse::<f64>();
    Ok(sign * amount.unwrap_or(f64::INFINITY) * factor)
}

/// The digits that a text begins with, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

fn factor(suffix: &str) -> Option<f64> {
    let kibi = |power: i32| 1024_f64.powi(power);
    Some(match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => kibi(1),
        "Mi" => kibi(2),
        "Gi" => kibi(3),
        "Ti" => kibi(4),
        "Pi" => kibi(5),
        "Ei" => kibi(6),
        _ => {
            let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_f64.powi(exponent.clamp(-400, 400) as i32)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FORMAT, SUFFIX, parse};

    #[test]
    fn quantities_are_those_of_go() {
        for (value, wanted) in [
            (json!("1"), 1.0),
            (json!(2), 2.0),
            (json!(0.5), 0.5),
            (json!("-1.5Gi"), -1.5 * 1_073_741_824.0),
            (json!("+250m"), 0.25),
            (json!(" 1. "), 1.0),
            (json!(".5"), 0.5),
            (json!("2e3"), 2000.0),
            (json!("2E-3"), 0.002),
            (json!("1E"), 1e18),
            (json!("m"), 0.0),
        ] {
            let found = parse(&value).unwrap_or_else(|why| panic!("{value}: {why}"));
            assert!(
                (found - wanted).abs() <= wanted.abs() * 1e-12,
                "{value}: {found}"
            );
        }
        for value in ["", "lots", "1x", "1 Gi", "1.5.5", "1Gi2x", "é"] {
            assert_eq!(parse(&json!(value)), Err(FORMAT), "{value}");
        }
        for value in ["1Km", "1ki", "1e", "1m5", "1GiB"] {
            let found = parse(&json!(value)).unwrap_err();
            let wanted = if value == "1GiB" { FORMAT } else { SUFFIX };
            assert_eq!(found, wanted, "{value}");
        }
        assert_eq!(parse(&json!(true)), Err(FORMAT));
    }
}
