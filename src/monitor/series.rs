//! Series of each object, which end when the object has ended.
//!
//! They are our own, because of memory: in the metrics library each series has the name, the help
//! and the labels of its family once more, which makes 1 KiB of a counter and 2 KiB of a histogram,
//! and a Rollout has some fifteen of them. Here an object has its name once, labels are shared by
//! all objects, a counter takes 40 bytes and a histogram about 150.

use super::family::{Family, Labels, One};
use super::page::Page;
use crate::queue::Key;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The series of so many objects are written at once.
const AT_ONCE: usize = 256;

/// What has happened to each object.
#[derive(Default)]
pub(super) struct Series(Mutex<Store>);

#[derive(Default)]
struct Store {
    objects: BTreeMap<Key, Vec<One>>,
    /// Those of all series: there are few, and most objects have the same.
    labels: BTreeSet<Arc<Labels>>,
}

impl Store {
    fn has(&self, family: &'static Family) -> bool {
        let mut all = self.objects.values().flatten();
        all.any(|one| one.is_of(family))
    }

    /// The same labels, as others have them too.
    fn share(&mut self, labels: Labels) -> Arc<Labels> {
        if let Some(shared) = self.labels.get(&labels) {
            return shared.clone();
        }
        let labels = Arc::new(labels);
        self.labels.insert(labels.clone());
        labels
    }
}

/// Adds a value to the one of an object's series that it belongs to.
fn add(series: &mut Vec<One>, family: &'static Family, labels: Arc<Labels>, value: f64) {
    let mut of_family = series.iter_mut().filter(|one| one.is_of(family));
    if let Some(one) = of_family.find(|one| Arc::ptr_eq(&one.labels, &labels)) {
        one.add(value);
        return;
    }
    let mut one = One::new(family, labels);
    one.add(value);
    // They are few, and soon all there: room for more would be most of what they take.
    series.reserve_exact(1);
    series.push(one);
}

impl Series {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one. `labels` are those besides `name` and `namespace`, in alphabetical order.
    pub(super) fn count(&self, family: &'static Family, key: &Key, labels: &[(&str, &str)]) {
        self.observe(family, key, labels, 1.0);
    }

    /// Adds a value to a histogram. `labels` as in [`Self::count`].
    pub(super) fn observe(
        &self,
        family: &'static Family,
        key: &Key,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let labels = Labels::new(labels);
        let mut store = self.lock();
        let labels = store.share(labels);
        if let Some(series) = store.objects.get_mut(key) {
            add(series, family, labels, value);
            return;
        }
        let mut series = Vec::new();
        add(&mut series, family, labels, value);
        store.objects.insert(key.clone(), series);
    }

