//! What the demo ends with: what was sent, what failed, how long it took, and whether all of the
//! story happened.

use anstyle::AnsiColor;
use std::io::{self, Write};
use std::time::Duration;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub sent: u64,
    /// Without any answer.
    pub unanswered: u64,
    /// By version, in the order of the story.
    pub versions: Vec<Version>,
    pub lasted: Duration,
    /// From the bad commit until the analysis had it aborted.
    pub to_abort: Option<Duration>,
    /// From the bad commit until the route gave all traffic back to the stable version.
    pub to_rollback: Option<Duration>,
    pub claims: Vec<Claim>,
}

/// The requests that pods of one version answered.
#[derive(Debug)]
pub(super) struct Version {
    pub tag: String,
    pub requests: u64,
    pub failed: u64,
}

/// Something that the demo says happens.
#[derive(Debug)]
pub(super) struct Claim {
    pub what: String,
    pub holds: bool,
}

impl Summary {
    pub(super) fn claim(&mut self, what: impl Into<String>, holds: bool) {
        self.claims.push(Claim {
            what: what.into(),
            holds,
        });
    }

    /// Whether all of it happened.
    pub(super) fn holds(&self) -> bool {
        !self.claims.is_empty() && self.claims.iter().all(|claim| claim.holds)
    }

    pub(super) fn print(&self) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        writeln!(out, "\nSummary")?;
        writeln!(
            out,
            "  requests sent                          {:>8}  in {:.0} s",
            self.sent,
            self.lasted.as_secs_f64()
        )?;
        for version in &self.versions {
            writeln!(
                out,
                "  answered by {:<26} {:>8}  {} of them failed",
                version.tag, version.requests, version.failed
            )?;
        }
        writeln!(
            out,
            "  not answered at all                    {:>8}",
            self.unanswered
        )?;
        let timings = [
            ("bad commit to abort", self.to_abort),
            ("bad commit to all traffic back on v2", self.to_rollback),
        ];
        for (what, took) in timings {
            match took {
                Some(took) => writeln!(out, "  {what:<38} {:>6.1} s", took.as_secs_f64())?,
                None => writeln!(out, "  {what:<38} did not happen")?,
            }
        }
        writeln!(out)?;
        for claim in &self.claims {
            let (colour, mark) = if claim.holds {
                (AnsiColor::Green, "✔")
            } else {
                (AnsiColor::Red, "✖")
            };
            let style = colour.on_default();
            writeln!(out, "  {style}{mark}{style:#} {}", claim.what)?;
        }
        Ok(())
    }
}
