//! What a person can do, as commands.

use super::Teller;
use serde::Serialize;

/// A command and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remedy {
    pub command: Command,
    pub effect: String,
}

/// Whose verb it is. The namespace is added when the command is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Command {
    /// A verb of `weir` and `kubectl weir`.
    Weir(String),
    Kubectl(String),
}

impl Remedy {
    pub(super) fn weir(verb: String, effect: impl Into<String>) -> Self {
        Self {
            command: Command::Weir(verb),
            effect: effect.into(),
        }
    }

    pub(super) fn kubectl(verb: String, effect: impl Into<String>) -> Self {
        Self {
            command: Command::Kubectl(verb),
            effect: effect.into(),
        }
    }
}

impl Teller<'_> {
    /// Ends a pause.
    pub(super) fn promote(&self, effect: impl Into<String>) -> Remedy {
        Remedy::weir(format!("promote {}", self.name()), effect)
    }

    pub(super) fn promote_full(&self) -> Remedy {
        let left = if self.spec().blue_green().is_some() {
            "skips the pauses and analyses that are left"
        } else {
            "skips the steps, pauses and analyses that are left"
        };
        Remedy::weir(format!("promote {} --full", self.name()), left)
    }

    /// Gives up the update, if there is one that is not given up yet.
    pub(super) fn abort(&self) -> Option<Remedy> {
        if !self.is_updating() || self.status().abort {
            return None;
        }
        let effect = match self.stable_revision() {
            Some(revision) => format!("gives everything back to revision {revision}"),
            None => "gives the update up".to_owned(),
        };
        Some(Remedy::weir(format!("abort {}", self.name()), effect))
    }

    /// Goes back to the stable revision, or, when that is the one that is broken, to the one
    /// before.
    pub(super) fn undo(&self) -> Option<Remedy> {
        let revision = if self.is_updating() {
            self.stable_revision()?
        } else {
            let current = &self.status().current_pod_hash;
            let mut others = self.sets.iter().filter(|set| set.hash() != current);
            others.next()?.revision()
        };
        let verb = format!("undo {} --to-revision={revision}", self.name());
        let effect = format!("makes revision {revision} the wanted one");
        Some(Remedy::weir(verb, effect))
    }
}
