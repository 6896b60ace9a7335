//! The tree as rows with their branches drawn.

use super::analysis_run::AnalysisRunInfo;
use super::experiment::ExperimentInfo;
use super::icon::Icon;
use super::meta::name;
use super::replica_set::ReplicaSetInfo;
use super::rollout::RolloutInfo;
use gocompat::duration;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeSet;

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rollout,
    /// A heading: what has this revision is below it.
    Revision,
    ReplicaSet,
    Pod,
    Job,
    Experiment,
    AnalysisRun,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rollout => "Rollout",
            Self::Revision => "",
            Self::ReplicaSet => "ReplicaSet",
            Self::Pod => "Pod",
            Self::Job => "Job",
            Self::Experiment => "Experiment",
            Self::AnalysisRun => "AnalysisRun",
        }
    }

    /// The sign before the name.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Rollout => "⟳",
            Self::Revision => "#",
            Self::ReplicaSet => "⧉",
            Self::Pod => "□",
            Self::Job => "⊞",
            Self::Experiment => "Σ",
            Self::AnalysisRun => "α",
        }
    }
}

/// One line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The branches that lead here, `│  └──`.
    pub branch: String,
    pub kind: Kind,
    pub name: String,
    pub icon: Option<Icon>,
    pub status: String,
    /// Time since creation as kubectl prints it; empty when there is none.
    pub age: String,
    /// Words of the INFO column.
    pub notes: Vec<String>,
}

/// The rows of a tree, root first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub rows: Vec<Row>,
}

/// A row and what hangs below it.
struct Node {
    row: Row,
    children: Vec<Self>,
}

impl Tree {
    /// The tree below a Rollout: revisions, newest first, and what belongs to each.
    pub fn of_rollout(info: &RolloutInfo, now: Timestamp) -> Self {
        let ages = Ages { now };
        let root = ages.row(
            Kind::Rollout,
            &info.object_meta,
            info.icon,
            info.status.as_str(),
        );
        let revisions: BTreeSet<i64> = (info.replica_sets.iter().map(|set| set.revision))
            .chain(
                info.experiments
                    .iter()
                    .map(|experiment| experiment.revision),
            )
            .chain(info.analysis_runs.iter().map(|run| run.revision))
            .collect();
        let children = revisions.into_iter().rev();
        let children = children
            .map(|revision| ages.revision(info, revision))
            .collect();
        Self::draw(Node {
            row: root,
            children,
        })
    }

    /// The tree below an experiment.
    pub fn of_experiment(info: &ExperimentInfo, now: Timestamp) -> Self {
        Self::draw(Ages { now }.experiment(info))
    }

    fn draw(root: Node) -> Self {
        let mut rows = Vec::new();
        push(root, "", "", &mut rows);
        Self { rows }
    }
}

/// Appends a node with `branch` before it; what is below it begins with `indent`.
fn push(node: Node, branch: &str, indent: &str, rows: &mut Vec<Row>) {
    rows.push(Row {
        branch: branch.to_owned(),
        ..node.row
    });
    let last = node.children.len().saturating_sub(1);
    for (index, child) in node.children.into_iter().enumerate() {
        let (fork, below) = if index == last {
            ("└──", "   ")
        } else {
            ("├──", "│  ")
        };
        push(
            child,
            &format!("{indent}{fork}"),
            &format!("{indent}{below}"),
            rows,
        );
    }
}

struct Ages {
    now: Timestamp,
}

impl Ages {
    fn row(&self, kind: Kind, meta: &ObjectMeta, icon: Icon, status: &str) -> Row {
        let created = meta.creation_timestamp.as_ref();
        let age_s = created.map(|created| self.now.duration_since(created.0).as_secs());
        Row {
            branch: String::new(),
            kind,
            name: name(meta).to_owned(),
            icon: Some(icon),
            status: status.to_owned(),
            age: age_s.map(duration::human).unwrap_or_default(),
            notes: Vec::new(),
        }
    }

    fn revision(&self, info: &RolloutInfo, revision: i64) -> Node {
        let row = Row {
            branch: String::new(),
            kind: Kind::Revision,
            name: format!("revision:{revision}"),
            icon: None,
            status: String::new(),
            age: String::new(),
            notes: Vec::new(),
        };
        let sets = info
            .replica_sets
            .iter()
            .filter(|set| set.revision == revision);
        let experiments = info
            .experiments
            .iter()
            .filter(|one| one.revision == revision);
        let runs = info
            .analysis_runs
            .iter()
            .filter(|run| run.revision == revision);
        let children = (sets.map(|set| self.replica_set(set)))
            .chain(experiments.map(|experiment| self.experiment(experiment)))
            .chain(runs.map(|run| self.analysis_run(run)))
            .collect();
        Node { row, children }
    }

    fn experiment(&self, info: &ExperimentInfo) -> Node {
        let row = self.row(Kind::Experiment, &info.object_meta, info.icon, &info.status);
        let sets = info.replica_sets.iter().map(|set| self.replica_set(set));
        let runs = info.analysis_runs.iter().map(|run| self.analysis_run(run));
        Node {
            row,
            children: sets.chain(runs).collect(),
        }
    }

    fn replica_set(&self, info: &ReplicaSetInfo) -> Node {
        let mut row = self.row(Kind::ReplicaSet, &info.object_meta, info.icon, &info.status);
        row.notes = info.notes(self.now);
        let pod = |pod: &super::pod::PodInfo| {
            let mut row = self.row(Kind::Pod, &pod.object_meta, pod.icon, &pod.status);
            row.notes.push(format!("ready:{}", pod.ready));
            if pod.restarts > 0 {
                row.notes.push(format!("restarts:{}", pod.restarts));
            }
            Node {
                row,
                children: Vec::new(),
            }
        };
        Node {
            row,
            children: info.pods.iter().map(pod).collect(),
        }
    }

    fn analysis_run(&self, info: &AnalysisRunInfo) -> Node {
        let mut row = self.row(
            Kind::AnalysisRun,
            &info.object_meta,
            info.icon,
            &info.status,
        );
        row.notes = info.notes();
        let jobs = info.jobs.iter().map(|job| Node {
            row: self.row(Kind::Job, &job.object_meta, job.icon, &job.status),
            children: Vec::new(),
        });
        Node {
            row,
            children: jobs.collect(),
        }
    }
}
