//! What is known of an Application when it is planned: the object itself, its source, its live
//! objects, and what became of the last writes.

use super::Inbox;
use super::automated::last_attempted;
use crate::manifest::{Document, Scopes};
use crate::paths::GeneratePaths;
use crate::{LiveTree, ResourceId};
use api::constants::gitops::{CONTROL_NAMESPACE, DEFAULT_REVISION};
use api::{AppProject, Application, ApplicationSource, OperationPhase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is set once for all Applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Namespace in which Applications may use every project.
    pub control_namespace: String,
    /// Globs, or regular expressions between slashes, of the other namespaces in which Applications
    /// are looked after, if their projects admit them as well. `None`: in all that their projects
    /// admit them from.
    pub application_namespaces: Option<Vec<String>>,
    /// How often Git is looked at without being asked to. Seconds.
    pub poll_s: i64,
    /// First wait before drift is healed again; it triples with every attempt. Seconds.
    pub self_heal_first_s: i64,
    /// The longest such wait. Seconds.
    pub self_heal_max_s: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            control_namespace: CONTROL_NAMESPACE.to_owned(),
            application_namespaces: None,
            poll_s: 120,
            self_heal_first_s: 2,
            self_heal_max_s: 300,
        }
    }
}

/// A source at a revision, as the shell is to fetch and render it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceRequest {
    pub source: ApplicationSource,
    /// A branch, a tag, a commit, `HEAD`.
    pub revision: String,
    /// What the Application names as the files that it is made of: a commit that touches none of
    /// them need not be rendered.
    pub generate_paths: Option<GeneratePaths>,
    /// The commit that was attempted last, as the Application has it. Where nothing is known of
    /// earlier commits any more, as after a restart, it is this one that has to be told from a new
    /// one. `None` if there is none, or nothing depends on it.
    pub attempted: Option<String>,
}

/// Who made a revision, when, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub author: String,
    /// When it was committed.
    pub date: Timestamp,
    /// The first line of its message.
    pub subject: String,
}

/// What a source came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rendered {
    /// The source that was rendered, as it was asked for.
    pub source: ApplicationSource,
    /// The full commit.
    pub revision: String,
    /// Other commits that come to the same, since what lies between touches none of
    /// [`SourceRequest::generate_paths`]: the one that was rendered, or attempted before that, and
    /// the newest of those that were looked at since.
    pub same_as: Vec<String>,
    pub commit: Option<Commit>,
    /// `Directory`, `Kustomize`, `Helm` or `Plugin`.
    pub source_type: String,
    pub documents: Vec<Document>,
    /// Files or documents that could not be read, each named. The state is incomplete with any.
    pub errors: Vec<String>,
    /// What the renderer warned of.
    pub warnings: Vec<String>,
    /// When Git was last asked whether this is still the revision.
    pub at: Timestamp,
}

/// How many commits are remembered that come to the same.
const SAME_MAX: usize = 64;

impl Rendered {
    /// Whether a commit comes to these manifests, as far as is known.
    pub fn is_of(&self, revision: &str) -> bool {
        self.revision == revision || self.same_as.iter().any(|same| same == revision)
    }

    /// The same manifests at another commit, which differs in none of their files; as of `at`.
    #[must_use]
    pub fn carried_to(&self, revision: &str, commit: Commit, at: Timestamp) -> Self {
        let mut same_as = self.same_as.clone();
        same_as.retain(|same| same != revision);
        same_as.push(self.revision.clone());
        if same_as.len() > SAME_MAX {
            // The first is the one that was rendered or attempted: most likely it was synced.
            same_as.remove(1);
        }
        Self {
            revision: revision.to_owned(),
            same_as,
            commit: Some(commit),
            at,
            ..self.clone()
        }
    }
}

/// The target state as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Being fetched or rendered for the first time.
    Pending,
    /// It could not be had; a plain sentence without credentials.
    Failed {
        error: String,
        at: Timestamp,
    },
    Rendered(Arc<Rendered>),
}

/// What a server-side dry run of the operation's objects said.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum DryRun {
    /// The shell does none.
    #[default]
    Off,
    /// Asked for and not answered yet.
    Pending,
    /// An entry for each refusal, with the object and the reason: there may be two of one object.
    Done(Vec<(ResourceId, String)>),
}

/// Everything that may be looked at to plan one Application.
#[derive(Clone, Debug)]
pub struct ApplicationSnapshot {
    pub app: Arc<Application>,
    /// The project by `spec.project`; `None` if it does not exist.
    pub project: Option<Arc<AppProject>>,
    /// For [`comparison_request`].
    pub target: Target,
    /// For [`operation_request`]; `None` where that is `None`.
    pub operation_target: Option<Target>,
    /// `target` was fetched after the refresh annotation was first seen.
    pub refreshed: bool,
    pub live: LiveTree,
    pub scopes: Scopes,
    pub dry_run: DryRun,
    pub inbox: Inbox,
}

