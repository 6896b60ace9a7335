//! Latencies in buckets of 1/16 relative width: small, and exact to 7 %.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

const STEPS: u64 = 16;

/// Counts per bucket of microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Histogram {
    buckets: BTreeMap<u32, u64>,
    count: u64,
}

impl Histogram {
    /// Adds one latency.
    pub fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        *self.buckets.entry(bucket(us)).or_default() += 1;
        self.count += 1;
    }

    /// Latencies recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The latency below which the share `q` (0 to 1) lies, to the upper end of its bucket; zero
    /// without any.
    pub fn quantile(&self, q: f64) -> Duration {
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        for (bucket, count) in &self.buckets {
            below += count;
            if below >= rank {
                return Duration::from_micros(upper(*bucket));
            }
        }
        Duration::ZERO
    }

    pub(super) fn subtract(&mut self, earlier: &Self) {
        for (bucket, count) in &mut self.buckets {
            *count -= earlier
                .buckets
                .get(bucket)
                .copied()
                .unwrap_or(0)
                .min(*count);
        }
        self.buckets.retain(|_, count| *count > 0);
        self.count -= earlier.count.min(self.count);
    }
}

/// Exact below 32 µs, then 16 buckets per doubling.
fn bucket(us: u64) -> u32 {
    if us < 2 * STEPS {
        return us as u32;
    }
    let exponent = us.ilog2() - STEPS.trailing_zeros();
    exponent * STEPS as u32 + (us >> exponent) as u32
}

fn upper(bucket: u32) -> u64 {
    let steps = STEPS as u32;
    if bucket < 2 * steps {
        return u64::from(bucket);
    }
    let exponent = bucket / steps - 1;
    let mantissa = u64::from(bucket - exponent * steps);
    ((mantissa + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_they_say() {
        let mut last = 0;
        for us in (0..2_000_000).step_by(37) {
            let bucket = bucket(us);
            assert!(bucket >= last && upper(bucket) >= us, "{us}");
            assert!(
                upper(bucket) as f64 <= us as f64 * 1.07 + 1.0,
                "{us} → {}",
                upper(bucket)
            );
            last = bucket;
        }
    }

    #[test]
    fn quantiles_come_from_the_counts() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms));
        }
        let p99 = histogram.quantile(0.99).as_millis();
        assert!((99..=106).contains(&p99), "{p99}");
        assert!((50..=54).contains(&histogram.quantile(0.5).as_millis()));
    }
}
