use super::assess::{Assessment, Finding, assess, project_rules, spec_findings};
use super::options::SyncOptions;
use super::run::{Pass, Running};
use super::snapshot::{ApplicationSnapshot, Config, Rendered, Target, operation_request};
use super::status::stamp;
use super::{automated, delete, finish, status};
use crate::resource::child_map;
use api::constants::gitops::condition::{COMPARISON_ERROR, INVALID_SPEC_ERROR, SYNC_ERROR};
use api::constants::gitops::{REFRESH_ANNOTATION, SKIP_RECONCILE_ANNOTATION};
use api::{
    ApplicationCondition, ApplicationStatus, OperationPhase, OperationState, SyncOperation,
    SyncOperationResult,
};
use jiff::{SignedDuration, Timestamp};
use plan::{Next, Plan, Release, WaitingOn};
use serde_json::Value;

/// How often a look at Git that is due is checked on. Seconds.
const LOOKING_S: i64 = 1;

/// One pass over one Application.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) snapshot: &'a ApplicationSnapshot,
    pub(super) config: &'a Config,
    pub(super) now: Timestamp,
    pub(super) plan: Plan<ApplicationStatus>,
    pub(super) findings: Vec<Finding>,
}

/// Plans one Application: compares, starts and carries on operations, reports.
pub fn plan(
    snapshot: &ApplicationSnapshot,
    config: &Config,
    now: Timestamp,
) -> Plan<ApplicationStatus> {
    let app = &snapshot.app;
    let before = app.status.clone().unwrap_or_default();
    let mut cx = Context {
        snapshot,
        config,
        now,
        plan: Plan::idle(before.clone()),
        findings: Vec::new(),
    };
    if app.metadata.deletion_timestamp.is_some() {
        delete::plan(&mut cx);
        return cx.plan;
    }
    if cx.annotation(SKIP_RECONCILE_ANNOTATION) == Some("true") {
        cx.plan
            .trace
            .decide("skip", format!("{SKIP_RECONCILE_ANNOTATION} is set"));
        return cx.plan;
    }
    cx.findings = spec_findings(snapshot, config);
    let assessment = cx.observe_target();
    cx.operate(assessment.as_ref());
    if let (Some(assessment), Target::Rendered(rendered)) = (&assessment, &snapshot.target) {
        automated::consider(&mut cx, assessment, rendered);
    }
    status::summarise(&mut cx.plan.status, snapshot, now);
    cx.plan
        .status
        .controller_namespace
        .clone_from(&config.control_namespace);
    if !matches!(snapshot.target, Target::Pending) || cx.has_invalid_spec() {
        cx.plan.status.conditions = status::conditions(&before.conditions, &cx.findings, now);
        cx.tell_of_failed_look(&before.conditions);
    }
    cx.take_off_refresh();
    cx.plan
}

