//! The text format in which programs expose their metrics.
//!
//! Written by hand and strict: label values may hold commas, braces and escapes
//! (`path="/users/{id}"`), metric names colons, and a line that can't be read is an error, because
//! a counter that is silently left out would let a bad version pass.

use gocompat::number;
use std::collections::BTreeMap;

/// Most samples of one page.
const MAX_SAMPLES: usize = 200_000;

/// One line with a value. Histograms and summaries are just their lines (`_bucket`, `_sum`, …).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: BTreeMap<&'a str, String>,
    pub(super) value: f64,
}

/// All samples of a page; the error is a sentence with the line number.
pub(super) fn parse(text: &str) -> Result<Vec<Sample<'_>>, String> {
    let mut samples = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let sample = sample(line).map_err(|problem| format!("line {}: {problem}", index + 1))?;
        samples.push(sample);
        if samples.len() > MAX_SAMPLES {
            return Err(format!("there are more than {MAX_SAMPLES} samples"));
        }
    }
    Ok(samples)
}

fn sample(line: &str) -> Result<Sample<'_>, String> {
    let end = line.find(|c: char| !is_name(c)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let begins = |c: char| c.is_ascii_digit();
    if name.is_empty() || name.starts_with(begins) {
        return Err("there is no metric name".to_owned());
    }
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    // The value, then perhaps a time, then in OpenMetrics perhaps an exemplar.
    let mut words = rest.split_whitespace();
    let value = words.next().ok_or("there is no value")?;
    Ok(Sample {
        name,
        labels,
        value: float(value)?,
    })
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':')
}

type Labels<'a> = BTreeMap<&'a str, String>;

/// The labels up to the closing brace, and what follows it.
fn labels(text: &str) -> Result<(Labels<'_>, &str), String> {
    let mut labels = BTreeMap::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, after) = rest
            .split_once('=')
            .ok_or("the labels have no closing brace")?;
        let name = name.trim();
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!("{} is no label name", number::quote(name)));
        }
        let after = after.trim_start();
        let quoted = after
            .strip_prefix('"')
            .ok_or_else(|| format!("the value of label {name} is not quoted"))?;
        let (value, after) = string(quoted)
            .ok_or_else(|| format!("the value of label {name} has no closing quote"))?;
        labels.insert(name, value);
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
        } else if !rest.starts_with('}') {
            return Err(format!("something follows the value of label {name}"));
        }
    }
}

/// A string up to its closing quote, unescaped, and what follows.
fn string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[index + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

fn float(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" | "Inf" => return Ok(f64::INFINITY),
        "-Inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    text.parse()
        .map_err(|_| format!("{} is no number", number::quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Sample<'_> {
        parse(line).unwrap().remove(0)
    }

    #[test]
    fn label_values_may_hold_anything() {
        let sample =
            one(r#"http:req_total{path="/users/{id}?a=1,b=2",quote="a\"b\\c\n",} 12 1700000000"#);
        assert_eq!(sample.name, "http:req_total");
        assert_eq!(sample.value.to_string(), "12");
        assert_eq!(sample.labels["path"], "/users/{id}?a=1,b=2");
        assert_eq!(sample.labels["quote"], "a\"b\\c\n");
    }

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let text = "# HELP a Some help.\n# TYPE a counter\n\na 1\n  a{x=\"y\"}  2.5e3  \n# EOF\n";
        let values: Vec<f64> = parse(text).unwrap().iter().map(|s| s.value).collect();
        assert_eq!(values, [1.0, 2500.0]);
    }

    #[test]
    fn garbage_is_told_by_its_line() {
        let cases = [
            ("a 1\n<html>", "line 2: there is no metric name"),
            ("a", "line 1: there is no value"),
            ("a b", "line 1: \"b\" is no number"),
            ("a{x=1} 2", "line 1: the value of label x is not quoted"),
            (
                "a{x=\"1} 2",
                "line 1: the value of label x has no closing quote",
            ),
            (
                "a{x=\"1\" 2",
                "line 1: something follows the value of label x",
            ),
            ("a{", "line 1: the labels have no closing brace"),
            ("9a 1", "line 1: there is no metric name"),
        ];
        for (text, problem) in cases {
            assert_eq!(parse(text).unwrap_err(), problem, "{text}");
        }
    }

    #[test]
    fn plain_pages_read_as_prometheus_parse_reads_them() {
        let text = "# TYPE up counter\nup{job=\"a\",instance=\"b\"} 3\nup{job=\"c\"} 4\nother 5\n";
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let reference = prometheus_parse::Scrape::parse(lines).unwrap();
        let ours = parse(text).unwrap();
        assert_eq!(reference.samples.len(), ours.len());
        for (theirs, ours) in reference.samples.iter().zip(&ours) {
            assert_eq!(theirs.metric, ours.name);
            let value = match theirs.value {
                prometheus_parse::Value::Counter(v) | prometheus_parse::Value::Untyped(v) => v,
                _ => f64::NAN,
            };
            assert_eq!(value.to_string(), ours.value.to_string());
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z{}\"=,\\\\ 0-9.\n#+-]{0,80}") {
            let _ = parse(&text);
        }
    }
}
