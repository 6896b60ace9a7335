//! How Go prints numbers and values: `fmt`'s `%v` and `%q`, `encoding/json`'s floats.

use crate::json;
use serde_json::Value;

/// Decimal digits without leading or trailing zeros, and where the point stands:
/// `0.d₁d₂… × 10^point`. Zero has no digits.
struct Shortest {
    negative: bool,
    digits: String,
    point: i32,
}

impl Shortest {
    /// The fewest digits that read back as the same number. `float` is finite.
    fn of(float: f64) -> Self {
        let scientific = format!("{:e}", float.abs());
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let digits = digits.trim_end_matches('0').to_owned();
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let point = if digits.is_empty() { 1 } else { exponent + 1 };
        Self {
            negative: float.is_sign_negative(),
            digits,
            point,
        }
    }

    fn sign(&self) -> &'static str {
        if self.negative { "-" } else { "" }
    }

    /// `%f` with as many decimals as it takes.
    fn fixed(&self) -> String {
        let sign = self.sign();
        let Ok(whole) = usize::try_from(self.point.max(0)) else {
            return String::new();
        };
        let zeros = "0".repeat(usize::try_from((-self.point).max(0)).unwrap_or_default());
        if self.digits.is_empty() {
            format!("{sign}0")
        } else if whole == 0 {
            format!("{sign}0.{zeros}{}", self.digits)
        } else if self.digits.len() <= whole {
            format!("{sign}{:0<whole$}", self.digits)
        } else {
            format!("{sign}{}.{}", &self.digits[..whole], &self.digits[whole..])
        }
    }

    /// `%e`; the exponent has at least `width` digits.
    fn scientific(&self, width: usize) -> String {
        let (first, rest) = self.digits.split_at(self.digits.len().min(1));
        let first = if first.is_empty() { "0" } else { first };
        let point = if rest.is_empty() { "" } else { "." };
        let exponent = self.point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        format!(
            "{}{first}{point}{rest}e{sign}{:0width$}",
            self.sign(),
            exponent.unsigned_abs()
        )
    }
}

/// Go's `%v` of a float64, which is also `strconv.FormatFloat(v, 'g', -1, 64)`.
pub fn format_v(float: f64) -> String {
    if let Some(text) = not_finite(float) {
        return text.to_owned();
    }
    let shortest = Shortest::of(float);
    let exponent = shortest.point - 1;
    // The shortest form switches as if six digits had been asked for.
    if float != 0.0 && !(-4..6).contains(&exponent) {
        shortest.scientific(2)
    } else {
        shortest.fixed()
    }
}

/// What `encoding/json` writes for a float64. Not for NaN and infinities: they have no JSON and
/// come out as `null`.
pub fn format_json(float: f64) -> String {
    if !float.is_finite() {
        return "null".to_owned();
    }
    let shortest = Shortest::of(float);
    let small = float != 0.0 && float.abs() < 1e-6;
    if small || float.abs() >= 1e21 {
        shortest.scientific(1)
    } else {
        shortest.fixed()
    }
}

fn not_finite(float: f64) -> Option<&'static str> {
    match float {
        float if float.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// The integer that a float stands for, when it has no fraction and fits.
pub fn integral(float: f64) -> Option<i64> {
    // 2^63 is the first float above i64::MAX; i64::MIN is a float.
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    (fits && float.fract() == 0.0).then_some(float as i64)
}

/// Go's `%v` of what JSON decodes to: `<nil>`, `true`, numbers, bare strings, `[1 2]`,
/// `map[a:1 b:2]`.
pub fn format_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map(format_v).unwrap_or_default()
        }
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(format_value).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(entries) => {
            let entries: Vec<String> = json::sorted(entries)
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", format_value(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// Go's `%v` of a `[]float64`: `[1 2.5]`.
pub fn format_floats(floats: &[f64]) -> String {
    let floats: Vec<String> = floats.iter().map(|float| format_v(*float)).collect();
    format!("[{}]", floats.join(" "))
}

/// Go's `strconv.Quote`, which is `%q` of a string.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_print(c) => out.push(c),
            c => out.push_str(&escaped(c)),
        }
    }
    out.push('"');
    out
}

fn escaped(c: char) -> String {
    match u32::from(c) {
        code @ (0..0x20 | 0x7f) => format!("\\x{code:02x}"),
        code @ 0..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
fn is_print(c: char) -> bool {
    // `escape_debug` knows the same categories. The letter before keeps it from escaping marks.
    let mut text = String::from("a");
    text.push(c);
    let printed = text.escape_debug().nth(1) == Some(c);
    c == '\'' || c == ' ' || (printed && !c.is_whitespace())
}
