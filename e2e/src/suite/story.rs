//! The story of the demo on a real control plane: a commit becomes a canary, is measured by
//! Prometheus, and is promoted; a bad one is measured and rolled back by itself. Traefik splits
//! real traffic by the weights of the route.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use sandbox::load::{Arm, Load, LoadReport, Target};
use serde_json::Value;

use crate::context::Context;
use crate::ground::controller::{Installation, PORT};
use crate::ground::gateway::Gateway;
use crate::ground::history::History;
use crate::ground::objects::{
    APPLICATION, HTTP_ROUTE, Objects, ROLLOUT, is_observed, number, text,
};
use crate::ground::prometheus::{self, Prometheus};
use crate::ground::repository::Repository;
use crate::ground::{Ground, until};
use crate::report::Report;

const NAMESPACE: &str = "shop-production";
const CONTROL: &str = "argocd";
const HOST: &str = "shop.example";
const RATE: u32 = 100;
const LIMIT: Duration = Duration::from_mins(2);
const OVERLAY: &str = "overlays/production/kustomization.yaml";

/// The manifests of the demo itself, but for the analysis: here Prometheus is asked.
const FILES: [(&str, &str); 4] = [
    (
        "base/kustomization.yaml",
        include_str!("../../../src/demo/manifests/base-kustomization.yaml"),
    ),
    (
        "base/rollout.yaml",
        include_str!("../../../src/demo/manifests/rollout.yaml"),
    ),
    (
        "base/services.yaml",
        include_str!("../../../src/demo/manifests/services.yaml"),
    ),
    (
        "base/route.yaml",
        include_str!("../../../src/demo/manifests/route.yaml"),
    ),
];
const OVERLAY_TEXT: &str = include_str!("../../../src/demo/manifests/overlay-kustomization.yaml");
const PROJECT: &str = include_str!("../../../src/demo/manifests/project.yaml");
const APPLICATION_TEXT: &str = include_str!("../../../src/demo/manifests/application.yaml");
const ANALYSIS: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: success-rate
spec:
  metrics:
  - name: success-rate
    initialDelay: 3s
    interval: 1s
    successCondition: result[0] >= 0.95
    failureLimit: 1
    inconclusiveLimit: 20
    consecutiveErrorLimit: 20
    provider:
      prometheus:
        address: $PROMETHEUS
        query: |
          sum(increase(http_requests_total{namespace="shop-production",hash="{{args.canary-hash}}",code!~"5.."}[10s]))
            / sum(increase(http_requests_total{namespace="shop-production",hash="{{args.canary-hash}}"}[10s]))
  args:
  - name: canary-hash
"#;

pub(super) async fn run(context: &Context) -> Result<Report> {
    let ground = Ground::lay(context)?;
    let installation = Installation::make(&ground, "argo-rollouts", &[]).await?;
    let mut gateway = Gateway::start(&ground).await?;
    let mut prometheus = Prometheus::start(&ground).await?;
    let mut controller = installation
        .start(&ground, "controller", PORT, &["--leader-elect=false"])
        .await?;
    let repository = Releases::make(&ground.dir.join("repository")).await?;
    let mut story = Story {
        objects: ground.objects.clone(),
        repository,
        report: Report::default(),
    };
    let told = story.tell(Gateway::address()?).await;
    gateway.check()?;
    prometheus.check()?;
    controller.check()?;
    told?;
    controller.stop().await?;
    Ok(story.report)
}

struct Story {
    objects: Objects,
    repository: Releases,
    report: Report,
}

impl Story {
    async fn tell(&mut self, gateway: std::net::SocketAddr) -> Result<()> {
        let first = self
            .repository
            .release("v1-blue", "Release shop v1-blue")
            .await?;
        let url = self.repository.0.url();
        for manifest in [PROJECT, APPLICATION_TEXT] {
            let manifest = manifest.replace("$URL", &url);
            let manifest = manifest.replace("$PATH", "overlays/production");
            self.objects.apply(CONTROL, &manifest).await?;
        }
        self.healthy("v1-blue").await?;
        self.synced_to(&first).await?;
        self.report.pass();
        let weights = History::record(&self.objects, HTTP_ROUTE, NAMESPACE).await?;
        let load = self.load(gateway).await?;

        self.repository
            .release("v2-green", "Release shop v2-green")
            .await?;
        self.healthy("v2-green").await?;
        let seen = canary_weights(&weights.of("shop"));
        self.hold(
            "a good commit goes through every weight",
            is_subsequence(&[0, 20, 40, 60, 80, 100], &seen),
            &format_args!("weights {seen:?}"),
        );
        let so_far = load.so_far();
        self.hold(
            "no request of the healthy rollout fails",
            errors(&so_far) == 0 && so_far.failed.is_empty(),
            &format_args!("{so_far:?}"),
        );

        self.repository
            .release("v3-red-rising-2", "Release shop v3-red-rising-2")
            .await?;
        self.rolled_back().await?;
        self.repository.0.revert().await?;
        self.healthy("v2-green").await?;
        let head = self.repository.0.head().await?;
        self.synced_to(&head).await?;
        self.report.pass();
        let end = load.stop().await;
        let of_bad = |color: &str| color == "red";
        let innocent: u64 = end
            .arms
            .values()
            .filter(|arm| !of_bad(&arm.color))
            .map(Arm::errors)
            .sum();
        let guilty: u64 = end
            .arms
            .values()
            .filter(|arm| of_bad(&arm.color))
            .map(|arm| arm.requests)
            .sum();
        self.hold(
            "only the bad version answers with errors, and it is met",
            innocent == 0 && guilty > 0 && end.failed.is_empty() && end.answered() == end.sent,
            &format_args!("{end:?}"),
        );
        Ok(())
    }

