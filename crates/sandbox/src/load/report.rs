//! What became of the requests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Histogram;

/// Counts of a run. `sent = Σ arms.requests + Σ failed + in flight`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LoadReport {
    pub sent: u64,
    /// By pod template hash, else by colour, else `gateway` (answers that no pod gave).
    pub arms: BTreeMap<String, Arm>,
    /// Without an answer, by what went wrong: `connect`, `broken connection`, `broken answer`,
    /// `timeout`, `overload`.
    pub failed: BTreeMap<&'static str, u64>,
    pub latency: Histogram,
}

/// The answers of one arm.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Arm {
    /// As the pods reported it; empty for the gateway's own answers.
    pub color: String,
    pub requests: u64,
    /// By status code.
    pub codes: BTreeMap<u16, u64>,
    pub latency: Histogram,
}

impl Arm {
    /// Answers of 500 and above.
    pub fn errors(&self) -> u64 {
        self.codes
            .iter()
            .filter(|(code, _)| **code >= 500)
            .map(|(_, count)| count)
            .sum()
    }

    /// Share of answers below 500, 0 to 1; 1 without any answer.
    pub fn success_rate(&self) -> f64 {
        if self.requests == 0 {
            1.0
        } else {
            1.0 - self.errors() as f64 / self.requests as f64
        }
    }
}

impl LoadReport {
    /// Requests with an answer of any kind.
    pub fn answered(&self) -> u64 {
        self.arms.values().map(|arm| arm.requests).sum()
    }

    /// Requests without an answer, and answers of 500 and above.
    pub fn lost(&self) -> u64 {
        let errors: u64 = self.arms.values().map(Arm::errors).sum();
        self.failed.values().sum::<u64>() + errors
    }

    /// Sent and neither answered nor failed yet.
    pub fn in_flight(&self) -> u64 {
        self.sent
            .saturating_sub(self.answered() + self.failed.values().sum::<u64>())
    }

    /// The arm of a colour.
    pub fn color(&self, color: &str) -> Option<&Arm> {
        self.arms.values().find(|arm| arm.color == color)
    }

    /// What has come since an earlier state of the same run.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut report = self.clone();
        report.sent -= earlier.sent.min(report.sent);
        for (name, arm) in &mut report.arms {
            if let Some(old) = earlier.arms.get(name) {
                arm.requests -= old.requests.min(arm.requests);
                subtract(&mut arm.codes, &old.codes);
                arm.latency.subtract(&old.latency);
            }
        }
        subtract(&mut report.failed, &earlier.failed);
        report.latency.subtract(&earlier.latency);
        report
    }

    pub(super) fn answer(&mut self, hash: &str, color: &str, code: u16, took: Duration) {
        let name = [hash, color, "gateway"]
            .into_iter()
            .find(|name| !name.is_empty());
        let arm = self
            .arms
            .entry(name.unwrap_or_default().to_owned())
            .or_default();
        if arm.color != color {
            color.clone_into(&mut arm.color);
        }
        arm.requests += 1;
        *arm.codes.entry(code).or_default() += 1;
        arm.latency.record(took);
        self.latency.record(took);
    }

    pub(super) fn fail(&mut self, kind: &'static str) {
        *self.failed.entry(kind).or_default() += 1;
    }
}

fn subtract<K: Ord>(counts: &mut BTreeMap<K, u64>, earlier: &BTreeMap<K, u64>) {
    for (key, count) in counts.iter_mut() {
        *count -= earlier.get(key).copied().unwrap_or(0).min(*count);
    }
    counts.retain(|_, count| *count > 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_in_exactly_one_place() {
        let mut report = LoadReport {
            sent: 5,
            ..LoadReport::default()
        };
        report.answer("abc", "blue", 200, Duration::from_millis(3));
        report.answer("abc", "blue", 500, Duration::from_millis(4));
        report.answer("", "", 503, Duration::from_millis(1));
        let earlier = report.clone();
        report.fail("connect");
        assert_eq!(
            (report.answered(), report.lost(), report.in_flight()),
            (3, 3, 1)
        );
        assert_eq!(report.color("blue").map(Arm::errors), Some(1));
        assert!((report.arms["abc"].success_rate() - 0.5).abs() < 1e-9);
        assert_eq!(report.arms["gateway"].requests, 1);
        let since = report.since(&earlier);
        assert_eq!((since.answered(), since.lost()), (0, 1));
    }
}
