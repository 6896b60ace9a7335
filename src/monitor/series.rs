//! Families with a series for each object, which end when the object has ended.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

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

/// A family of counters that is not registered yet.
pub(super) fn counter_vec(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels)
        .expect("the names of families are valid metric names")
}

/// A family of histograms that is not registered yet.
pub(super) fn histogram_vec(
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    HistogramVec::new(options, labels).expect("the names of families are valid metric names")
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

/// So many namespaces may have had no request for [`QUIET`] before those that had none for longest
/// are forgotten: there may be a new one for each branch of a repository.
const NAMESPACES_MAX: usize = 1_000;
/// A namespace in which something is done has its series however many there are.
const QUIET: Duration = Duration::from_hours(1);

/// Requests to the API server, by namespace and by what they were.
pub(super) struct Requests {
    family: IntCounterVec,
    namespaces: Mutex<BTreeMap<String, Asked>>,
}

/// What is known of a namespace.
struct Asked {
    last: Instant,
    /// Kind, verb and code of the answer.
    series: BTreeMap<[String; 3], IntCounter>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            // `name` is there for those who query by the peer's labels; a series for each object
            // would be too many.
            family: counter_vec(
                "controller_clientset_k8s_request_total",
                "Requests to the API server. `name` is always empty.",
                &["kind", "namespace", "name", "verb", "status_code"],
            ),
            namespaces: Mutex::default(),
        }
    }
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Asked>> {
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one: `what` is kind, verb and code.
    pub(super) fn count(&self, namespace: &str, what: [&str; 3]) {
        let [kind, verb, code] = what;
        let new = || {
            let labels = [kind, namespace, "", verb, code];
            self.family.with_label_values(&labels)
        };
        let now = Instant::now();
        let key = what.map(str::to_owned);
        let mut namespaces = self.lock();
        if let Some(asked) = namespaces.get_mut(namespace) {
            asked.last = now;
            asked.series.entry(key).or_insert_with(new).inc();
            return;
        }
        let counter = new();
        counter.inc();
        let asked = Asked {
            last: now,
            series: [(key, counter)].into(),
        };
        namespaces.insert(namespace.to_owned(), asked);
        let are_many = namespaces.len() > 2 * NAMESPACES_MAX;
        drop(namespaces);
        if are_many {
            // Perhaps nobody reads the page, which sweeps as well.
            self.sweep();
        }
    }

    /// Ends the series of namespaces in which nothing is done any more, if there are too many.
    pub(super) fn sweep(&self) {
        let mut namespaces = self.lock();
        let mut quiet: Vec<(Instant, String)> = namespaces
            .iter()
            .filter(|(_, asked)| asked.last.elapsed() >= QUIET)
            .map(|(namespace, asked)| (asked.last, namespace.clone()))
            .collect();
        quiet.sort();
        let surplus = quiet.len().saturating_sub(NAMESPACES_MAX);
        for (_, namespace) in quiet.drain(..surplus) {
            let Some(asked) = namespaces.remove(&namespace) else {
                continue;
            };
            for [kind, verb, code] in asked.series.keys() {
                let labels = [kind.as_str(), namespace.as_str(), "", verb, code];
                self.family.end(&labels);
            }
        }
    }

    /// For the registry.
    pub(super) fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.family.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces(requests: &Requests) -> usize {
        let families = requests.family.collect();
        families
            .iter()
            .map(|family| family.get_metric().len())
            .sum()
    }

    #[tokio::test(start_paused = true)]
    async fn namespaces_in_which_nothing_is_done_any_more_are_forgotten_if_they_are_many() {
        let requests = Requests::default();
        let ask = |number: usize| {
            let namespace = format!("branch-{number}");
            requests.count(&namespace, ["services", "Patch", "200"]);
        };
        (0..2 * NAMESPACES_MAX).for_each(ask);
        requests.sweep();
        assert_eq!(namespaces(&requests), 2 * NAMESPACES_MAX, "all are in use");
        tokio::time::advance(QUIET).await;
        ask(0);
        requests.sweep();
        assert_eq!(namespaces(&requests), NAMESPACES_MAX + 1);
        ask(0);
        let of_first = ["services", "branch-0", "", "Patch", "200"];
        let first = requests.family.with_label_values(&of_first);
        assert_eq!(first.get(), 3, "it goes on where it was");
        ask(1);
        assert_eq!(namespaces(&requests), NAMESPACES_MAX + 2);
    }
}
