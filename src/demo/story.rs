//! The story from its start to its summary: what it has to come to.

use super::look::SHOP;
use super::manifests::{BAD, FIRST, GOOD, NAMESPACE};
use super::repository::{Commit, Layout, Repository};
use super::summary::{Summary, Version};
use super::view::View;
use crate::run::stop_on_signal;
use crate::sandbox::{Controller, install_crds};
use anyhow::{Context, Result};
use apiserver::ApiServer;
use sandbox::Sandbox;
use sandbox::load::{Load, LoadReport};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// How the demo is run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Print timestamped lines instead of drawing a picture
    #[arg(long)]
    pub plain: bool,
    /// Leave the cluster up afterwards, until Ctrl-C, and say how to reach it
    #[arg(long)]
    pub keep: bool,
    /// Requests per second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub rate: u32,
}

/// How often Git is looked at, seconds.
const POLL_S: i64 = 1;
/// The weights that the healthy release has to go through.
const WEIGHTS: [i32; 4] = [20, 40, 60, 80];

/// Runs the demo; whether all of it happened.
///
/// # Errors
/// When it could not be run at all: no git, no loopback addresses.
pub async fn run(options: Options) -> Result<bool> {
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let mut story = Story::start(&options).await?;
    story.view.open()?;
    let told = tokio::select! {
        told = story.tell() => Some(told),
        () = stop.cancelled() => None,
    };
    story.view.close()?;
    let holds = if let Some(told) = told {
        let summary = story.summarise(told).await?;
        summary.print()?;
        if options.keep {
            story.say_how_to_reach()?;
            stop.cancelled().await;
        }
        summary.holds()
    } else {
        anstream::println!("\nStopped before the end; cleaning up.");
        false
    };
    story.end().await;
    Ok(holds)
}

/// What the chapters (`chapters.rs`) work with, and what was seen on the way (`pace.rs`).
pub(super) struct Story {
    pub(super) sandbox: Sandbox,
    controller: Controller,
    pub(super) repository: Repository,
    /// Repository, Git cache and kubeconfig; removed at the end.
    folder: TempDir,
    pub(super) layout: Layout,
    pub(super) view: View,
    pub(super) rate: u32,
    pub(super) load: Option<Load>,
    pub(super) started: Instant,
    pub(super) commit: Option<Commit>,
    /// What is being told.
    pub(super) chapter: String,
    /// The newest revision of the cluster that was looked at.
    pub(super) seen: u64,
    /// Every weight that the route has given to the canary, in order.
    pub(super) weights: Vec<i32>,
    /// By pod template hash: tags, kept after their ReplicaSets are gone.
    pub(super) tags: BTreeMap<String, String>,
}

/// How the chapters went.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The weights of the healthy release.
    pub(super) good_weights: Vec<i32>,
    /// Requests that were lost or failed until it was promoted.
    pub(super) good_lost: u64,
    pub(super) to_abort: Option<Duration>,
    pub(super) to_rollback: Option<Duration>,
    pub(super) abort_message: String,
    pub(super) reverted: bool,
    /// What did not happen, if the story broke off.
    pub(super) broken: Option<String>,
}

impl Story {
    async fn start(options: &Options) -> Result<Self> {
        let folder = tempfile::tempdir()
            .context("making a temporary folder (TMPDIR names another place)")?;
        let layout = Layout::of_this_machine().await;
        let repository =
            Repository::create(&folder.path().join("repository"), layout, FIRST).await?;
        let sandbox = Sandbox::start(sandbox::Options {
            kubeconfig: Some(folder.path().join("kubeconfig")),
            ..sandbox::Options::default()
        })
        .await
        .context("starting the embedded cluster")?;
        install_crds(sandbox.api())?;
        let controller = Controller::start(sandbox.api(), &folder.path().join("git"), POLL_S)?;
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let live = !options.plain && !dumb && std::io::stdout().is_terminal();
        let story = Self {
            view: if live { View::live() } else { View::plain() },
            seen: sandbox.api().revision(),
            sandbox,
            controller,
            repository,
            folder,
            layout,
            rate: options.rate,
            load: None,
            started: Instant::now(),
            commit: None,
            chapter: String::new(),
            weights: Vec::new(),
            tags: BTreeMap::new(),
        };
        Ok(story)
    }

    pub(super) fn api(&self) -> &ApiServer {
        self.sandbox.api()
    }

    pub(super) fn report(&self) -> LoadReport {
        self.load.as_ref().map(Load::so_far).unwrap_or_default()
    }

    async fn summarise(&mut self, told: Told) -> Result<Summary> {
        let lasted = self.started.elapsed();
        let report = match self.load.take() {
            Some(load) => load.stop().await,
            None => LoadReport::default(),
        };
        let mut summary = Summary {
            sent: report.sent,
            unanswered: report.failed.values().sum(),
            versions: self.versions(&report),
            lasted,
            to_abort: told.to_abort,
            to_rollback: told.to_rollback,
            claims: Vec::new(),
        };
        let through = told
            .good_weights
            .windows(WEIGHTS.len())
            .any(|seen| seen == WEIGHTS);
        summary.claim(
            format!("{GOOD} went through 20, 40, 60 and 80 percent and was promoted"),
            through,
        );
        let lost = told.good_lost;
        summary.claim(
            format!("no request of the healthy rollout failed ({lost} did)"),
            through && lost == 0,
        );
        summary.claim(
            format!("{BAD} was aborted by its analysis"),
            told.to_abort.is_some() && told.abort_message.contains("nalysis"),
        );
        summary.claim(
            "all traffic went back to the stable version by itself",
            told.to_rollback.is_some(),
        );
        summary.claim("after git revert, Git and the cluster agree", told.reverted);
        summary.claim(
            format!(
                "every request was answered ({} were not)",
                summary.unanswered
            ),
            report.sent > 0 && summary.unanswered == 0,
        );
        if let Some(broken) = told.broken {
            summary.claim(broken, false);
        }
        Ok(summary)
    }

    fn versions(&self, report: &LoadReport) -> Vec<Version> {
        let mut versions: Vec<Version> = report
            .arms
            .iter()
            .map(|(hash, arm)| Version {
                tag: self.tags.get(hash).cloned().unwrap_or_else(|| hash.clone()),
                requests: arm.requests,
                failed: arm.errors(),
            })
            .collect();
        versions.sort_by(|a, b| a.tag.cmp(&b.tag));
        versions
    }

    fn say_how_to_reach(&self) -> Result<()> {
        let kubeconfig = self.folder.path().join("kubeconfig");
        let mut out = anstream::stdout();
        writeln!(
            out,
            "\nThe cluster stays up until Ctrl-C. In another terminal:"
        )?;
        writeln!(out, "  export KUBECONFIG={}", kubeconfig.display())?;
        writeln!(
            out,
            "  kubectl get applications,rollouts,pods --all-namespaces"
        )?;
        writeln!(
            out,
            "  weir get rollout {SHOP} --namespace {NAMESPACE} --watch"
        )?;
        writeln!(
            out,
            "  curl --header 'Host: shop.example' http://{}/",
            self.sandbox.gateway()
        )?;
        writeln!(out, "Commit to the Git repository, and watch:")?;
        writeln!(out, "  {}", self.repository.url())?;
        Ok(())
    }

    /// Stops everything; the temporary folder goes with it.
    async fn end(self) {
        if let Some(load) = self.load {
            load.stop().await;
        }
        self.controller.stop().await;
        self.sandbox.stop().await;
    }
}
