//! The plan of an Application from end to end.

use super::assess::{
    Assessment, Finding, assess, project_rules, refusal, spec_findings, stranger, sync_options,
    windows,
};
use super::options::SyncOptions;
use super::run::{Pass, Running, waiting_text};
use super::snapshot::{ApplicationSnapshot, Config, Rendered, Target, operation_request};
use super::status::stamp;
use super::unseen::{self, LIVE_STATE};
use super::{automated, delete, finish, namespace, orphans, replace, status};
use crate::resource::child_map;
use api::constants::gitops::condition::{COMPARISON_ERROR, INVALID_SPEC_ERROR, SYNC_ERROR};
use api::constants::gitops::{
    REFRESH_ANNOTATION, REFRESH_TIMESTAMP_ANNOTATION, SKIP_RECONCILE_ANNOTATION,
};
use api::{
    ApplicationCondition, ApplicationStatus, OperationPhase, OperationState, SyncOperation,
    SyncOperationResult, SyncStatusCode,
};
use jiff::{SignedDuration, Timestamp};
use plan::{Next, Plan, Release, WaitingOn};
use serde_json::Value;

/// What is said of an operation that waits for a sync window.
pub(super) const BLOCKED_BY_WINDOW: &str = "Sync operation blocked by sync window";
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
    if let Some(why) = stranger(app, snapshot.project.as_deref(), config) {
        cx.plan.trace.decide("leave-alone", why);
        return cx.plan;
    }
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
    // Of what was never compared it is not known what it consists of, and nothing is well.
    if cx.plan.status.sync.is_some() {
        let is_invalid = cx.has_invalid_spec();
        status::summarise(&mut cx.plan.status, snapshot, is_invalid, now);
    }
    cx.plan
        .status
        .controller_namespace
        .clone_from(&config.control_namespace);
    if !matches!(snapshot.target, Target::Pending) || cx.has_invalid_spec() {
        cx.plan.status.conditions = status::conditions(&before.conditions, &cx.findings, now);
        cx.tell_of_failed_look(&before.conditions);
    }
    cx.plan
        .releases
        .extend(status::changes(&before, &cx.plan.status));
    cx.take_off_refresh();
    // Whoever has asked for a refresh wants to see it.
    if cx.plan.root.patch.is_none() {
        status::keep_reconciled_at(&mut cx.plan.status, &before);
    }
    cx.plan
}

