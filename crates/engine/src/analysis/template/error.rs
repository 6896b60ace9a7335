//! Why templates make no run.

/// Why there is no spec for a run. The texts are the peer's, except for cycles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("analysistemplate.argoproj.io \"{0}\" not found")]
    NotFound(String),
    #[error("clusteranalysistemplate.argoproj.io \"{0}\" not found")]
    ClusterNotFound(String),
    #[error("analysis template reference has no templateName")]
    NoName,
    /// The path from the outermost template to its repetition.
    #[error("analysis templates include each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    #[error("analysis templates are nested more than {0} levels deep")]
    TooDeep(usize),
    #[error("two metrics have the same name '{0}'")]
    DuplicateMetric(String),
    #[error("two Dry-Run metric rules have the same name '{0}'")]
    DuplicateDryRun(String),
    #[error("two Measurement Retention metric rules have the same name '{0}'")]
    DuplicateRetention(String),
    #[error(
        "Argument `{name}` specified multiple times with different values: '{first}', '{second}'"
    )]
    ConflictingArgument {
        name: String,
        first: String,
        second: String,
    },
    #[error("args.{0} was not resolved")]
    Unresolved(String),
    /// A field path of a Rollout argument that leads nowhere.
    #[error("{0}")]
    FieldPath(String),
    /// What [`super::validate_metrics`] found.
    #[error("{0}")]
    Metric(String),
}
