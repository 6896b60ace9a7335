//! What a person can do, as commands.

use super::Teller;
use api::{AnalysisPhase, PauseReason};
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

    /// Ends one pause; or all of them, if there are more.
    pub(super) fn promote_one(&self, effect: String) -> Remedy {
        match self.status().pause_conditions.as_slice() {
            [_, _, ..] => self.promote(self.effect_of_promote()),
            _ => self.promote(effect),
        }
    }

    /// What `promote` does now: it ends all pauses, and what follows depends on which these are
    /// (rollouts.md §8.1).
    pub(super) fn effect_of_promote(&self) -> String {
        let status = self.status();
        let goes_on = || format!("goes on with {}", self.next_step());
        let of_step = status.canary.current_step_analysis_run_status.as_ref();
        let is_of_step = of_step.and_then(|run| run.status) == Some(AnalysisPhase::Inconclusive);
        if is_of_step && !status.pause_conditions.is_empty() {
            return format!("takes it for good and {}", goes_on());
        }
        let of = |reason: PauseReason| match reason {
            PauseReason::CanaryPauseStep => goes_on(),
            PauseReason::BlueGreenPause => {
                let strategy = self.spec().blue_green();
                let active = strategy.map(|strategy| strategy.active_service.as_str());
                format!("switches Service {}", active.unwrap_or_default())
            }
            PauseReason::InconclusiveAnalysisRun => "runs the analysis again".to_owned(),
            PauseReason::InconclusiveExperiment => "runs the experiment again".to_owned(),
        };
        let pauses = status.pause_conditions.iter();
        let effects: Vec<String> = pauses.map(|pause| of(pause.reason)).collect();
        if effects.is_empty() {
            goes_on()
        } else {
            effects.join(", and ")
        }
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
        let effect = format!("makes revision {revision} the wanted one");
        Some(self.undo_to(revision, effect))
    }

    pub(super) fn undo_to(&self, revision: i64, effect: impl Into<String>) -> Remedy {
        let verb = format!("undo {} --to-revision={revision}", self.name());
        Remedy::weir(verb, effect)
    }

    /// Opens what has the pod template: the Rollout, or the workload that it refers to.
    pub(super) fn edit_template(&self, effect: impl Into<String>) -> Remedy {
        let workload = self.spec().workload_ref.as_ref();
        let named = workload.and_then(|workload| {
            let (kind, name) = (workload.kind.as_deref()?, workload.name.as_deref()?);
            Some(format!("edit {} {name}", kind.to_lowercase()))
        });
        let verb = named.unwrap_or_else(|| format!("edit rollout {}", self.name()));
        Remedy::kubectl(verb, effect)
    }

    /// After the API server has refused pods, or the ReplicaSet for them.
    pub(super) fn see_to_refusal(&self, message: &str) -> Remedy {
        if message.contains("exceeded quota") {
            let effect = "shows what is allowed, and what is used";
            return Remedy::kubectl("describe resourcequota".to_owned(), effect);
        }
        self.edit_template("corrects what was refused here; correct its manifest too")
    }
}
