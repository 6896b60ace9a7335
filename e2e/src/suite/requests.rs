//! No lost request: an open-loop load through Traefik during consecutive rollouts of every kind and
//! every ending.
//!
//! Every request is accounted for. The only failures allowed are those that the bad version (the
//! red one) answers itself.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use sandbox::load::{Arm, Load, LoadReport, Target};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::context::Context;
use crate::ground::controller::{Installation, PORT};
use crate::ground::gateway::Gateway;
use crate::ground::objects::{ROLLOUT, is_observed, number, text};
use crate::ground::process::{Process, output};
use crate::ground::shop::{NAME, Shop, WAYS, Way};
use crate::ground::{Ground, until};
use crate::report::Report;

/// Requests a second, for each way of rolling out.
const RATE: u32 = 500;
const ROUNDS: usize = 50;
/// How long the gateway takes to apply a change of a route: the bad version is aborted only after
/// it has got requests.
const GATEWAY_LAG: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(90);
const BAD: &str = "red";
const GOOD: [&str; 3] = ["blue", "green", "yellow"];

/// How one rollout ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Promoted,
    /// Half-way, after which the old version is asked for again.
    Aborted,
    /// By a third revision half-way.
    Superseded,
    /// Promoted by a controller that starts after the one before was killed half-way.
    Killed,
}

const ENDINGS: [Ending; 4] = [
    Ending::Promoted,
    Ending::Aborted,
    Ending::Superseded,
    Ending::Killed,
];

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Promoted => "promoted",
            Self::Aborted => "aborted",
            Self::Superseded => "superseded",
            Self::Killed => "controller killed",
        })
    }
}

pub(super) async fn run(context: &Context) -> Result<Report> {
    let ground = Ground::lay(context)?;
    let installation = Installation::make(&ground, "argo-rollouts", &[]).await?;
    let mut gateway = Gateway::start(&ground).await?;
    let stage = Stage {
        address: Gateway::address()?,
        controller: Mutex::new(Some(controller(&ground, &installation).await?)),
        installation,
        ground,
    };
    let rounds = context.args.rounds.unwrap_or(ROUNDS);
    let mut report = Report::default();
    for row in WAYS {
        let wanted = row
            .iter()
            .filter(|way| way.to_string().contains(&context.args.only));
        let campaigns = wanted.map(|way| Campaign::run(&stage, *way, rounds));
        for finding in join_all(campaigns).await.into_iter().flatten() {
            match finding {
                Ok(()) => report.pass(),
                Err(error) => report.fail(&format_args!("{error:#}")),
            }
        }
    }
    gateway.check()?;
    if let Some(controller) = stage.controller.lock().await.take() {
        controller.stop().await?;
    }
    Ok(report)
}

async fn controller(ground: &Ground, installation: &Installation) -> Result<Process> {
    let flags = ["--leader-elect=false"];
    installation.start(ground, "controller", PORT, &flags).await
}

/// What all campaigns share.
struct Stage {
    ground: Ground,
    installation: Installation,
    address: SocketAddr,
    controller: Mutex<Option<Process>>,
}

impl Stage {
    async fn kill_the_controller(&self) -> Result<()> {
        let mut controller = self.controller.lock().await;
        if let Some(running) = controller.take() {
            running.kill().await?;
        }
        *controller = Some(self::controller(&self.ground, &self.installation).await?);
        Ok(())
    }
}

/// Consecutive rollouts of one shop, under load.
struct Campaign<'a> {
    stage: &'a Stage,
    shop: Shop,
    /// The tag that is to run.
    tag: String,
    releases: usize,
}

impl<'a> Campaign<'a> {
    /// One finding per rollout, and one of the whole.
    async fn run(stage: &'a Stage, way: Way, rounds: usize) -> Vec<Result<()>> {
        let mut campaign = Self {
            stage,
            shop: Shop::new(way),
            tag: "v0-blue".to_owned(),
            releases: 0,
        };
        let load = match campaign.open().await {
            Ok(load) => load,
            Err(error) => return vec![Err(error.context(format!("{way}: opening")))],
        };
        let mut findings = Vec::new();
        let mut before = load.so_far();
        for round in 0..rounds {
            let ending = ENDINGS[round % ENDINGS.len()];
            let ended = campaign.round(ending).await;
            let now = load.so_far();
            let finding = ended.and_then(|()| no_worse(&before, &now));
            let what = format!("{way}, rollout {round}, {ending}");
            let broken = finding.is_err();
            findings.push(finding.context(what));
            before = now;
            if broken && campaign.recover().await.is_err() {
                break;
            }
        }
        let end = load.stop().await;
        println!("{way}: {}", summary(&end));
        findings.push(whole(&end, way).context(format!("{way}: the whole load")));
        findings
    }

    async fn open(&self) -> Result<Load> {
        let objects = &self.stage.ground.objects;
        objects.namespace(&self.shop.namespace).await?;
        objects
            .apply(&self.shop.namespace, &self.shop.entrance())
            .await?;
        self.release(&self.tag).await?;
        self.healthy().await?;
        let host = self.shop.host();
        let url = format!("http://{}/", self.stage.address);
        until("the gateway serves the route", LIMIT, async || {
            let request = reqwest::Client::new().get(&url).header("Host", &host);
            let answer = request.send().await?;
            Ok(answer.status().is_success().then_some(()))
        })
        .await?;
        let mut target = Target::new(self.stage.address, RATE);
        target.host = Some(host);
        Ok(Load::start(target))
    }