/// The source that the Application is compared with; `None` if it names none.
pub fn comparison_request(app: &Application) -> Option<SourceRequest> {
    let source = match app.spec.sources.as_slice() {
        [only] => only.clone(),
        [] => app.spec.source.clone()?,
        _ => return None,
    };
    let revision = revision_of(&source).to_owned();
    Some(request(app, source, revision))
}

/// The source of the operation that runs or is asked for, where it says something of its own: a
/// revision (an automated one pins the commit it was started for) or a source (a rollback). One
/// that runs keeps what it has begun with, though the Application names another source by now: half
/// of the one and half of the other is nobody's state.
pub fn operation_request(app: &Application) -> Option<SourceRequest> {
    let state = app
        .status
        .as_ref()
        .and_then(|status| status.operation_state.as_ref());
    let running = state.filter(|state| {
        matches!(
            state.phase,
            OperationPhase::Running | OperationPhase::Terminating
        )
    });
    let operation = running
        .map(|state| &state.operation)
        .or(app.operation.as_ref())?;
    let sync = operation.sync.as_ref()?;
    // A retry of the newest commit lets go of the one that failed, from the moment it is waited
    // for.
    let takes_newest =
        operation.retry.refresh == Some(true) && running.is_some_and(|state| state.retry_count > 0);
    let begun = running
        .filter(|state| !takes_newest || state.finished_at.is_none())
        .and_then(|state| state.sync_result.as_ref())
        .filter(|result| !result.revision.is_empty());
    let pinned = begun.map(|result| result.revision.clone());
    let asked = sync
        .revision
        .clone()
        .filter(|revision| !revision.is_empty() && !takes_newest);
    let compared = comparison_request(app).map(|request| request.source);
    let own_source = sync
        .source
        .clone()
        .or_else(|| begun.and_then(|result| result.source.clone()))
        .filter(|source| Some(source) != compared.as_ref());
    if pinned.is_none() && asked.is_none() && own_source.is_none() {
        return None;
    }
    let source = own_source.or(compared)?;
    let revision = pinned
        .or(asked)
        .unwrap_or_else(|| revision_of(&source).to_owned());
    Some(request(app, source, revision))
}

fn request(app: &Application, source: ApplicationSource, revision: String) -> SourceRequest {
    let generate_paths = GeneratePaths::of(app, &source);
    // Without paths every commit is another one.
    let attempted = generate_paths
        .as_ref()
        .and_then(|_| last_attempted(app, &source))
        .map(str::to_owned);
    SourceRequest {
        source,
        revision,
        generate_paths,
        attempted,
    }
}

fn revision_of(source: &ApplicationSource) -> &str {
    source
        .target_revision
        .as_deref()
        .filter(|revision| !revision.is_empty())
        .unwrap_or(DEFAULT_REVISION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(revision: &str) -> Rendered {
        Rendered {
            source: ApplicationSource::default(),
            revision: revision.to_owned(),
            same_as: Vec::new(),
            commit: None,
            source_type: "Directory".to_owned(),
            documents: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn commit() -> Commit {
        Commit {
            author: "Ann".to_owned(),
            date: Timestamp::UNIX_EPOCH,
            subject: "Something else".to_owned(),
        }
    }

    #[test]
    fn manifests_are_of_all_commits_that_they_were_carried_over() {
        let now = Timestamp::from_second(60).unwrap();
        let first = rendered("a");
        assert!(first.is_of("a") && !first.is_of("b"));
        let second = first.carried_to("b", commit(), now);
        assert_eq!((second.revision.as_str(), second.at), ("b", now));
        assert_eq!(second.commit, Some(commit()));
        assert!(second.is_of("a") && second.is_of("b"));
        let back = second.carried_to("a", commit(), now);
        assert_eq!(back.revision, "a");
        assert_eq!(back.same_as, ["b"]);
    }

    #[test]
    fn of_many_commits_the_first_and_the_newest_are_remembered() {
        let mut carried = rendered("0");
        for number in 1..=200 {
            carried = carried.carried_to(&number.to_string(), commit(), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(carried.same_as.len(), SAME_MAX);
        assert!(carried.is_of("0") && !carried.is_of("1"));
        assert!(carried.is_of("199") && carried.is_of("200"));
    }

    #[test]
    fn the_paths_of_the_application_go_along_with_what_is_asked_for() {
        let app: Application = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop",
                "annotations": {"argocd.argoproj.io/manifest-generate-paths": "."}},
            "spec": {"project": "default", "destination": {},
                "source": {"repoURL": "https://example.com/x", "path": "apps/shop"}},
            "operation": {"sync": {"revision": "0a1b"}},
        }))
        .unwrap();
        let requests = [comparison_request(&app), operation_request(&app)];
        for request in requests {
            let paths = request.unwrap().generate_paths.unwrap();
            assert!(paths.are_touched(["apps/shop/a.yaml"]));
            assert!(!paths.are_touched(["apps/other/a.yaml"]));
        }
    }
}
