//! A family of counters or histograms, and one series of it.

use super::page::{self, Page, push_label};
use crate::queue::Key;
use std::ptr;
use std::sync::Arc;

/// What all series of a family have in common. It is known by its address: each is a `static`.
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    /// Upper bounds of the buckets of a histogram, in order. A counter has none.
    bounds: &'static [f64],
}

impl Family {
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::histogram(name, help, &[])
    }

    pub(super) const fn histogram(
        name: &'static str,
        help: &'static str,
        bounds: &'static [f64],
    ) -> Self {
        Self { name, help, bounds }
    }

    /// Begins it on the page.
    pub(super) fn open<'p>(&self, page: &'p mut Page) -> Open<'p> {
        let text = if self.bounds.is_empty() {
            page.counter(self.name, self.help)
        } else {
            page.histogram(self.name, self.help)
        };
        let bounds = self.bounds.iter().map(ToString::to_string);
        Open {
            text,
            bounds: bounds.chain(["+Inf".to_owned()]).collect(),
            labels: String::new(),
        }
    }
}

/// A family that is being written.
pub(super) struct Open<'p> {
    text: page::Family<'p>,
    /// As text, with the one that is none.
    bounds: Vec<String>,
    /// Those of the series that is being written: room for the next one's.
    labels: String,
}

impl Open<'_> {
    /// Writes a series of an object.
    pub(super) fn write(&mut self, key: &Key, one: &One) {
        self.labels.clear();
        one.labels.write(key, &mut self.labels);
        one.write(&mut self.text, &self.labels, &self.bounds);
    }
}

/// Labels besides `name` and `namespace`, as text: labels are written in alphabetical order.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels {
    before: String,
    after: String,
}

impl Labels {
    /// Of labels and their values, in alphabetical order.
    pub(super) fn new(labels: &[(&str, &str)]) -> Self {
        let mut text = Self::default();
        for (label, value) in labels {
            if *label < "name" {
                push_label(&mut text.before, label, value);
                text.before.push(',');
            } else {
                text.after.push(',');
                push_label(&mut text.after, label, value);
            }
        }
        text
    }

    fn write(&self, key: &Key, to: &mut String) {
        to.push_str(&self.before);
        push_label(to, "name", &key.name);
        to.push(',');
        push_label(to, "namespace", &key.namespace);
        to.push_str(&self.after);
    }
}

/// One series of an object.
pub(super) struct One {
    family: &'static Family,
    pub(super) labels: Arc<Labels>,
    /// Of all values; of a counter it is the count.
    sum: f64,
    /// How many values each bucket has that the one before has not; the last bucket is without a
    /// bound. A counter has none.
    counts: Box<[u64]>,
}

impl One {
    pub(super) fn new(family: &'static Family, labels: Arc<Labels>) -> Self {
        let buckets = match family.bounds.len() {
            0 => 0,
            bounds => bounds + 1,
        };
        Self {
            family,
            labels,
            sum: 0.0,
            counts: vec![0; buckets].into_boxed_slice(),
        }
    }

    pub(super) fn is_of(&self, family: &'static Family) -> bool {
        ptr::eq(self.family, family)
    }

    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        let bounds = self.family.bounds;
        let bucket = bounds.iter().position(|bound| value <= *bound);
        let bucket = bucket.unwrap_or(bounds.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    fn write(&self, open: &mut page::Family<'_>, labels: &str, bounds: &[String]) {
        if self.counts.is_empty() {
            open.part("", labels, self.sum);
            return;
        }
        let mut count: u64 = 0;
        for (bound, more) in bounds.iter().zip(self.counts.iter()) {
            count += more;
            open.bucket(labels, bound, count);
        }
        open.part("_sum", labels, self.sum);
        open.part("_count", labels, count);
    }
}
