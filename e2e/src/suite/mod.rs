//! The list of suites: a file each, and a row in [`Suite`].

mod bench;
mod conformance;
mod containers;
mod failover;
mod privilege;
mod requests;
mod story;
mod timelines;
mod upgrade;

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;

use crate::context::Context;
use crate::report::Report;

/// What can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// The request table of the embedded API server, replayed
    Conformance,
    /// Git to canary to promotion and rollback, with Traefik and Prometheus
    Story,
    /// Load through rollouts of every kind and ending: every request is accounted for
    Requests,
    /// Three controllers, and everything that can be killed is killed
    Failover,
    /// The rights of `deploy/`: none is missing, none is left over
    Privilege,
    /// Objects stored by Argo Rollouts are taken over
    Upgrade,
    /// The recordings of the peer, played in real time
    Timelines,
    /// Images that are pulled and containers that run, on a cluster of yours with Weir on it
    Containers,
    /// What many Rollouts cost; no check, figures
    Bench,
    /// What as many Deployments take; no check, figures
    Floor,
}

impl Suite {
    pub(crate) async fn run(self, context: &Context) -> Result<Report> {
        match self {
            Self::Conformance => conformance::run(context).await,
            Self::Story => story::run(context).await,
            Self::Requests => requests::run(context).await,
            Self::Failover => failover::run(context).await,
            Self::Privilege => privilege::run(context).await,
            Self::Upgrade => upgrade::run(context).await,
            Self::Timelines => timelines::run(context).await,
            Self::Containers => containers::run(context).await,
            Self::Bench => bench::run(context).await,
            Self::Floor => bench::floor(context).await,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conformance => "conformance",
            Self::Story => "story",
            Self::Requests => "requests",
            Self::Failover => "failover",
            Self::Privilege => "privilege",
            Self::Upgrade => "upgrade",
            Self::Timelines => "timelines",
            Self::Containers => "containers",
            Self::Bench => "bench",
            Self::Floor => "floor",
        })
    }
}
