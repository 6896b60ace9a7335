//! The tree of a Rollout and what belongs to it, as `get rollout` and the dashboard show it
//! (rollouts.md §8.2, §8.4).
//!
//! [`RolloutInfo::new`] sorts what was listed into a tree; [`Tree`] flattens it into rows. Both are
//! pure; ages and delays come from the `now` that is passed in. Serialised, [`RolloutInfo`] is the
//! body of the dashboard's API.

mod analysis_run;
mod experiment;
mod icon;
mod images;
mod meta;
mod phase;
mod pod;
mod replica_set;
mod rollout;
mod tree;

pub use analysis_run::{AnalysisRunInfo, JobInfo, MeasurementInfo, MetricInfo, SpecAndStatus};
pub use experiment::ExperimentInfo;
pub use icon::Icon;
pub use images::{ImageTags, experiment_images, images};
pub use phase::phase;
pub use pod::PodInfo;
pub use replica_set::ReplicaSetInfo;
pub use rollout::{ContainerInfo, Parts, RolloutInfo};
pub use tree::{Kind, Row, Tree};

#[cfg(test)]
mod tests;