    async fn round(&mut self, ending: Ending) -> Result<()> {
        let good = self.tag.clone();
        match ending {
            Ending::Promoted => self.next_good().await?,
            Ending::Aborted => {
                self.next_bad().await?;
                self.half_way().await?;
                tokio::time::sleep(GATEWAY_LAG).await;
                self.abort().await?;
                self.tag = good;
                self.release(&self.tag).await?;
            }
            Ending::Superseded => {
                self.next_good().await?;
                self.half_way().await?;
                self.next_good().await?;
            }
            Ending::Killed => {
                self.next_good().await?;
                self.half_way().await?;
                self.stage.kill_the_controller().await?;
            }
        }
        self.healthy().await
    }

    /// Back to a version that works, so that the next rollout starts from one.
    async fn recover(&mut self) -> Result<()> {
        self.next_good().await?;
        self.healthy().await
    }

    /// Releases a version that works and was never there before.
    async fn next_good(&mut self) -> Result<()> {
        let color = GOOD[(self.releases + 1) % GOOD.len()];
        self.next(color).await
    }

    /// Releases a version that answers every fifth request with an error.
    async fn next_bad(&mut self) -> Result<()> {
        self.next(&format!("{BAD}-errors-20")).await
    }

    async fn next(&mut self, version: &str) -> Result<()> {
        self.releases += 1;
        self.tag = format!("v{}-{version}", self.releases);
        self.release(&self.tag).await
    }

    async fn release(&self, tag: &str) -> Result<()> {
        let objects = &self.stage.ground.objects;
        objects
            .apply(&self.shop.namespace, &self.shop.rollout(tag))
            .await
    }

    /// As a user would.
    async fn abort(&self) -> Result<()> {
        let mut abort = Command::new(&self.stage.ground.tools().weir);
        abort
            .args(["abort", NAME, "--namespace", &self.shop.namespace])
            .env("KUBECONFIG", self.stage.ground.admin());
        output(abort).await?;
        self.rollout_is("aborted", |rollout| {
            text(rollout, "/status/phase") == "Degraded"
        })
        .await
    }

    async fn half_way(&self) -> Result<()> {
        let way = self.shop.way;
        self.rollout_is("half-way", |rollout| {
            let moving =
                text(rollout, "/status/currentPodHash") != text(rollout, "/status/stableRS");
            moving
                && match way {
                    Way::Weighted | Way::Dynamic | Way::Counted => {
                        number(rollout, "/status/currentStepIndex") > 0
                    }
                    Way::BlueGreen => text(rollout, "/status/phase") == "Paused",
                }
        })
        .await
    }

    async fn healthy(&self) -> Result<()> {
        self.rollout_is("healthy", |rollout| {
            text(rollout, "/status/phase") == "Healthy"
                && text(rollout, "/status/currentPodHash") == text(rollout, "/status/stableRS")
        })
        .await
    }

    /// Waits for a state of the tag that is to run, as the controller reports it.
    async fn rollout_is(&self, state: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
        let image = format!("weir/demo:{}", self.tag);
        until(&format!("{} is {state}", self.tag), LIMIT, async || {
            let objects = &self.stage.ground.objects;
            let rollout = objects.get(ROLLOUT, &self.shop.namespace, NAME).await?;
            let good = text(&rollout, "/spec/template/spec/containers/0/image") == image
                && is_observed(&rollout)
                && holds(&rollout);
            ensure!(good, "{}", rollout["status"]);
            Ok(Some(()))
        })
        .await
    }
}

/// Answers that no good version may give, and requests without any.
fn lost(report: &LoadReport) -> u64 {
    let wrong = |arm: &Arm| -> u64 {
        let codes = arm.codes.iter().filter(|(code, _)| **code != 200);
        codes.map(|(_, count)| count).sum()
    };
    let innocent = report.arms.values().filter(|arm| arm.color != BAD);
    innocent.map(wrong).sum::<u64>() + report.failed.values().sum::<u64>()
}

fn no_worse(before: &LoadReport, now: &LoadReport) -> Result<()> {
    let new = lost(now) - lost(before);
    ensure!(new == 0, "{new} requests lost: {}", summary(now));
    Ok(())
}

fn whole(report: &LoadReport, way: Way) -> Result<()> {
    ensure!(lost(report) == 0, "requests lost: {}", summary(report));
    let missing = report.sent - report.answered();
    ensure!(missing == 0, "{missing} of {} unaccounted for", report.sent);
    let met = report.arms.values().any(|arm| arm.color == BAD);
    // Blue-green shows nobody a version that is aborted before its promotion.
    ensure!(
        met == (way != Way::BlueGreen),
        "a bad version was met: {met}"
    );
    Ok(())
}

fn summary(report: &LoadReport) -> String {
    let bad = report.arms.values().filter(|arm| arm.color == BAD);
    let (bad, errors) = bad.fold((0, 0), |(all, errors), arm| {
        (all + arm.requests, errors + arm.errors())
    });
    let gateway = report.arms.get("gateway").map(|arm| &arm.codes);
    format!(
        "{} sent, {} answered ({bad} by bad versions, {errors} of them errors), without answer {:?}, by the gateway itself {:?}",
        report.sent,
        report.answered(),
        report.failed,
        gateway
    )
}
