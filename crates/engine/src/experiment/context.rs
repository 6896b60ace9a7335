//! What one plan knows and has decided so far.

use super::ExperimentSnapshot;
use crate::config::Config;
use api::constants::{EXPERIMENT_NAME_ANNOTATION, EXPERIMENT_TEMPLATE_NAME_ANNOTATION};
use api::{AnalysisPhase, ExperimentSpec, ExperimentStatus, TemplateStatus, TemplateStatusCode};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use plan::{Action, EventKind, Next, ObjectKey, Plan, Release, RootPatch, Trace, WaitingOn};
use std::collections::BTreeMap;

/// The state of one call of [`super::plan`].
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) snapshot: &'a ExperimentSnapshot,
    pub(super) config: &'a Config,
    pub(super) now: Timestamp,
    pub(super) spec: &'a ExperimentSpec,
    pub(super) stored: ExperimentStatus,
    /// The status being made.
    pub(super) status: ExperimentStatus,
    /// Nothing is to run any more.
    pub(super) terminating: bool,
    /// Whether the counters or the size of any template changed.
    pub(super) progressed: bool,
    pub(super) actions: Vec<Action>,
    pub(super) releases: Vec<Release>,
    pub(super) next: Next,
    pub(super) trace: Trace,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        snapshot: &'a ExperimentSnapshot,
        config: &'a Config,
        now: Timestamp,
    ) -> Self {
        let spec = &snapshot.experiment.spec;
        let stored = snapshot.experiment.status.clone().unwrap_or_default();
        Self {
            terminating: is_terminating(spec, &stored),
            status: ExperimentStatus {
                template_statuses: Vec::new(),
                analysis_runs: Vec::new(),
                ..stored.clone()
            },
            progressed: false,
            actions: Vec::new(),
            releases: Vec::new(),
            next: Next::OnChange,
            trace: Trace::default(),
            snapshot,
            config,
            now,
            spec,
            stored,
        }
    }
}