impl Context<'_> {
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.snapshot.app.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }

    fn has_invalid_spec(&self) -> bool {
        self.findings
            .iter()
            .any(|(kind, _)| *kind == INVALID_SPEC_ERROR)
    }

    /// Brings the status up to what Git and the cluster say.
    fn observe_target(&mut self) -> Option<Assessment> {
        let snapshot = self.snapshot;
        if self.has_invalid_spec() {
            let at = match &snapshot.target {
                Target::Pending => self
                    .plan
                    .status
                    .reconciled_at
                    .as_ref()
                    .map_or(self.now, |at| at.0),
                Target::Failed { at, .. } => *at,
                Target::Rendered(rendered) => rendered.at,
            };
            status::not_compared(&mut self.plan.status, snapshot, at);
            return None;
        }
        match &snapshot.target {
            Target::Pending => {
                self.wait_for("the repository is being fetched");
                None
            }
            Target::Failed { error, at } => {
                self.findings.push((
                    COMPARISON_ERROR,
                    format!("Failed to load target state: {error}"),
                ));
                status::not_compared(&mut self.plan.status, snapshot, *at);
                self.look_again(*at);
                None
            }
            Target::Rendered(rendered) => {
                let assessment = assess(snapshot, rendered, self.config);
                self.findings.extend(assessment.findings.iter().cloned());
                status::compared(&mut self.plan.status, snapshot, rendered, &assessment);
                self.look_again(rendered.at);
                Some(assessment)
            }
        }
    }

    /// A target state that can't be compared with: told once, not at each look that finds the same.
    fn tell_of_failed_look(&mut self, before: &[ApplicationCondition]) {
        let of_source = |conditions: &[ApplicationCondition]| -> Vec<String> {
            let errors = conditions
                .iter()
                .filter(|condition| condition.type_ == COMPARISON_ERROR);
            errors.map(|error| error.message.clone()).collect()
        };
        let now = of_source(&self.plan.status.conditions);
        if !now.is_empty() && now != of_source(before) {
            let reason = "source";
            self.plan.releases.push(Release::SyncFailed { reason });
        }
    }

    pub(super) fn wait_for(&mut self, why: &str) {
        let object = self.snapshot.app.metadata.name.clone().unwrap_or_default();
        self.plan.trace.wait(WaitingOn::Object {
            object,
            why: why.to_owned(),
        });
    }

    /// Once Git is to be looked at again. While that look goes on there is nothing to see before it
    /// ends, and its end is told: a time that is past would only be waited for in circles.
    fn look_again(&mut self, last: Timestamp) {
        let due = later(last, self.config.poll_s);
        self.wake_at(due.max(later(self.now, LOOKING_S)));
    }

    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.plan.next = self.plan.next.sooner(Next::At(at));
    }

    /// Starts, carries on or ends an operation.
    fn operate(&mut self, compared: Option<&Assessment>) {
        let state = self.plan.status.operation_state.clone();
        match state {
            Some(state) if state.phase == OperationPhase::Terminating => {
                finish::end(
                    self,
                    state,
                    OperationPhase::Failed,
                    "Operation terminated".to_owned(),
                );
            }
            Some(state) if state.phase == OperationPhase::Running => self.carry_on(state, compared),
            _ => {
                if let Some(operation) = self.snapshot.app.operation.clone() {
                    finish::begin(self, operation);
                }
            }
        }
    }

    fn carry_on(&mut self, mut state: OperationState, compared: Option<&Assessment>) {
        let Some(sync) = state.operation.sync.clone() else {
            let text = "Invalid operation request: there is no sync in it".to_owned();
            return finish::end(self, state, OperationPhase::Error, text);
        };
        if !sync.manifests.is_empty() || sync.sources.len() > 1 {
            let text = "Invalid operation request: manifests and several sources are not supported"
                .to_owned();
            return finish::end(self, state, OperationPhase::Error, text);
        }
        if let Some(due) = finish::retry_due(&state) {
            if self.now < due {
                self.wake_at(due);
                self.wait_for(&state.message.clone());
                return;
            }
            finish::try_again(&mut state);
        }
        if let Some(text) = self.denial(&sync) {
            return finish::fail(self, state, OperationPhase::Error, text);
        }
        match self.operation_target() {
            Target::Pending => {
                self.wait_for("the revision to sync is being fetched");
                self.plan.status.operation_state = Some(state);
            }
            Target::Failed { error, .. } => {
                let text = format!("Failed to load target state: {error}");
                finish::fail(self, state, OperationPhase::Error, text);
            }
            Target::Rendered(rendered) => self.run(state, &sync, &rendered, compared),
        }
    }

    /// Why an operation may not go on, whatever its source comes to: what is wrong with the Application, or a
    /// source of its own that the project denies. Nothing is fetched then ([`super::may_fetch`]), so this is
    /// not for later.
    fn denial(&self, sync: &SyncOperation) -> Option<String> {
        let problems: Vec<&str> = self
            .findings
            .iter()
            .filter(|(kind, _)| *kind == INVALID_SPEC_ERROR)
            .map(|(_, message)| message.as_str())
            .collect();
        if !problems.is_empty() {
            return Some(problems.join("; "));
        }
        let source = sync.source.as_ref()?;
        let project = project_rules(self.snapshot)?;
        project.permit_source(&source.repo_url).err()
    }

    /// The target state of the operation: that of the comparison, unless it asks for another.
    fn operation_target(&self) -> Target {
        let snapshot = self.snapshot;
        let Some(request) = operation_request(&snapshot.app) else {
            return snapshot.target.clone();
        };
        match &snapshot.target {
            Target::Rendered(rendered)
                if rendered.revision == request.revision && rendered.source == request.source =>
            {
                snapshot.target.clone()
            }
            _ => snapshot.operation_target.clone().unwrap_or(Target::Pending),
        }
    }

    fn run(
        &mut self,
        mut state: OperationState,
        sync: &SyncOperation,
        rendered: &Rendered,
        compared: Option<&Assessment>,
    ) {
        let is_compared =
            matches!(&self.snapshot.target, Target::Rendered(target) if **target == *rendered);
        let assessment = match compared {
            Some(assessment) if is_compared => assessment.clone(),
            _ => assess(self.snapshot, rendered, self.config),
        };
        let result = state
            .sync_result
            .get_or_insert_with(SyncOperationResult::default);
        if result.revision.is_empty() {
            result.revision.clone_from(&rendered.revision);
            result.source = Some(rendered.source.clone());
        }
        let prunes_unasked = finish::is_automated(&state.operation) && sync.prune.unwrap_or(false);
        if prunes_unasked && automated::wipes_out(&self.snapshot.app, &assessment) {
            let text = automated::wipe_out_text(&rendered.revision);
            return finish::end(self, state, OperationPhase::Failed, text);
        }
        let running = Running {
            snapshot: self.snapshot,
            assessment: &assessment,
            sync,
            options: SyncOptions(&sync.sync_options),
        };
        match running.pass(&mut state, &mut self.plan.trace) {
            Pass::Act(actions) => {
                self.plan.actions = actions;
                self.plan.status.operation_state = Some(state);
                // The results come back with the next snapshot.
                self.wake_at(self.now);
            }
            Pass::Wait(why) => {
                state.message = why;
                self.plan.status.operation_state = Some(state);
            }
            Pass::Done(OperationPhase::Succeeded, message) => {
                finish::succeed(self, state, message, rendered);
            }
            Pass::Done(phase, message) => finish::fail(self, state, phase, message),
        }
    }

    /// A request for a comparison is taken off when it was met.
    fn take_off_refresh(&mut self) {
        if self.annotation(REFRESH_ANNOTATION).is_some() && self.snapshot.refreshed {
            self.patch_root(
                &["metadata", "annotations"],
                REFRESH_ANNOTATION,
                Value::Null,
            );
        }
    }

    pub(super) fn patch_root(&mut self, path: &[&str], key: &str, value: Value) {
        let patch = self
            .plan
            .root
            .patch
            .get_or_insert_with(|| Value::Object(Default::default()));
        if let Some(map) = child_map(patch, path) {
            map.insert(key.to_owned(), value);
        }
    }

    pub(super) fn sync_error(&mut self, message: String) {
        self.findings.push((SYNC_ERROR, message));
    }
}

/// `seconds` after `at`, as far as there is such a time.
pub(super) fn later(at: Timestamp, seconds: i64) -> Timestamp {
    stamp(at)
        .0
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
