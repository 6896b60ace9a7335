//! The list of suites: a file each, and a row in [`Suite`].

mod conformance;

use anyhow::Result;
use clap::ValueEnum;

use crate::context::Context;
use crate::report::Report;

/// What can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// The request table of the embedded API server, replayed
    Conformance,
}

impl Suite {
    pub(crate) async fn run(self, context: &Context) -> Result<Report> {
        match self {
            Self::Conformance => conformance::run(context).await,
        }
    }
}