impl Context<'_> {
    fn metadata(&self) -> &ObjectMeta {
        &self.snapshot.experiment.metadata
    }

    pub(super) fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }

    /// The owner reference of everything that the Experiment creates.
    pub(super) fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: api::constants::API_VERSION.to_owned(),
            kind: "Experiment".to_owned(),
            name: self.name().to_owned(),
            uid: self.uid().to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    pub(super) fn owns(&self, metadata: &ObjectMeta) -> bool {
        let mut owners = metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.controller == Some(true) && owner.uid == self.uid())
    }

    /// The annotations of the ReplicaSet and the Service of a template.
    pub(super) fn marks(&self, template: &str) -> BTreeMap<String, String> {
        BTreeMap::from([
            (
                EXPERIMENT_NAME_ANNOTATION.to_owned(),
                self.name().to_owned(),
            ),
            (
                EXPERIMENT_TEMPLATE_NAME_ANNOTATION.to_owned(),
                template.to_owned(),
            ),
        ])
    }

    /// Whether an object belongs to a template of this Experiment.
    pub(super) fn is_of_template(&self, metadata: &ObjectMeta, template: &str) -> bool {
        let marks = self.marks(template);
        let marked = metadata.annotations.as_ref().is_some_and(|annotations| {
            marks
                .iter()
                .all(|(key, value)| annotations.get(key) == Some(value))
        });
        marked && self.owns(metadata)
    }

    pub(super) fn stored_template(&self, name: &str) -> Option<&TemplateStatus> {
        let mut statuses = self.stored.template_statuses.iter();
        statuses.find(|status| status.name == name)
    }

    /// What the API server said when that object was last written, if it refused a moment ago; the
    /// next attempt is then due later.
    pub(super) fn refusal(&mut self, kind: &str, name: &str) -> Option<String> {
        let mut all = self.snapshot.refused.iter();
        let (_, refused) = all.find(|(object, _)| object.kind == kind && object.name == name)?;
        let (again, message) = (refused.until(), refused.message.clone());
        if again <= self.now {
            return None;
        }
        self.wake_at(again);
        Some(message)
    }

    /// When the Experiment has run for its duration; `None` before its pods were available, and for
    /// one that has none.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        let available = self.status.available_at.as_ref()?;
        let nanos = gocompat::duration::parse_go(self.spec.duration.as_deref()?).ok()?;
        let end = available.0.checked_add(SignedDuration::from_nanos(nanos));
        Some(end.unwrap_or(Timestamp::MAX))
    }

    pub(super) fn is_duration_over(&self) -> bool {
        self.ends_at().is_some_and(|end| end <= self.now)
    }

    /// Tells of the write of an object.
    pub(super) fn event_of(&mut self, object: ObjectKey, reason: &'static str, message: String) {
        self.releases.push(Release::Event {
            of: Some(object),
            kind: EventKind::Normal,
            reason,
            message,
        });
    }

    pub(super) fn warn(&mut self, reason: &'static str, message: impl Into<String>) {
        self.tell(EventKind::Warning, reason, message.into());
    }

    pub(super) fn tell(&mut self, kind: EventKind, reason: &'static str, message: String) {
        self.releases.push(Release::Event {
            of: None,
            kind,
            reason,
            message,
        });
    }

    /// Tells the Rollout that owns the Experiment, if one does.
    pub(super) fn warn_rollout(&mut self, reason: &'static str, message: String) {
        let owners = self.metadata().owner_references.as_deref();
        let owner = owners
            .unwrap_or_default()
            .iter()
            .find(|owner| owner.kind == "Rollout" && owner.controller == Some(true));
        if let Some(owner) = owner {
            self.releases.push(Release::EventOn {
                object: ObjectKey::namespaced(
                    &owner.api_version,
                    &owner.kind,
                    self.namespace(),
                    &owner.name,
                ),
                uid: owner.uid.clone(),
                kind: EventKind::Warning,
                reason,
                message,
            });
        }
    }

    /// Plan again at `at` at the latest.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.next = self.next.sooner(Next::At(at));
    }

    pub(super) fn wait(&mut self, on: WaitingOn) {
        self.trace.wait(on);
    }

    pub(super) fn decide(&mut self, what: &'static str, because: impl Into<String>) {
        self.trace.decide(what, because);
    }

    pub(super) fn done(self) -> Plan<ExperimentStatus> {
        Plan {
            actions: self.actions,
            status: self.status,
            root: RootPatch::default(),
            releases: self.releases,
            next: self.next,
            trace: self.trace,
        }
    }
}

pub(super) fn is_over(phase: Option<AnalysisPhase>) -> bool {
    phase.is_some_and(crate::rollout::is_completed)
}

/// A template that has ended stays as it is.
pub(super) fn has_ended(status: &TemplateStatus) -> bool {
    matches!(
        status.status,
        Some(
            TemplateStatusCode::Successful | TemplateStatusCode::Failed | TemplateStatusCode::Error
        )
    )
}

/// Whether everything is to go: asked for, ended, failed, or all that was required is known
/// (§5, terminating).
fn is_terminating(spec: &ExperimentSpec, status: &ExperimentStatus) -> bool {
    let failed_template = status.template_statuses.iter().any(|template| {
        matches!(
            template.status,
            Some(TemplateStatusCode::Failed | TemplateStatusCode::Error)
        )
    });
    let failed_run = status.analysis_runs.iter().any(|run| {
        matches!(
            run.phase,
            Some(AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive)
        )
    });
    spec.terminate == Some(true)
        || is_over(status.phase)
        || failed_template
        || failed_run
        || is_requirement_met(spec, status)
}

/// There are required analyses, and all have succeeded.
pub(super) fn is_requirement_met(spec: &ExperimentSpec, status: &ExperimentStatus) -> bool {
    let mut required = spec
        .analyses
        .iter()
        .filter(|analysis| analysis.required_for_completion == Some(true))
        .peekable();
    required.peek().is_some()
        && required.all(|analysis| {
            status.analysis_runs.iter().any(|run| {
                run.name == analysis.name && run.phase == Some(AnalysisPhase::Successful)
            })
        })
}