    /// The objects that have a series.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.lock().objects.keys().cloned().collect()
    }

    /// Ends all series of an object.
    pub(super) fn forget(&self, key: &Key) {
        let mut store = self.lock();
        for one in store.objects.remove(key).into_iter().flatten() {
            // Nobody holds them any more but this one and the store.
            if Arc::strong_count(&one.labels) == 2 {
                store.labels.remove(&one.labels);
            }
        }
    }

    /// Writes a family, if it has a series. Passes that end meanwhile wait, so that it is done a
    /// few objects at a time.
    pub(super) fn write(&self, page: &mut Page, family: &'static Family) {
        if !self.lock().has(family) {
            return;
        }
        let mut open = family.open(page);
        let mut rest = Bound::Unbounded;
        loop {
            let store = self.lock();
            let mut last = None;
            let some = store.objects.range((rest, Bound::Unbounded));
            for (key, all) in some.take(AT_ONCE) {
                last = Some(key);
                for one in all.iter().filter(|one| one.is_of(family)) {
                    open.write(key, one);
                }
            }
            let Some(last) = last else {
                return;
            };
            rest = Bound::Excluded(last.clone());
        }
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
    /// Kind, verb and code of the answer; some dozens.
    series: Vec<([String; 3], IntCounter)>,
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
        let now = Instant::now();
        let mut namespaces = self.lock();
        if let Some(asked) = namespaces.get_mut(namespace) {
            asked.last = now;
            match asked.series.iter().find(|(known, _)| *known == what) {
                Some((_, counter)) => counter.inc(),
                None => asked.series.push(self.begin(namespace, what)),
            }
            return;
        }
        let asked = Asked {
            last: now,
            series: vec![self.begin(namespace, what)],
        };
        namespaces.insert(namespace.to_owned(), asked);
        let are_many = namespaces.len() > 2 * NAMESPACES_MAX;
        drop(namespaces);
        if are_many {
            // Perhaps nobody reads the page, which sweeps as well.
            self.sweep();
        }
    }

    /// A series with one request.
    fn begin(&self, namespace: &str, what: [&str; 3]) -> ([String; 3], IntCounter) {
        let [kind, verb, code] = what;
        let labels = [kind, namespace, "", verb, code];
        let counter = self.family.with_label_values(&labels);
        counter.inc();
        (what.map(str::to_owned), counter)
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
            for ([kind, verb, code], _) in &asked.series {
                let labels = [kind.as_str(), namespace.as_str(), "", verb, code];
                // It is there: it was made when it was noted down.
                let _ = self.family.remove_label_values(&labels);
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
    use crate::queue::Kind;
    use prometheus::{Registry, TextEncoder};

    const BOUNDS: &[f64] = &[1e-8, 0.01, 0.15, 1.0, 14_400.0];
    static SECONDS: Family = Family::histogram("weir_test_seconds", "How long it took.", BOUNDS);
    static TOTAL: Family = Family::counter("weir_test_total", "How often.");

    fn key(name: &str) -> Key {
        Key::new(Kind::Rollout, "ns", name)
    }

    fn text(series: &Series) -> String {
        let mut page = Page::default();
        series.write(&mut page, &SECONDS);
        series.write(&mut page, &TOTAL);
        page.into_text()
    }

    #[test]
    fn each_object_has_its_series_by_labels() {
        let series = Series::default();
        assert_eq!(text(&series), "", "no family without a series");
        let (a, b) = (key("a"), key("b"));
        series.count(&TOTAL, &b, &[("app", "shop"), ("result", "Aborted")]);
        series.count(&TOTAL, &a, &[("app", "shop"), ("result", "Promoted")]);
        series.count(&TOTAL, &b, &[("app", "shop"), ("result", "Aborted")]);
        let only_counters = r#"# HELP weir_test_total How often.
# TYPE weir_test_total counter
weir_test_total{app="shop",name="a",namespace="ns",result="Promoted"} 1
weir_test_total{app="shop",name="b",namespace="ns",result="Aborted"} 2
"#;
        assert_eq!(text(&series), only_counters);
        for value in [0.15, 0.25, 20_000.0] {
            series.observe(&SECONDS, &a, &[("status", "Promoted")], value);
        }
        series.observe(&SECONDS, &b, &[], 0.0);
        let histograms = r#"# HELP weir_test_seconds How long it took.
# TYPE weir_test_seconds histogram
weir_test_seconds_bucket{name="a",namespace="ns",status="Promoted",le="0.00000001"} 0
weir_test_seconds_bucket{name="a",namespace="ns",status="Promoted",le="0.01"} 0
weir_test_seconds_bucket{name="a",namespace="ns",status="Promoted",le="0.15"} 1
weir_test_seconds_bucket{name="a",namespace="ns",status="Promoted",le="1"} 2
weir_test_seconds_bucket{name="a",namespace="ns",status="Promoted",le="14400"} 2
weir_test_seconds_bucket{name="a",namespace="ns",status="Promoted",le="+Inf"} 3
weir_test_seconds_sum{name="a",namespace="ns",status="Promoted"} 20000.4
weir_test_seconds_count{name="a",namespace="ns",status="Promoted"} 3
weir_test_seconds_bucket{name="b",namespace="ns",le="0.00000001"} 1
weir_test_seconds_bucket{name="b",namespace="ns",le="0.01"} 1
weir_test_seconds_bucket{name="b",namespace="ns",le="0.15"} 1
weir_test_seconds_bucket{name="b",namespace="ns",le="1"} 1
weir_test_seconds_bucket{name="b",namespace="ns",le="14400"} 1
weir_test_seconds_bucket{name="b",namespace="ns",le="+Inf"} 1
weir_test_seconds_sum{name="b",namespace="ns"} 0
weir_test_seconds_count{name="b",namespace="ns"} 1
"#;
        assert_eq!(text(&series), format!("{histograms}{only_counters}"));
    }

    #[test]
    fn all_of_many_objects_are_written_once() {
        let series = Series::default();
        let many = 2 * AT_ONCE + 1;
        for number in 0..many {
            series.count(&TOTAL, &key(&format!("app-{number}")), &[]);
        }
        let text = text(&series);
        let samples: BTreeSet<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples.len(), many);
        assert_eq!(
            text.lines().count(),
            many + 2,
            "a name, a type, and the samples"
        );
    }

    #[test]
    fn they_are_written_as_the_metrics_library_writes_them() {
        let series = Series::default();
        let names = &["namespace", "name", "app", "reason"];
        let total = counter_vec("weir_test_total", "How often.", names);
        let seconds = histogram_vec("weir_test_seconds", "How long it took.", names, BOUNDS);
        let odd = "\\ a \"b\" \n ü {},=";
        for (app, reason) in [("", ""), (odd, "x"), ("shop", odd)] {
            let labels = [("app", app), ("reason", reason)];
            let values = ["ns", "a", app, reason];
            series.count(&TOTAL, &key("a"), &labels);
            total.with_label_values(&values).inc();
            for value in [0.1, 0.2, 1.0, 1e-9, 1e15, 1e300] {
                series.observe(&SECONDS, &key("a"), &labels, value);
                seconds.with_label_values(&values).observe(value);
            }
        }
        let registry = Registry::new();
        registry.register(Box::new(total)).unwrap();
        registry.register(Box::new(seconds)).unwrap();
        let theirs = TextEncoder::new().encode_to_string(&registry.gather());
        assert_eq!(text(&series), theirs.unwrap());
    }

    #[test]
    fn series_and_labels_that_nobody_has_any_more_end() {
        let series = Series::default();
        let (a, b) = (key("a"), key("b"));
        series.count(&TOTAL, &a, &[("status", "Promoted")]);
        series.count(&TOTAL, &b, &[("status", "Promoted")]);
        series.observe(&SECONDS, &b, &[("status", "Promoted")], 1.0);
        series.count(&TOTAL, &b, &[("status", "Aborted")]);
        series.observe(&SECONDS, &b, &[("status", "Aborted")], 1.0);
        assert_eq!(series.keys(), [a.clone(), b.clone()]);
        assert_eq!(series.lock().labels.len(), 2);
        series.forget(&b);
        assert_eq!(series.keys(), std::slice::from_ref(&a));
        assert_eq!(series.lock().labels.len(), 1);
        let of_a = r#"# HELP weir_test_total How often.
# TYPE weir_test_total counter
weir_test_total{name="a",namespace="ns",status="Promoted"} 1
"#;
        assert_eq!(text(&series), of_a);
        series.count(&TOTAL, &b, &[("status", "Aborted")]);
        assert!(text(&series).contains("status=\"Aborted\"} 1"), "anew");
        series.forget(&a);
        series.forget(&b);
        series.forget(&b);
        assert_eq!(text(&series), "");
        assert!(series.lock().labels.is_empty());
    }

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