    fn hold(&mut self, what: &str, holds: bool, seen: &dyn std::fmt::Display) {
        if holds {
            self.report.pass();
        } else {
            self.report.fail(&format_args!("{what}: {seen}"));
        }
    }

    /// The tag is the stable version, and the Rollout says that all is well.
    async fn healthy(&self, tag: &str) -> Result<()> {
        let image = format!("weir/demo:{tag}");
        until(&format!("{tag} is healthy"), LIMIT, async || {
            let rollout = self.objects.get(ROLLOUT, NAMESPACE, "shop").await?;
            let good = text(&rollout, "/status/phase") == "Healthy"
                && text(&rollout, "/spec/template/spec/containers/0/image") == image
                && is_observed(&rollout)
                && text(&rollout, "/status/stableRS") == text(&rollout, "/status/currentPodHash");
            ensure!(good, "{}", rollout["status"]);
            Ok(Some(()))
        })
        .await
    }

    async fn rolled_back(&mut self) -> Result<()> {
        let message = until("the bad commit is aborted", LIMIT, async || {
            let rollout = self.objects.get(ROLLOUT, NAMESPACE, "shop").await?;
            let degraded = text(&rollout, "/status/phase") == "Degraded";
            Ok(degraded.then(|| text(&rollout, "/status/message").to_owned()))
        })
        .await?;
        self.hold(
            "the abort names the metric",
            message.contains("success-rate"),
            &message,
        );
        until("the route gives all traffic back", LIMIT, async || {
            let route = self.objects.get(HTTP_ROUTE, NAMESPACE, "shop").await?;
            Ok((canary_weight(&route) == 0).then_some(()))
        })
        .await?;
        self.report.pass();
        Ok(())
    }

    async fn synced_to(&self, commit: &str) -> Result<()> {
        until("the Application is synced", LIMIT, async || {
            let application = self.objects.get(APPLICATION, CONTROL, "shop").await?;
            let synced = text(&application, "/status/sync/status") == "Synced"
                && text(&application, "/status/sync/revision") == commit
                && text(&application, "/status/health/status") == "Healthy";
            ensure!(synced, "{}", application["status"]);
            Ok(Some(()))
        })
        .await
    }

    /// Load that has been answered by the first version.
    async fn load(&self, address: std::net::SocketAddr) -> Result<Load> {
        until("the gateway serves the route", LIMIT, async || {
            let request = reqwest::Client::new().get(format!("http://{address}/"));
            let answer = request.header("Host", HOST).send().await?;
            Ok(answer.status().is_success().then_some(()))
        })
        .await?;
        let mut target = Target::new(address, RATE);
        target.host = Some(HOST.to_owned());
        Ok(Load::start(target))
    }
}

fn errors(report: &LoadReport) -> u64 {
    report.arms.values().map(Arm::errors).sum()
}

fn canary_weight(route: &Value) -> i64 {
    number(route, "/spec/rules/0/backendRefs/1/weight")
}

/// The weights of the canary, without repeats in a row.
fn canary_weights(routes: &[Value]) -> Vec<i64> {
    let mut weights: Vec<_> = routes.iter().map(canary_weight).collect();
    weights.dedup();
    weights
}

fn is_subsequence(wanted: &[i64], of: &[i64]) -> bool {
    let mut rest = of.iter();
    wanted.iter().all(|wanted| rest.any(|seen| seen == wanted))
}

/// The demo's repository, with a release of a tag as its only kind of change.
struct Releases(Repository);

impl Releases {
    async fn make(dir: &Path) -> Result<Self> {
        let repository = Repository::make(dir).await?;
        for (path, content) in FILES {
            if path == "base/rollout.yaml" {
                repository.write(path, &with_args(content)?)?;
            } else {
                repository.write(path, content)?;
            }
        }
        let analysis = ANALYSIS.replace("$PROMETHEUS", prometheus::ADDRESS);
        repository.write("base/analysis.yaml", &analysis)?;
        Ok(Self(repository))
    }

    /// Commits a tag; gives the commit.
    async fn release(&self, tag: &str, message: &str) -> Result<String> {
        self.0.write(OVERLAY, &OVERLAY_TEXT.replace("$TAG", tag))?;
        self.0.commit(message).await
    }
}

/// The demo's Rollout, whose analysis is told the hash of the canary.
fn with_args(rollout: &str) -> Result<String> {
    const BEFORE: &str = "        startingStep: 1\n";
    const ARGS: &str = "        args:
        - name: canary-hash
          valueFrom:
            podTemplateHashValue: Latest
";
    if !rollout.contains(BEFORE) {
        bail!("the demo's Rollout has no startingStep to put the arguments before");
    }
    Ok(rollout.replace(BEFORE, &format!("{ARGS}{BEFORE}")))
}
