//! apimachinery's `resource.Quantity`: `500m`, `1.5Gi`, `2e3`.
//!
//! A quantity is exact: digits times a power of ten, of any size, except that a binary quantity is
//! capped at 2⁶³−1 and everything is rounded up (away from zero) to whole nanos when it is parsed.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Longest text that is read; the longest sensible quantity has some twenty characters.
const MAX_LEN: usize = 1024;

/// Digits that Go keeps in an int64 on its fast path.
const FAST_DIGITS: i64 = 18;

const CAP: u64 = i64::MAX as u64;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error(
        "quantities must match the regular expression \
         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// Which family of suffixes a quantity was written with, and is written with again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    DecimalExponent,
    DecimalSi,
    BinarySi,
}

/// `±digits × 10^exponent`. Equality and order are those of the value, not of the spelling.
#[derive(Clone, Debug, Default)]
pub struct Quantity {
    negative: bool,
    /// Decimal digits, no zero at either end; empty is zero.
    digits: Vec<u8>,
    exponent: i64,
    format: Format,
    /// The spelling that Go keeps when it takes it for canonical (it need not be: `1.500`).
    text: Option<String>,
}

impl Quantity {
    /// Go's `resource.ParseQuantity`.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() || text.len() > MAX_LEN {
            return Err(QuantityError::Format);
        }
        let parts = Parts::split(text)?;
        let (format, power) = suffix(parts.suffix)?;
        let mut quantity = Self {
            negative: parts.negative,
            digits: parts.digits(),
            exponent: -(parts.fraction.len() as i64),
            format,
            text: None,
        };
        match format {
            Format::BinarySi => quantity.double(power),
            Format::DecimalSi | Format::DecimalExponent => quantity.exponent += power,
        }
        quantity.text = parts
            .kept(format, power, quantity.exponent)
            .then(|| text.to_owned());
        quantity.trim();
        quantity.round_up_to(-9);
        quantity.cap();
        Ok(quantity)
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Go's `Value()`: whole units, rounded away from zero. Saturates.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// Go's `MilliValue()`: thousandths, rounded away from zero. Saturates.
    pub fn milli_value(&self) -> i64 {
        self.scaled(-3)
    }

    /// Go's `AsApproximateFloat64()`.
    pub fn to_f64(&self) -> f64 {
        let digits: String = self
            .digits
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect();
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}0{digits}e{}", self.exponent)
            .parse()
            .unwrap_or(f64::NAN)
    }

    /// The canonical spelling, also when Go would keep the original one.
    pub fn canonical(&self) -> String {
        if self.is_zero() {
            return "0".to_owned();
        }
        match self.format {
            Format::BinarySi if self.in_kibi() => self.binary(),
            Format::BinarySi | Format::DecimalSi => self.decimal(|exponent| match exponent {
                -9 => "n".to_owned(),
                -6 => "u".to_owned(),
                -3 => "m".to_owned(),
                3 => "k".to_owned(),
                6 => "M".to_owned(),
                9 => "G".to_owned(),
                12 => "T".to_owned(),
                15 => "P".to_owned(),
                18 => "E".to_owned(),
                // Go finds no suffix beyond these and writes none.
                _ => String::new(),
            }),
            Format::DecimalExponent => self.decimal(|exponent| match exponent {
                0 => String::new(),
                exponent => format!("e{exponent}"),
            }),
        }
    }

    fn decimal(&self, suffix: impl Fn(i64) -> String) -> String {
        let zeros = self.exponent.rem_euclid(3);
        let mut out = String::with_capacity(self.digits.len() + 8);
        if self.negative {
            out.push('-');
        }
        out.extend(self.digits.iter().map(|digit| char::from(b'0' + digit)));
        out.extend((0..zeros).map(|_| '0'));
        out + &suffix(self.exponent - zeros)
    }

    /// Whole and at least 1 Ki in size: what binary suffixes are good for.
    fn in_kibi(&self) -> bool {
        self.exponent >= 0 && self.whole().is_none_or(|whole| whole >= 1024)
    }

    fn binary(&self) -> String {
        const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let mut whole = self.whole().unwrap_or(CAP);
        let mut power = 0;
        while whole.is_multiple_of(1024) && power + 1 < SUFFIXES.len() {
            whole /= 1024;
            power += 1;
        }
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{whole}{}", SUFFIXES[power])
    }

    /// The magnitude in whole units; `None` when it has a fraction or doesn't fit.
    fn whole(&self) -> Option<u64> {
        let zeros = u32::try_from(self.exponent).ok()?;
        let digits = self.digits.iter().try_fold(0_u64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(*digit))
        })?;
        if digits == 0 {
            return Some(0);
        }
        digits.checked_mul(10_u64.checked_pow(zeros)?)
    }

    fn scaled(&self, exponent: i64) -> i64 {
        let mut rounded = self.clone();
        rounded.exponent = rounded.exponent.saturating_sub(exponent);
        rounded.round_up_to(0);
        let whole = rounded.whole().and_then(|whole| i64::try_from(whole).ok());
        match (whole, self.negative) {
            (Some(whole), false) => whole,
            (Some(whole), true) => -whole,
            (None, false) => i64::MAX,
            (None, true) => i64::MIN,
        }
    }

    /// Multiplies by 2^times.
    fn double(&mut self, times: i64) {
        for _ in 0..times {
            let mut carry = 0;
            for digit in self.digits.iter_mut().rev() {
                let doubled = *digit * 2 + carry;
                *digit = doubled % 10;
                carry = doubled / 10;
            }
            if carry > 0 {
                self.digits.insert(0, carry);
            }
        }
    }

    fn trim(&mut self) {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..zeros);
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.exponent += 1;
        }
        if self.digits.is_empty() {
            self.negative = false;
            self.exponent = 0;
        }
    }

    /// Rounds away from zero so that no digit stands below `10^exponent`.
    fn round_up_to(&mut self, exponent: i64) {
        if self.is_zero() || self.exponent >= exponent {
            return;
        }
        // Trimmed: the last digit is not zero, so what is cut is never nothing.
        let cut = exponent.saturating_sub(self.exponent);
        let keep = (self.digits.len() as i64 - cut).max(0) as usize;
        self.digits.truncate(keep);
        self.exponent = exponent;
        let mut position = keep;
        loop {
            if position == 0 {
                self.digits.insert(0, 1);
                break;
            }
            position -= 1;
            if self.digits[position] < 9 {
                self.digits[position] += 1;
                break;
            }
            self.digits[position] = 0;
        }
        self.trim();
    }

    fn cap(&mut self) {
        if self.format != Format::BinarySi {
            return;
        }
        let too_large =
            self.exponent >= 0 && self.whole().is_none_or(|whole| whole > CAP) || self.wide();
        if too_large {
            self.digits = CAP.to_string().bytes().map(|byte| byte - b'0').collect();
            self.exponent = 0;
        } else if !self.is_zero() && self.digits.len() as i64 + self.exponent <= 0 {
            // Less than one: shown as a decimal.
            self.format = Format::DecimalSi;
        }
    }

    /// Has a fraction and more whole digits than the cap, or as many and larger ones.
    fn wide(&self) -> bool {
        let cap = Self {
            digits: CAP.to_string().bytes().map(|byte| byte - b'0').collect(),
            ..Self::default()
        };
        self.cmp_magnitude(&cap) == Ordering::Greater
    }

    fn cmp_magnitude(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let size = |quantity: &Self| quantity.digits.len() as i64 + quantity.exponent;
        // Digits are compared as fractions: same size, so the shorter one is padded with zeros.
        size(self)
            .cmp(&size(other))
            .then_with(|| self.digits.cmp(&other.digits))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.cmp_magnitude(other),
            (true, true) => other.cmp_magnitude(self),
        }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

