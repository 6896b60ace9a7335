//! The chapters of the story: what is done, and what is waited for.

use super::look::{self, SHOP, text};
use super::manifests::{self, BAD, CONTROL_NAMESPACE, FIRST, GOOD};
use super::repository::{Commit, Layout};
use super::story::{Story, Told};
use anyhow::{Context, Result, anyhow};
use apiserver::{ApiServer, Gvk, Patch, PatchOptions};
use sandbox::load::{Load, Target};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

impl Story {
    /// All chapters; what broke it off is part of the answer.
    pub(super) async fn tell(&mut self) -> Told {
        let mut told = Told::default();
        if let Err(error) = self.chapters(&mut told).await {
            told.broken = Some(format!("{error:#}"));
        }
        told
    }

    async fn chapters(&mut self, told: &mut Told) -> Result<()> {
        self.deploy().await?;
        self.release_good(told).await?;
        self.release_bad(told).await?;
        self.revert(told).await
    }

    async fn deploy(&mut self) -> Result<()> {
        self.chapter("1/4  What Git says is what runs")?;
        if self.layout == Layout::Plain {
            self.note(
                "Neither kustomize nor kubectl is here: the repository is a plain directory",
            )?;
        }
        self.note(format!(
            "Git repository at {}, source {}",
            self.repository.url(),
            self.layout.path()
        ))?;
        let namespace = json!({"metadata": {"name": CONTROL_NAMESPACE}});
        create(self.api(), &Gvk::new("", "v1", "Namespace"), namespace)?;
        for manifest in manifests::bootstrap(self.layout, &self.repository.url()) {
            apply(self.api(), &manifest)?;
        }
        self.note(format!(
            "Application {CONTROL_NAMESPACE}/{SHOP} created: Git is the truth from now on"
        ))?;
        self.until(&format!("{FIRST} healthy"), |story| story.is_running(FIRST))
            .await?;
        self.note(format!(
            "{FIRST} runs; {} requests a second from here",
            self.rate
        ))?;
        let mut target = Target::new(self.sandbox.gateway(), self.rate);
        target.host = Some("shop.example".to_owned());
        self.load = Some(Load::start(target));
        self.started = Instant::now();
        self.linger(Duration::from_secs(2)).await
    }

    async fn release_good(&mut self, told: &mut Told) -> Result<()> {
        self.chapter("2/4  A good commit: a growing share of the requests, measured, promoted")?;
        self.weights.clear();
        let commit = self.repository.release(GOOD).await?;
        self.committed(commit)?;
        self.until(&format!("{GOOD} promoted"), |story| story.is_running(GOOD))
            .await?;
        self.linger(Duration::from_secs(2)).await?;
        told.good_weights.clone_from(&self.weights);
        told.good_lost = self.report().lost();
        self.note(format!(
            "{GOOD} is promoted; {} requests have failed",
            told.good_lost
        ))
    }

    async fn release_bad(&mut self, told: &mut Told) -> Result<()> {
        self.chapter("3/4  A bad commit: its canary answers more and more requests with 500")?;
        let commit = self.repository.release(BAD).await?;
        let committed = Instant::now();
        self.committed(commit)?;
        self.until(&format!("{BAD} aborted by its analysis"), |story| {
            look::rollout(story.api()).is_some_and(|live| {
                live["status"]["abort"] == true
                    && story.tag(text(&live, "/status/currentPodHash")) == BAD
            })
        })
        .await?;
        told.to_abort = Some(committed.elapsed());
        self.until("all traffic back on the stable version", |story| {
            look::route(story.api()).and_then(|route| look::canary_weight(&route)) == Some(0)
        })
        .await?;
        told.to_rollback = Some(committed.elapsed());
        self.until("the Rollout to say why", |story| {
            look::rollout(story.api())
                .is_some_and(|live| text(&live, "/status/phase") == "Degraded")
        })
        .await?;
        let live = look::rollout(self.api())
            .with_context(|| format!("the Rollout {SHOP} is gone: somebody has deleted it"))?;
        text(&live, "/status/message").clone_into(&mut told.abort_message);
        self.note("rolled back by itself: all requests go to the stable version")?;
        self.linger(Duration::from_secs(4)).await
    }

    async fn revert(&mut self, told: &mut Told) -> Result<()> {
        self.chapter("4/4  git revert: Git, too, says again what runs")?;
        let commit = self.repository.revert().await?;
        self.committed(commit)?;
        self.until(
            &format!("Git and the cluster to agree on {GOOD}"),
            |story| {
                let app = look::application(story.api());
                let healthy = app.is_some_and(|app| {
                    text(&app, "/status/sync/status") == "Synced"
                        && text(&app, "/status/health/status") == "Healthy"
                        && story
                            .commit
                            .as_ref()
                            .is_some_and(|commit| text(&app, "/status/sync/revision") == commit.sha)
                });
                healthy && story.is_running(GOOD)
            },
        )
        .await?;
        told.reverted = true;
        self.note(format!(
            "Git says {GOOD} again, and {GOOD} is what runs: healthy"
        ))?;
        self.linger(Duration::from_secs(1)).await
    }

    fn chapter(&mut self, text: &str) -> Result<()> {
        text.clone_into(&mut self.chapter);
        self.note(text)
    }

    fn committed(&mut self, commit: Commit) -> Result<()> {
        self.note(format!("git commit {}  {}", commit.short(), commit.subject))?;
        self.commit = Some(commit);
        Ok(())
    }
}

fn create(api: &ApiServer, kind: &Gvk, object: Value) -> Result<()> {
    let name = text(&object, "/metadata/name").to_owned();
    api.create(kind, None, object)
        .map_err(|status| anyhow!("creating {} {name}: {}", kind.kind, status.message))?;
    Ok(())
}

fn apply(api: &ApiServer, manifest: &str) -> Result<()> {
    for object in gocompat::yaml::from_str(manifest).context("reading a manifest of the demo")? {
        let kind = Gvk::new("argoproj.io", "v1alpha1", text(&object, "/kind"));
        let (namespace, name) = (
            text(&object, "/metadata/namespace").to_owned(),
            text(&object, "/metadata/name").to_owned(),
        );
        let options = PatchOptions {
            field_manager: "weir-demo".to_owned(),
            force: true,
            dry_run: false,
        };
        api.patch(
            &kind,
            Some(&namespace),
            &name,
            None,
            &Patch::Apply(object),
            &options,
        )
        .map_err(|status| {
            anyhow!(
                "applying {} {namespace}/{name}: {}",
                kind.kind,
                status.message
            )
        })?;
    }
    Ok(())
}
