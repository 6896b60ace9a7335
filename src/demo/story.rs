//! The story: what is done, what is waited for, and what it has to come to.

use super::frame::Note;
use super::look::{self, SHOP, text};
use super::manifests::{self, BAD, CONTROL_NAMESPACE, FIRST, GOOD, NAMESPACE};
use super::repository::{Commit, Layout, Repository};
use super::summary::{Summary, Version};
use super::view::View;
use crate::clock::Clock;
use crate::run::stop_on_signal;
use crate::sandbox::{Controller, install_crds};
use anyhow::{Context, Result, anyhow, bail};
use apiserver::{ApiServer, Gvk, Patch, PatchOptions};
use sandbox::Sandbox;
use sandbox::load::{Load, LoadReport, Target};
use serde_json::{Value, json};
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

/// How often the picture is drawn and the story looked at.
const TICK: Duration = Duration::from_millis(150);
/// No chapter takes longer than this.
const CHAPTER_MAX: Duration = Duration::from_mins(2);
/// How often Git is looked at, seconds.
const POLL_S: i64 = 1;
/// The weights that the healthy release has to go through.
const WEIGHTS: [i32; 4] = [20, 40, 60, 80];
/// Events of the Rollout that are worth a line.
const TOLD: [&str; 5] = [
    "RolloutUpdated",
    "RolloutStepCompleted",
    "TrafficWeightUpdated",
    "RolloutCompleted",
    "RolloutAborted",
];

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

struct Story {
    sandbox: Sandbox,
    controller: Controller,
    repository: Repository,
    /// Repository, Git cache and kubeconfig; removed at the end.
    folder: TempDir,
    layout: Layout,
    view: View,
    rate: u32,
    load: Option<Load>,
    started: Instant,
    commit: Option<Commit>,
    /// What is being told.
    chapter: String,
    /// The newest revision of the cluster that was looked at.
    seen: u64,
    /// Every weight that the route has given to the canary, in order.
    weights: Vec<i32>,
    /// By pod template hash: tags, kept after their ReplicaSets are gone.
    tags: BTreeMap<String, String>,
}

/// How the chapters went.
#[derive(Debug, Default)]
struct Told {
    /// The weights of the healthy release.
    good_weights: Vec<i32>,
    /// Requests that were lost or failed until it was promoted.
    good_lost: u64,
    to_abort: Option<Duration>,
    to_rollback: Option<Duration>,
    abort_message: String,
    reverted: bool,
    /// What did not happen, if the story broke off.
    broken: Option<String>,
}

impl Story {
    async fn start(options: &Options) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a temporary folder")?;
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

    fn api(&self) -> &ApiServer {
        self.sandbox.api()
    }

    fn note(&mut self, text: impl Into<String>) -> Result<()> {
        self.view.note(note(text.into()))?;
        Ok(())
    }

    fn report(&self) -> LoadReport {
        self.load.as_ref().map(Load::so_far).unwrap_or_default()
    }

    /// All chapters; what broke it off is part of the answer.
    async fn tell(&mut self) -> Told {
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
        let live = look::rollout(self.api()).context("the Rollout is gone")?;
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

    /// Whether a tag is stable, whole and healthy.
    fn is_running(&self, tag: &str) -> bool {
        look::rollout(self.api()).is_some_and(|live| {
            let (stable, current) = (
                text(&live, "/status/stableRS"),
                text(&live, "/status/currentPodHash"),
            );
            !stable.is_empty()
                && stable == current
                && text(&live, "/status/phase") == "Healthy"
                && self.tag(stable) == tag
        })
    }

    fn tag(&self, hash: &str) -> String {
        self.tags
            .get(hash)
            .cloned()
            .unwrap_or_else(|| look::tag_of(self.api(), hash))
    }

    async fn linger(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tick().await?;
        }
        Ok(())
    }

    async fn until(&mut self, what: &str, happened: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + CHAPTER_MAX;
        while !happened(self) {
            if Instant::now() > deadline {
                bail!("waited {} s in vain for: {what}", CHAPTER_MAX.as_secs());
            }
            self.tick().await?;
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        tokio::time::sleep(TICK).await;
        self.follow()?;
        let report = self.report();
        for hash in report.arms.keys() {
            let tag = self.tag(hash);
            if !tag.is_empty() {
                self.tags.insert(hash.clone(), tag);
            }
        }
        let mut frame = look::frame(self.api(), &report, f64::from(self.rate));
        frame.chapter.clone_from(&self.chapter);
        frame.commit = self
            .commit
            .as_ref()
            .map(|commit| (commit.short().to_owned(), commit.subject.clone()));
        self.view.show(&frame, note)?;
        Ok(())
    }

    /// Goes through every change since the last look: no weight and no event is missed.
    fn follow(&mut self) -> Result<()> {
        let changes = self
            .api()
            .changes_since(self.seen)
            .map_err(|_| anyhow!("the cluster was too fast to follow"))?;
        for change in changes {
            self.seen = change.revision;
            match change.gvk.kind.as_str() {
                "HTTPRoute" => {
                    let weight = look::canary_weight(&change.object);
                    if let Some(weight) =
                        weight.filter(|weight| self.weights.last() != Some(weight))
                    {
                        self.weights.push(weight);
                    }
                }
                "Event" if is_told(&change.object) => {
                    self.note(format!("  {}", text(&change.object, "/message")))?;
                }
                _ => {}
            }
        }
        Ok(())
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

fn note(text: String) -> Note {
    Note {
        at: Clock::Wall.now(),
        text,
    }
}

fn is_told(event: &Value) -> bool {
    let message = text(event, "/message").trim_end();
    event["involvedObject"]["kind"] == "Rollout"
        && TOLD.contains(&text(event, "/reason"))
        // Not one that says nothing.
        && message != "Traffic weight updated"
}

fn create(api: &ApiServer, kind: &Gvk, object: Value) -> Result<()> {
    api.create(kind, None, object)
        .map_err(|status| anyhow!("{}", status.message))?;
    Ok(())
}

fn apply(api: &ApiServer, manifest: &str) -> Result<()> {
    for object in gocompat::yaml::from_str(manifest).context("reading a manifest of our own")? {
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
        .map_err(|status| anyhow!("{}", status.message))?;
    }
    Ok(())
}
