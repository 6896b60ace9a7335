//! What the demo shows at one moment, as data.

use jiff::Timestamp;

/// Everything on the screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Frame {
    /// What is being told, in a sentence.
    pub chapter: String,
    /// Newest commit: abbreviated SHA and subject.
    pub commit: Option<(String, String)>,
    pub application: Application,
    pub rollout: Rollout,
    /// Stable first.
    pub arms: Vec<Arm>,
    pub analysis: Option<Analysis>,
    pub traffic: Traffic,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Application {
    pub sync: String,
    pub health: String,
    /// The revision that is applied, abbreviated.
    pub revision: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rollout {
    pub phase: String,
    pub step: usize,
    pub steps: usize,
    /// What the step at hand does; `None` after the last one.
    pub doing: Option<String>,
    /// Percent of requests that the route gives to the canary.
    pub canary_weight_pct: i32,
}

/// The pods of one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Arm {
    /// `stable` or `canary`.
    pub role: &'static str,
    pub image: String,
    pub ready: usize,
    pub pods: usize,
    pub weight_pct: i32,
    pub requests: u64,
    pub failed: u64,
}

impl Arm {
    /// Percent of this arm's requests that succeeded; `None` without requests.
    pub(super) fn success_pct(&self) -> Option<f64> {
        (self.requests > 0).then(|| {
            100.0 * (self.requests - self.failed.min(self.requests)) as f64 / self.requests as f64
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Analysis {
    pub phase: String,
    pub successful: i64,
    pub failed: i64,
    pub inconclusive: i64,
    pub errors: i64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    pub rate_per_s: f64,
    pub sent: u64,
    pub failed: u64,
    pub p99_ms: f64,
}

/// A line of the story, with when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub at: Timestamp,
    pub text: String,
}
