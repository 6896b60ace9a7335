//! Plays a scenario on whatever Kubernetes API a client reaches. A controller has to be at work on
//! it; time is tokio's, so that on the embedded cluster it can be virtual.

use crate::record::{Recorder, resource};
use crate::recording::{Recording, Step};
use crate::scenario::{Action, Scenario};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Pause between an `until` that is met and the next action, as for a user who polls: changes that
/// are under way at that moment come to their end first.
const LOOK: Duration = Duration::from_millis(100);

/// How long [`Settings::until_quiet`] is waited for.
const QUIET_LIMIT: Duration = Duration::from_mins(1);

/// How a scenario is played.
#[derive(Clone, Debug)]
pub struct Settings {
    /// It is created, and must not exist.
    pub namespace: String,
    /// How long an `until` may take.
    pub patience: Duration,
    /// How long to go on recording after the last action.
    pub after: Duration,
    /// Go on recording until nothing has happened for [`Self::after`] (a minute at most): in real
    /// time, a busy machine is slower.
    pub until_quiet: bool,
}

impl Settings {
    /// In the namespace of the recordings, `tl-NAME`, which stands in some messages.
    pub fn of(scenario: &Scenario) -> Self {
        Self {
            namespace: format!("tl-{}", scenario.name),
            patience: Duration::from_mins(3),
            after: Duration::from_secs(2),
            until_quiet: false,
        }
    }

    /// The same, to be played in real time.
    pub fn in_real_time(scenario: &Scenario) -> Self {
        Self {
            until_quiet: true,
            ..Self::of(scenario)
        }
    }
}

/// Why a scenario could not be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    #[error("{what} failed")]
    Api {
        what: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("{0}")]
    Scenario(String),
}

fn failed(what: impl Into<String>) -> impl FnOnce(kube::Error) -> PlayError {
    let what = what.into();
    move |source| PlayError::Api {
        what,
        source: Box::new(source),
    }
}

/// See the module's documentation. An `until` that is never met is no error: the recording says so,
/// and ends there.
pub async fn play(
    client: &Client,
    scenario: &Scenario,
    settings: &Settings,
) -> Result<Recording, PlayError> {
    let mut stage = Stage::set(client, scenario, settings).await?;
    let mut steps = Vec::new();
    for action in &scenario.actions {
        let step = stage.act(action, settings.patience).await?;
        let is_over = step.met == Some(false);
        steps.push(step);
        if is_over {
            break;
        }
    }
    stage.look_on(settings).await;
    let (timeline, hashes) = stage.recorder.seen();
    Ok(Recording {
        name: scenario.name.clone(),
        about: scenario.about.clone(),
        hashes,
        steps,
        timeline,
    })
}

/// What a patch is of.
#[derive(Clone, Copy)]
enum Part {
    Object,
    /// The status subresource.
    Status,
}

/// A namespace with the manifests in it.
struct Stage {
    client: Client,
    namespace: String,
    recorder: Recorder,
    /// Kinds by name in lower case, as actions name them.
    kinds: Vec<(String, ApiResource)>,
}

impl Stage {
    async fn set(
        client: &Client,
        scenario: &Scenario,
        settings: &Settings,
    ) -> Result<Self, PlayError> {
        let namespace = settings.namespace.clone();
        let namespaces =
            Api::<DynamicObject>::all_with(client.clone(), &resource("", "v1", "Namespace"));
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let object = decoded(object)?;
        let created = namespaces.create(&PostParams::default(), &object).await;
        created.map_err(failed(format!("making namespace {namespace}")))?;
        let mut stage = Self {
            client: client.clone(),
            recorder: Recorder::start(client, &namespace),
            namespace,
            kinds: Vec::new(),
        };
        for manifest in &scenario.manifests {
            stage.create(manifest).await?;
        }
        Ok(stage)
    }

    async fn create(&mut self, manifest: &Value) -> Result<(), PlayError> {
        let text = |at: &str| {
            manifest
                .pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = resource(group, version, kind);
        let what = format!("making {kind} {}", text("/metadata/name"));
        let api = self.api(&resource);
        let create = api
            .create(&PostParams::default(), &decoded(manifest.clone())?)
            .await;
        create.map_err(failed(what))?;
        self.kinds.push((kind.to_lowercase(), resource));
        Ok(())
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    async fn act(&mut self, action: &Action, patience: Duration) -> Result<Step, PlayError> {
        let mut step = Step {
            t: self.recorder.now(),
            until: None,
            after: None,
            met: None,
            seen: Some(self.recorder.count()),
            action: None,
            fields: Map::new(),
        };
        match action {
            Action::Until { phase } => {
                step.until = Some(json!({"status.phase": phase}));
                step.met = Some(self.until(phase, patience).await);
                step.after = Some(self.recorder.now() - step.t);
                step.seen = Some(self.recorder.count());
                sleep(LOOK).await;
            }
            Action::Sleep { s } => {
                step.action = Some("sleep".to_owned());
                step.fields.insert("s".to_owned(), json!(s));
                sleep(Duration::from_secs_f64(s.max(0.0))).await;
            }
            Action::Patch { what, with } => {
                self.patch(what, with, Part::Object).await?;
                step.action = Some("patch".to_owned());
                step.fields.insert("what".to_owned(), json!(what));
            }
            Action::Status { what, with } => {
                self.patch(what, with, Part::Status).await?;
                step.action = Some("status".to_owned());
                step.fields.insert("what".to_owned(), json!(what));
            }
        }
        Ok(step)
    }

    async fn until(&mut self, phase: &str, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while !self.recorder.is_at(phase) {
            if timeout_at(end, self.recorder.changed()).await.is_err() {
                return self.recorder.is_at(phase);
            }
        }
        true
    }

    async fn look_on(&self, settings: &Settings) {
        let end = Instant::now() + QUIET_LIMIT;
        loop {
            let before = self.recorder.count();
            sleep(settings.after).await;
            let is_quiet = self.recorder.count() == before;
            if !settings.until_quiet || is_quiet || Instant::now() >= end {
                return;
            }
        }
    }

    async fn patch(&self, what: &str, with: &Value, part: Part) -> Result<(), PlayError> {
        let named = what.split_once('/');
        let found = named.and_then(|(kind, name)| {
            let kind = kind.to_lowercase();
            let (_, resource) = self.kinds.iter().find(|(own, _)| *own == kind)?;
            Some((resource, name))
        });
        let Some((resource, name)) = found else {
            let message = format!("{what:?} names none of the manifests, as kind/name");
            return Err(PlayError::Scenario(message));
        };
        let api = self.api(resource);
        let (params, patch) = (PatchParams::default(), Patch::Merge(with));
        let done = match part {
            Part::Object => api.patch(name, &params, &patch).await,
            Part::Status => api.patch_status(name, &params, &patch).await,
        };
        done.map(|_| ()).map_err(failed(format!("patching {what}")))
    }
}

fn decoded(object: Value) -> Result<DynamicObject, PlayError> {
    serde_json::from_value(object).map_err(|error| PlayError::Scenario(error.to_string()))
}
