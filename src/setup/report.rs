//! What was found, each thing that is wrong with its remedy.

use std::fmt::{self, Display};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Good(String),
    /// It works, but somebody should know.
    Doubt {
        what: String,
        remedy: String,
    },
    Bad {
        what: String,
        remedy: String,
    },
}

impl Finding {
    pub fn good(what: impl Into<String>) -> Self {
        Self::Good(what.into())
    }

    pub fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Bad {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub fn doubt(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Doubt {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(what) => write!(f, "ok    {what}"),
            Self::Doubt { what, remedy } => write!(f, "note  {what}\n      -> {remedy}"),
            Self::Bad { what, remedy } => write!(f, "LACKS {what}\n      -> {remedy}"),
        }
    }
}

/// All findings, in the order in which they are best seen to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub findings: Vec<Finding>,
}

impl Report {
    pub fn is_good(&self) -> bool {
        let bad = |finding: &Finding| matches!(finding, Finding::Bad { .. });
        !self.findings.iter().any(bad)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings
            .iter()
            .try_for_each(|finding| writeln!(f, "{finding}"))
    }
}
