//! What counters increased by between two readings; a counter that begins anew has increased by
//! what it shows.

use super::scrape::{Counter, Reading, Readings};
use std::collections::BTreeMap;

/// What each counter increased by on one version.
pub(super) type Increases = BTreeMap<String, f64>;

/// The increases of the pods of one version.
pub(super) fn of(
    counters: &[Counter<'_>],
    before: &BTreeMap<String, Reading>,
    after: &BTreeMap<String, Reading>,
) -> Increases {
    counters
        .iter()
        .map(|counter| {
            let pods = after.iter().map(|(pod, after)| {
                let before = before.get(pod).and_then(|b| b.series.get(counter.name));
                let after = after.series.get(counter.name);
                after.map_or(0.0, |after| series(before, after))
            });
            (counter.name.to_owned(), pods.sum())
        })
        .collect()
}

fn series(before: Option<&BTreeMap<String, f64>>, after: &BTreeMap<String, f64>) -> f64 {
    after
        .iter()
        .map(|(labels, now)| {
            let then = before
                .and_then(|before| before.get(labels))
                .copied()
                .unwrap_or(0.0);
            // Lower than before: it was reset, and counts from 0.
            if *now < then { *now } else { *now - then }
        })
        .sum()
}

/// The first counter that no pod exposes, though it must.
pub(super) fn missing<'a>(counters: &[Counter<'a>], readings: &Readings) -> Option<&'a str> {
    let everywhere = || readings.canary.values().chain(readings.stable.values());
    counters
        .iter()
        .filter(|counter| counter.spec.optional != Some(true))
        .find(|counter| !everywhere().any(|pod| pod.present.contains(counter.name)))
        .map(|counter| counter.name)
}
