//! What many Rollouts cost: time, processor, memory and requests of the controller. No check, figures.
//!
//! `--rounds N` Rollouts (500) of two pods and five steps with two pauses of two seconds are applied, updated, and left alone
//! for half a minute.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use crate::context::Context;
use crate::ground::audit;
use crate::ground::controller::{Installation, PORT};
use crate::ground::objects::{ROLLOUT, is_observed, text};
use crate::ground::{Ground, until};
use crate::report::Report;

const ROLLOUTS: usize = 500;
const NAMESPACE: &str = "bench";
const AT_ONCE: usize = 20;
const LIMIT: Duration = Duration::from_mins(10);
const IDLE: Duration = Duration::from_secs(30);
const USER: &str = "system:serviceaccount:argo-rollouts:weir";
/// Unit of the times in `/proc/PID/stat`; 100 on every Linux that matters here.
const TICKS_PER_S: f64 = 100.0;
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
        rollouts: context.args.rounds.unwrap_or(ROLLOUTS),
        pid,
    };
    let start = bench.sample()?;
    println!("{} rollouts, controller at rest: {start}", bench.rollouts);
    let create = bench.phase("create", Some("v1")).await?;
    let update = bench.phase("update", Some("v2")).await?;
    let idle = bench.phase("idle", None).await?;
    let asked = create.requests + update.requests;
    println!(
        "create and update: {:.1} CPU seconds, {:.1} requests per rollout; idle: {:.2} CPU seconds, {} requests",
        create.cpu_s + update.cpu_s,
        asked as f64 / bench.rollouts as f64,
        idle.cpu_s,
        idle.requests,
    );
    controller.stop().await?;
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
    rollouts: usize,
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
        let (after, now) = (self.sample()?, self.requests()?);
        println!("{name}: {:.1} s; {after}", took.as_secs_f64());
        let mut rows: Vec<_> = audit::count(&now[asked.len()..]).into_iter().collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for ((verb, resource), count) in rows {
            println!(
                "  {verb} {resource}: {count}, {:.2} per rollout",
                count as f64 / self.rollouts as f64
            );
        }
        Ok(Cost {
            cpu_s: after.cpu_s - before.cpu_s,
            requests: now.len() - asked.len(),
        })
    }

    async fn release(&self, tag: &str) -> Result<()> {
        let objects = &self.ground.objects;
        objects.namespace(NAMESPACE).await?;
        let applied = (0..self.rollouts).map(|n| async move {
            let manifest = MANIFEST.replace("$NAME", &format!("app-{n}"));
            objects
                .apply(NAMESPACE, &manifest.replace("$TAG", tag))
                .await
        });
        stream::iter(applied)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        let image = format!("weir/demo:{tag}");
        until(&format!("all are at {tag}"), LIMIT, async || {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let rollouts = objects.list(ROLLOUT, Some(NAMESPACE), "").await?;
            let there = rollouts.iter().filter(|rollout| {
                text(rollout, "/status/phase") == "Healthy"
                    && text(rollout, "/spec/template/spec/containers/0/image") == image
                    && text(rollout, "/status/stableRS") == text(rollout, "/status/currentPodHash")
                    && is_observed(rollout)
            });
            let there = there.count();
            if there < self.rollouts {
                bail!("{there} of {}", self.rollouts);
            }
            Ok(Some(()))
        })
        .await
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
