//! Metrics as text (the Prometheus exposition format, version 0.0.4).

use std::fmt::{Display, Write};

/// A page that is being written. Samples of one family follow its heading.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins a family of gauges.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    /// Begins a family of counters.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "counter")
    }

    /// Begins a family of histograms.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "histogram")
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> Family<'_> {
        // Writing to a String can't fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family {
            name,
            text: &mut self.text,
        }
    }

    /// Adds families that are text already.
    pub fn append(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

/// One family of a [`Page`].
#[derive(Debug)]
pub struct Family<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Family<'_> {
    /// Writes one sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        for (number, (label, text)) in labels.iter().enumerate() {
            self.text.push(if number == 0 { '{' } else { ',' });
            push_label(self.text, label, text);
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// Writes one sample. `part` follows the family's name: a histogram has several samples.
    /// `labels` are as [`push_label`] writes them, with commas between.
    pub(super) fn part(&mut self, part: &str, labels: &str, value: impl Display) {
        let name = self.name;
        let _ = writeln!(self.text, "{name}{part}{{{labels}}} {value}");
    }

    /// Writes how many values of a histogram were at most `bound`.
    pub(super) fn bucket(&mut self, labels: &str, bound: &str, count: u64) {
        let name = self.name;
        let _ = writeln!(
            self.text,
            "{name}_bucket{{{labels},le=\"{bound}\"}} {count}"
        );
    }
}

/// Writes a label and its value.
pub(super) fn push_label(to: &mut String, label: &str, value: &str) {
    to.push_str(label);
    to.push_str("=\"");
    escape(value, to);
    to.push('"');
}

fn escape(from: &str, to: &mut String) {
    // Nearly all labels are names, and there are many.
    if !from.contains(['\\', '"', '\n']) {
        to.push_str(from);
        return;
    }
    for character in from.chars() {
        match character {
            '\\' => to.push_str("\\\\"),
            '"' => to.push_str("\\\""),
            '\n' => to.push_str("\\n"),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_their_heading_and_labels_are_escaped() {
        let mut page = Page::default();
        let mut family = page.gauge("weir_test", "What it is.");
        family.sample(&[], 1);
        family.sample(&[("name", "a\"b\\c\nd"), ("other", "")], 0.5);
        let text = page.into_text();
        assert_eq!(
            text,
            "# HELP weir_test What it is.\n# TYPE weir_test gauge\nweir_test 1\n\
             weir_test{name=\"a\\\"b\\\\c\\nd\",other=\"\"} 0.5\n"
        );
    }
}
