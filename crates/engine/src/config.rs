//! What the operator of the controller chose, as far as a plan depends on it.

/// Settings of the planners. The shell fills it from flags and the ConfigMap
/// `argo-rollouts-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `--rollout-resync`, seconds: no object sleeps longer than this (rollouts.md §9.2).
    pub resync_s: i64,
    /// `--instance-id`: copied as a label to the AnalysisRuns and Experiments of a Rollout.
    pub instance_id: Option<String>,
    /// `--deny-mutable-tags`: a Rollout whose image has no tag, or the tag `latest`, is refused
    /// instead of warned of.
    pub deny_mutable_tags: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            resync_s: 900,
            instance_id: None,
            deny_mutable_tags: false,
        }
    }
}
