//! What many Rollouts cost: time, processor, memory and requests of the controller. No check,
//! figures.
//!
//! `--rounds N` Rollouts (500) of two pods and five steps with two pauses of two seconds are
//! applied, updated, and left alone for half a minute. Suite `floor` is the same with Deployments,
//! which the cluster's own controller updates.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::context::Context;
use crate::ground::Ground;
use crate::ground::audit;
use crate::ground::controller::{Installation, PORT};
use crate::ground::objects::{Kind, ROLLOUT, is_observed, number, text};
use crate::report::Report;

const OBJECTS: usize = 500;
const NAMESPACE: &str = "bench";
const AT_ONCE: usize = 20;
const LIMIT: Duration = Duration::from_mins(10);
const IDLE: Duration = Duration::from_secs(30);
/// So long without an event written, and all are.
const TOLD: Duration = Duration::from_secs(2);
const USER: &str = "system:serviceaccount:argo-rollouts:weir";
/// Unit of the times in `/proc/PID/stat`; 100 on every Linux that matters here.
const TICKS_PER_S: f64 = 100.0;
/// What is released, and when it is done.
struct Load {
    kind: Kind,
    manifest: &'static str,
    is_done: fn(&Value) -> bool,
}

const ROLLOUTS: Load = Load {
    kind: ROLLOUT,
    manifest: MANIFEST,
    is_done: |rollout| {
        text(rollout, "/status/phase") == "Healthy"
            && text(rollout, "/status/stableRS") == text(rollout, "/status/currentPodHash")
            && is_observed(rollout)
    },
};

/// The same pods without a step, moved by the cluster's own controller: what no controller can be
/// quicker than.
const DEPLOYMENTS: Load = Load {
    kind: ("apps/v1", "Deployment"),
    manifest: "
apiVersion: apps/v1
kind: Deployment
metadata: {name: $NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: $NAME}}
  template:
    metadata: {labels: {app: $NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: app, image: 'weir/demo:$TAG'}]
",
    is_done: |deployment| {
        let generation = number(deployment, "/metadata/generation");
        let counts = ["replicas", "updatedReplicas", "availableReplicas"];
        let count = |field: &str| number(deployment, &format!("/status/{field}"));
        number(deployment, "/status/observedGeneration") == generation
            && counts.iter().all(|field| count(field) == 2)
    },
};

const MANIFEST: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: $NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: $NAME}}
  template:
    metadata: {labels: {app: $NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: app, image: 'weir/demo:$TAG'}]
  strategy:
    canary:
      steps: [{setWeight: 20}, {pause: {duration: 2s}}, {setWeight: 50}, {pause: {duration: 2s}}, {setWeight: 80}]
";

pub(super) async fn run(context: &Context) -> Result<Report> {
    let ground = Ground::lay(context)?;
    let installation = Installation::make(&ground, "argo-rollouts", &[]).await?;
    let flags = ["--leader-elect=false"];
    let controller = installation
        .start(&ground, "controller", PORT, &flags)
        .await?;
    let pid = controller.pid().context("the controller has ended")?;
    let bench = Bench {
        ground: &ground,
        load: ROLLOUTS,
        objects: context.args.rounds.unwrap_or(OBJECTS),
        pid,
    };
    let start = bench.sample()?;
    println!("{} rollouts, controller at rest: {start}", bench.objects);
    let create = bench.phase("create", Some("v1")).await?;
    let update = bench.phase("update", Some("v2")).await?;
    let idle = bench.phase("idle", None).await?;
    let asked = create.requests + update.requests;
    println!(
        "create and update: {:.1} CPU seconds, {:.1} requests per rollout; idle: {:.2} CPU seconds, {} requests",
        create.cpu_s + update.cpu_s,
        asked as f64 / bench.objects as f64,
        idle.cpu_s,
        idle.requests,
    );
    controller.stop().await?;
    let mut report = Report::default();
    report.pass();
    Ok(report)
}

/// The times that the cluster itself needs for the pods.
pub(super) async fn floor(context: &Context) -> Result<Report> {
    let ground = Ground::lay(context)?;
    let bench = Bench {
        ground: &ground,
        load: DEPLOYMENTS,
        objects: context.args.rounds.unwrap_or(OBJECTS),
        pid: std::process::id(),
    };
    for (phase, tag) in [("create", "v1"), ("update", "v2")] {
        let start = Instant::now();
        bench.release(tag).await?;
        let took = start.elapsed().as_secs_f64();
        println!("{phase}: {took:.1} s for {} Deployments", bench.objects);
    }
    let mut report = Report::default();
    report.pass();
    Ok(report)
}