/// What Go's `String()` and JSON write.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => f.write_str(&self.canonical()),
        }
    }
}

/// A quantity taken apart, as Go's scanner does it.
struct Parts<'a> {
    negative: bool,
    /// Without leading zeros; `0` when nothing is left.
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, QuantityError> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let unsigned = unsigned.trim_start_matches('0');
        let (whole, rest) = split_digits(unsigned);
        let whole = if whole.is_empty() { "0" } else { whole };
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        let tail = suffix.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
        let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
        if !split_digits(tail).1.is_empty() {
            return Err(QuantityError::Format);
        }
        Ok(Self {
            negative,
            whole,
            fraction,
            suffix,
        })
    }

    fn digits(&self) -> Vec<u8> {
        self.whole
            .bytes()
            .chain(self.fraction.bytes())
            .map(|byte| byte - b'0')
            .collect()
    }

    /// Whether Go keeps the spelling: only on its int64 path, and by a test for canonical form that
    /// looks at the last three digits alone.
    fn kept(&self, format: Format, power: i64, exponent: i64) -> bool {
        let length = (self.whole.len() + self.fraction.len()) as i64;
        let shifted = || self.whole.bytes().chain(self.fraction.bytes());
        if format == Format::BinarySi {
            let fast = self.fraction.is_empty() && 15 - length - power * 3 / 10 > 0;
            let value: Option<u64> = self.whole.parse().ok();
            return fast && power % 10 == 0 && value.is_some_and(|value| value & 7 != 0);
        }
        length <= FAST_DIGITS
            && exponent >= -9
            && exponent % 3 == 0
            && !(length >= 3 && shifted().rev().take(3).all(|byte| byte == b'0'))
            && shifted().next() != Some(b'0')
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// Format and power (of two for binary suffixes, of ten otherwise).
fn suffix(suffix: &str) -> Result<(Format, i64), QuantityError> {
    let known = match suffix {
        "n" => (Format::DecimalSi, -9),
        "u" => (Format::DecimalSi, -6),
        "m" => (Format::DecimalSi, -3),
        "" => (Format::DecimalSi, 0),
        "k" => (Format::DecimalSi, 3),
        "M" => (Format::DecimalSi, 6),
        "G" => (Format::DecimalSi, 9),
        "T" => (Format::DecimalSi, 12),
        "P" => (Format::DecimalSi, 15),
        "E" => (Format::DecimalSi, 18),
        "Ki" => (Format::BinarySi, 10),
        "Mi" => (Format::BinarySi, 20),
        "Gi" => (Format::BinarySi, 30),
        "Ti" => (Format::BinarySi, 40),
        "Pi" => (Format::BinarySi, 50),
        "Ei" => (Format::BinarySi, 60),
        _ => {
            let exponent = suffix
                .strip_prefix(['e', 'E'])
                .ok_or(QuantityError::Suffix)?;
            let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
            (Format::DecimalExponent, i64::from(exponent))
        }
    };
    Ok(known)
}
