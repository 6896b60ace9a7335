//! Families with a series for each object, which end when the object has ended.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Namespace and name.
pub(super) type Name = (String, String);

/// A family of the metrics library.
pub(super) trait Family: Collector + Clone + 'static {
    type Metric;

    fn at(&self, labels: &[&str]) -> Self::Metric;

    fn end(&self, labels: &[&str]);
}

impl Family for IntCounterVec {
    type Metric = IntCounter;

    fn at(&self, labels: &[&str]) -> IntCounter {
        self.with_label_values(labels)
    }

    fn end(&self, labels: &[&str]) {
        // It is there: it was made when it was noted down.
        let _ = self.remove_label_values(labels);
    }
}

impl Family for HistogramVec {
    type Metric = Histogram;

    fn at(&self, labels: &[&str]) -> Histogram {
        self.with_label_values(labels)
    }

    fn end(&self, labels: &[&str]) {
        let _ = self.remove_label_values(labels);
    }
}

/// A family whose first two labels are `namespace` and `name`.
pub(super) struct Series<F> {
    family: F,
    /// What is known of each object, besides those two: which values its other labels have had.
    used: Mutex<BTreeMap<Name, BTreeSet<Vec<String>>>>,
}

impl<F: Family> Series<F> {
    pub(super) fn new(family: F) -> Self {
        Self {
            family,
            used: Mutex::default(),
        }
    }

    /// The series of an object, with the values of the other labels.
    pub(super) fn of(&self, namespace: &str, name: &str, other: &[&str]) -> F::Metric {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let of_object = used
            .entry((namespace.to_owned(), name.to_owned()))
            .or_default();
        let values: Vec<String> = other.iter().map(|&value| value.to_owned()).collect();
        of_object.insert(values);
        let mut labels = vec![namespace, name];
        labels.extend(other);
        self.family.at(&labels)
    }

    /// The objects that have a series.
    pub(super) fn names(&self) -> Vec<Name> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.keys().cloned().collect()
    }

    /// Ends all series of an object.
    pub(super) fn forget(&self, name: &Name) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for other in used.remove(name).into_iter().flatten() {
            let mut labels = vec![name.0.as_str(), name.1.as_str()];
            labels.extend(other.iter().map(String::as_str));
            self.family.end(&labels);
        }
    }

    /// For the registry.
    pub(super) fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.family.clone())
    }
}