impl Context<'_> {
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.snapshot.app.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }

    pub(super) fn has_invalid_spec(&self) -> bool {
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
                self.findings
                    .extend(orphans::finding(snapshot, &assessment));
                self.tell_of_unseen(&assessment);
                status::compared(&mut self.plan.status, snapshot, rendered, &assessment);
                self.compare_namespace(&assessment);
                self.look_again(rendered.at);
                Some(assessment)
            }
        }
    }

    /// A namespace whose metadata is not as the Application wants it puts it out of sync (gitops.md
    /// item 34). The namespace is none of its objects, so that none of them shows it.
    fn compare_namespace(&mut self, assessment: &Assessment) {
        let options = SyncOptions(sync_options(&self.snapshot.app));
        let Some(why) = namespace::difference(self.snapshot, assessment, options) else {
            return;
        };
        self.plan.trace.decide("out-of-sync", why);
        if let Some(sync) = &mut self.plan.status.sync
            && sync.status == SyncStatusCode::Synced
        {
            sync.status = SyncStatusCode::OutOfSync;
        }
    }

    /// Kinds that can't be seen are conditions, and looked for: nothing tells when they can.
    fn tell_of_unseen(&mut self, assessment: &Assessment) {
        for unseen in &assessment.unseen {
            let finding = (COMPARISON_ERROR, unseen.text());
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
        if !assessment.unseen.is_empty() {
            self.wake_at(later(self.now, unseen::LOOK_S));
        }
    }

    /// A target state that can't be compared with: told once, not at each look that finds the same.
    fn tell_of_failed_look(&mut self, before: &[ApplicationCondition]) {
        let of_source = |conditions: &[ApplicationCondition]| -> Vec<String> {
            let errors = conditions.iter().filter(|condition| {
                condition.type_ == COMPARISON_ERROR && !condition.message.starts_with(LIVE_STATE)
            });
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
                let text = self.terminated(&state);
                finish::end(self, state, OperationPhase::Failed, text);
            }
            Some(state) if state.phase == OperationPhase::Running => self.carry_on(state, compared),
            _ => {
                if let Some(operation) = self.snapshot.app.operation.clone() {
                    finish::begin(self, operation);
                }
            }
        }
    }

    /// What is said of an operation that somebody has ended, and of what it leaves behind.
    fn terminated(&self, state: &OperationState) -> String {
        let mut text = "Operation terminated".to_owned();
        let missing = replace::missing(self.snapshot, state);
        if !missing.is_empty() {
            text.push_str(" while ");
            text.push_str(&waiting_text("the creation of", &missing));
        }
        text
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
        if let Some(text) = refusal(&self.snapshot.app, &state.operation) {
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
        if let Some(text) = self.denial() {
            return finish::fail(self, state, OperationPhase::Error, text);
        }
        let is_manual = !finish::is_automated(&state.operation);
        // What was deleted to be created anew is not left out for as long as a window lasts.
        let is_missing = !replace::missing(self.snapshot, &state).is_empty();
        if !is_missing && self.is_held_by_window(is_manual, Some(state.started_at.0)) {
            return self.hold(state, BLOCKED_BY_WINDOW.to_owned());
        }
        if state.message == BLOCKED_BY_WINDOW {
            state.message.clear();
        }
        match operation_target(self.snapshot) {
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

    /// Whether sync windows keep a sync from going on now, one that runs since `begun` if it does
    /// (gitops.md items 26, 27). It is looked again when one of them opens or closes.
    pub(super) fn is_held_by_window(&mut self, is_manual: bool, begun: Option<Timestamp>) -> bool {
        let windows = windows(self.snapshot);
        if windows.permit(is_manual, begun, self.now) {
            return false;
        }
        if let Some(change) = windows.next_change(self.now) {
            self.wake_at(change);
        }
        true
    }

    /// Why an operation may not go on, whatever its source comes to: what is wrong with the
    /// Application, or a source of its own that the project denies. Nothing is fetched then
    /// ([`super::may_fetch`]), so this is not for later.
    fn denial(&self) -> Option<String> {
        let problems: Vec<&str> = self
            .findings
            .iter()
            .filter(|(kind, _)| *kind == INVALID_SPEC_ERROR)
            .map(|(_, message)| message.as_str())
            .collect();
        if !problems.is_empty() {
            return Some(problems.join("; "));
        }
        let source = operation_request(&self.snapshot.app)?.source;
        let project = project_rules(self.snapshot)?;
        project.permit_source(&source.repo_url).err()
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
        let options = SyncOptions(&sync.sync_options);
        if !sync.dry_run.unwrap_or(false) {
            let metadata = namespace::wanted(&self.snapshot.app, options);
            result.managed_namespace_metadata = metadata.cloned();
        }
        let pass = self
            .unseen_kind(sync, &assessment)
            .or_else(|| self.wiping_out(&state, sync, &assessment));
        let running = Running {
            snapshot: self.snapshot,
            assessment: &assessment,
            sync,
            options,
            now: self.now,
        };
        match pass.unwrap_or_else(|| running.pass(&mut state)) {
            Pass::Act(actions) => {
                self.plan.actions = actions;
                self.plan.status.operation_state = Some(state);
                // The results come back with the next snapshot.
                self.wake_at(self.now);
            }
            Pass::Wait(why) => self.hold(state, why),
            Pass::Unconfirmed(why) => match self.successor(&state, compared) {
                Some(revision) => {
                    let text = format!("superseded by {revision} while {why}");
                    finish::end(self, state, OperationPhase::Failed, text);
                }
                None => self.hold(state, why),
            },
            Pass::WaitUntil(why, at) => {
                self.wake_at(at);
                self.hold(state, why);
            }
            Pass::Done(OperationPhase::Succeeded, message) => {
                finish::succeed(self, state, message, rendered);
            }
            Pass::End(message) => finish::end(self, state, OperationPhase::Failed, message),
            Pass::Done(phase, message) => finish::fail(self, state, phase, message),
        }
    }

    /// Waits for a kind that the operation needs and that can't be seen, for as long as that is
    /// news.
    fn unseen_kind(&mut self, sync: &SyncOperation, assessment: &Assessment) -> Option<Pass> {
        let (unseen, since) = unseen::needed(self.snapshot, assessment, sync, self.now)?;
        // The operation may be about another revision than the comparison.
        self.tell_of_unseen(assessment);
        let until = later(since, unseen::PATIENCE_S);
        Some(if self.now < until {
            let why = format!(
                "waiting until it can be seen what is there: {}",
                unseen.text()
            );
            Pass::WaitUntil(why, until)
        } else {
            Pass::Done(OperationPhase::Error, unseen.text())
        })
    }

    /// Nobody has asked for everything to be deleted.
    fn wiping_out(
        &self,
        state: &OperationState,
        sync: &SyncOperation,
        assessment: &Assessment,
    ) -> Option<Pass> {
        let prunes_unasked = finish::is_automated(&state.operation) && sync.prune.unwrap_or(false);
        if !prunes_unasked || !automated::wipes_out(&self.snapshot.app, assessment) {
            return None;
        }
        let revision = state.sync_result.as_ref().map(|result| &result.revision);
        let text = automated::wipe_out_text(revision.map_or("", String::as_str));
        Some(Pass::End(text))
    }

    /// The newer commit, or source, that a sync which was started by itself holds back for as long
    /// as nobody confirms what it prunes. A sync of that one is to start in its place, and asks for
    /// a confirmation of its own if it has to.
    fn successor(&self, state: &OperationState, compared: Option<&Assessment>) -> Option<String> {
        let Target::Rendered(newest) = &self.snapshot.target else {
            return None;
        };
        let begun = state.sync_result.as_ref()?;
        let is_newer =
            !newest.is_of(&begun.revision) || begun.source.as_ref() != Some(&newest.source);
        let is_by_itself = finish::is_automated(&state.operation)
            && automated::policy_of(&self.snapshot.app).is_some();
        let is_whole = compared.is_some_and(|compared| !compared.incomplete);
        let mut findings = self.findings.iter();
        let has_errors = findings.any(|(kind, _)| kind.ends_with("Error"));
        (is_newer && is_by_itself && is_whole && !has_errors).then(|| newest.revision.clone())
    }

    /// The operation goes on when something has happened.
    fn hold(&mut self, mut state: OperationState, why: String) {
        self.wait_for(&why);
        state.message = why;
        self.plan.status.operation_state = Some(state);
    }

    /// A request for a comparison is taken off when it was met, or can't be: there is nothing to
    /// fetch. The time that it was made at goes with it, or it would be taken for that of the next
    /// one.
    fn take_off_refresh(&mut self) {
        let is_in_vain = self.has_invalid_spec() && matches!(self.snapshot.target, Target::Pending);
        let is_met = self.snapshot.refreshed || is_in_vain;
        if self.annotation(REFRESH_ANNOTATION).is_some() && is_met {
            for key in [REFRESH_ANNOTATION, REFRESH_TIMESTAMP_ANNOTATION] {
                if self.annotation(key).is_some() {
                    self.patch_root(&["metadata", "annotations"], key, Value::Null);
                }
            }
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

/// The target state of the operation: that of the comparison, unless it asks for another.
pub(super) fn operation_target(snapshot: &ApplicationSnapshot) -> Target {
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

/// `seconds` after `at`, as far as there is such a time.
pub(super) fn later(at: Timestamp, seconds: i64) -> Timestamp {
    stamp(at)
        .0
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