/// What a phase cost.
struct Cost {
    cpu_s: f64,
    requests: usize,
}

/// The controller's process at a moment.
struct Sample {
    cpu_s: f64,
    rss_mib: f64,
    peak_mib: f64,
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.2} CPU seconds so far, {:.1} MiB resident, {:.1} MiB at its peak",
            self.cpu_s, self.rss_mib, self.peak_mib
        )
    }
}

struct Bench<'a> {
    ground: &'a Ground,
    load: Load,
    objects: usize,
    pid: u32,
}

impl Bench<'_> {
    async fn phase(&self, name: &str, tag: Option<&str>) -> Result<Cost> {
        let (before, asked) = (self.sample()?, self.requests()?);
        let start = Instant::now();
        match tag {
            Some(tag) => self.release(tag).await?,
            None => tokio::time::sleep(IDLE).await,
        }
        let took = start.elapsed();
        let now = self.when_told().await?;
        let after = self.sample()?;
        println!("{name}: {:.1} s; {after}", took.as_secs_f64());
        let mut rows: Vec<_> = audit::count(&now[asked.len()..]).into_iter().collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for ((verb, resource), count) in rows {
            println!(
                "  {verb} {resource}: {count}, {:.2} per rollout",
                count as f64 / self.objects as f64
            );
        }
        Ok(Cost {
            cpu_s: after.cpu_s - before.cpu_s,
            requests: now.len() - asked.len(),
        })
    }

    async fn release(&self, tag: &str) -> Result<()> {
        self.ground.objects.namespace(NAMESPACE).await?;
        let what = format!("not all are at {tag} after {} s", LIMIT.as_secs());
        let converged = async { timeout(LIMIT, self.watch(tag)).await.context(what)? };
        tokio::try_join!(self.apply(tag), converged)?;
        Ok(())
    }

    async fn apply(&self, tag: &str) -> Result<()> {
        let applied = (0..self.objects).map(|n| async move {
            let manifest = self.load.manifest.replace("$NAME", &format!("app-{n}"));
            let manifest = manifest.replace("$TAG", tag);
            self.ground.objects.apply(NAMESPACE, &manifest).await
        });
        stream::iter(applied)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Until all are at `tag`. A watch: whoever lists so many objects again and again keeps the API
    /// server busier than a controller does.
    async fn watch(&self, tag: &str) -> Result<()> {
        let image = format!("weir/demo:{tag}");
        let kind = self.load.kind;
        let api = self.ground.objects.api(kind, Some(NAMESPACE)).await?;
        let events = watcher(api, watcher::Config::default()).default_backoff();
        let mut events = events.boxed();
        let mut there = BTreeSet::new();
        while there.len() < self.objects {
            let event = events.next().await.context("the watch has ended")?;
            let Ok(Event::Apply(object) | Event::InitApply(object)) = event else {
                continue;
            };
            let object = serde_json::to_value(object)?;
            let name = text(&object, "/metadata/name").to_owned();
            let has_image = text(&object, "/spec/template/spec/containers/0/image") == image;
            if has_image && (self.load.is_done)(&object) {
                there.insert(name);
            } else {
                there.remove(&name);
            }
        }
        Ok(())
    }

    /// The controller's requests, once it has written its events: it does so while it has nothing
    /// better to do, and they are part of what a phase costs.
    async fn when_told(&self) -> Result<Vec<audit::Request>> {
        let start = Instant::now();
        let events = |asked: &[audit::Request]| {
            let of_events = asked.iter().filter(|request| request.resource == "events");
            of_events.count()
        };
        let mut asked = self.requests()?;
        while start.elapsed() < LIMIT {
            tokio::time::sleep(TOLD).await;
            let now = self.requests()?;
            if events(&now) == events(&asked) {
                return Ok(now);
            }
            asked = now;
        }
        bail!("events are still written after {} s", LIMIT.as_secs());
    }

    fn requests(&self) -> Result<Vec<audit::Request>> {
        audit::of_user(&self.ground.cluster.join("audit.log"), USER)
    }

    fn sample(&self) -> Result<Sample> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.pid);
            std::fs::read_to_string(&path).with_context(|| path.clone())
        };
        let stat = read("stat")?;
        // The second field is a name in parentheses, which may hold anything.
        let (_, fields) = stat
            .rsplit_once(')')
            .context("/proc/PID/stat without a name")?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            bail!("/proc/PID/stat without times: {stat}");
        };
        let status = read("status")?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or(0.0) / 1024.0
        };
        Ok(Sample {
            cpu_s: (user + system) / TICKS_PER_S,
            rss_mib: mib("VmRSS:"),
            peak_mib: mib("VmHWM:"),
        })
    }
}
