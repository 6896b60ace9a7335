//! Upgrade in place: what Argo Rollouts left stored (`fixtures/upgrade/`) is taken over with no pod
//! restarted, no step repeated and nothing rewritten; and then it goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::context::Context;
use crate::ground::controller::{Installation, PORT};
use crate::ground::objects::{POD, REPLICA_SET, ROLLOUT, is_observed, number, text};
use crate::ground::process::output;
use crate::ground::{Ground, time, until};
use crate::report::Report;

const LIMIT: Duration = Duration::from_mins(1);
/// How long nothing may happen after the controller has started.
const QUIET: Duration = Duration::from_secs(10);
const NAME: &str = "app";
const AGE_MIN: i64 = 10;

/// One stored Rollout, and what a user does with it afterwards.
struct Case {
    name: &'static str,
    stored: &'static str,
    /// `weir promote` leads to the end; what is at rest gets a new version instead.
    promoted: bool,
}

const CASES: [Case; 3] = [
    Case {
        name: "canary-paused",
        stored: include_str!("../../fixtures/upgrade/canary-paused.yaml"),
        promoted: true,
    },
    Case {
        name: "blue-green-paused",
        stored: include_str!("../../fixtures/upgrade/blue-green-paused.yaml"),
        promoted: true,
    },
    Case {
        name: "canary-healthy",
        stored: include_str!("../../fixtures/upgrade/canary-healthy.yaml"),
        promoted: false,
    },
];

pub(super) async fn run(context: &Context) -> Result<Report> {
    let ground = Ground::lay(context)?;
    let installation = Installation::make(&ground, "argo-rollouts", &[]).await?;
    let mut before = Vec::new();
    for case in &CASES {
        let seen = lay_down(&ground, case).await;
        before.push(seen.with_context(|| case.name)?);
    }
    let flags = ["--leader-elect=false"];
    let controller = installation
        .start(&ground, "controller", PORT, &flags)
        .await?;
    tokio::time::sleep(QUIET).await;
    let mut report = Report::default();
    for (case, before) in CASES.iter().zip(&before) {
        let checks = [
            taken_over(&ground, case, before).await,
            goes_on(&ground, case, before).await,
        ];
        for check in checks {
            match check.with_context(|| case.name) {
                Ok(()) => report.pass(),
                Err(error) => report.fail(&format_args!("{error:#}")),
            }
        }
    }
    controller.stop().await?;
    Ok(report)
}

/// What must not change by a change of the controller.
#[derive(Debug, PartialEq)]
struct Seen {
    /// Uid and restarts of every pod.
    pods: BTreeMap<String, (String, i64)>,
    /// Generation of every ReplicaSet.
    sets: BTreeMap<String, i64>,
    generation: i64,
    status: Value,
}

impl Seen {
    async fn of(ground: &Ground, namespace: &str) -> Result<Self> {
        let objects = &ground.objects;
        let name = |object: &Value| text(object, "/metadata/name").to_owned();
        let pods = objects.list(POD, Some(namespace), "").await?;
        let sets = objects.list(REPLICA_SET, Some(namespace), "").await?;
        let rollout = objects.get(ROLLOUT, namespace, NAME).await?;
        Ok(Self {
            pods: pods
                .iter()
                .map(|pod| {
                    let restarts = number(pod, "/status/containerStatuses/0/restartCount");
                    (name(pod), (text(pod, "/metadata/uid").to_owned(), restarts))
                })
                .collect(),
            sets: sets
                .iter()
                .map(|set| (name(set), number(set, "/metadata/generation")))
                .collect(),
            generation: number(&rollout, "/metadata/generation"),
            status: rollout["status"].clone(),
        })
    }
}

/// Stores the objects with their pods, as they are when the other controller has just been stopped.
async fn lay_down(ground: &Ground, case: &Case) -> Result<Seen> {
    let objects = &ground.objects;
    objects.namespace(case.name).await?;
    let then = time(jiff::SignedDuration::from_mins(AGE_MIN));
    let text_of = |uid: &str, steps: &str, generation: i64| {
        let filled = case.stored.replace("$UID", uid).replace("$STEPS", steps);
        let filled = filled.replace("$GENERATION", &generation.to_string());
        filled.replace("$THEN", &then)
    };
    let stored = gocompat::yaml::from_str(&text_of("none", "none", 0))?;
    let (mut rollout, rest) = first(stored)?;
    let steps = gocompat::hash::step_hash(rollout.pointer("/spec/strategy/canary/steps"));
    rollout
        .as_object_mut()
        .context("a Rollout")?
        .remove("status");
    objects.apply_one(case.name, rollout).await?;
    let created = objects.get(ROLLOUT, case.name, NAME).await?;
    let generation = number(&created, "/metadata/generation");
    let filled = text_of(text(&created, "/metadata/uid"), &steps, generation);
    let (rollout, objects_of) = first(gocompat::yaml::from_str(&filled)?)?;
    ensure!(objects_of.len() == rest.len(), "objects are lost");
    let mut wanted = 0;
    for object in objects_of {
        wanted += number(&object, "/spec/replicas");
        objects.apply_one(case.name, object).await?;
    }
    let status = json!({"status": rollout["status"]});
    objects
        .merge_status(ROLLOUT, case.name, NAME, &status)
        .await?;
    until("the pods are ready", LIMIT, async || {
        let sets = objects.list(REPLICA_SET, Some(case.name), "").await?;
        let ready: i64 = sets
            .iter()
            .map(|set| number(set, "/status/readyReplicas"))
            .sum();
        Ok((ready == wanted).then_some(()))
    })
    .await?;
    Seen::of(ground, case.name).await
}

fn first(objects: Vec<Value>) -> Result<(Value, Vec<Value>)> {
    let mut objects = objects.into_iter();
    let rollout = objects
        .next()
        .context("a fixture starts with its Rollout")?;
    Ok((rollout, objects.collect()))
}

/// Ten seconds of the new controller have left everything as it was.
async fn taken_over(ground: &Ground, case: &Case, before: &Seen) -> Result<()> {
    let after = Seen::of(ground, case.name).await?;
    ensure!(
        after.pods == before.pods,
        "pods {:?}, before {:?}",
        after.pods,
        before.pods
    );
    ensure!(
        after.sets == before.sets,
        "ReplicaSets {:?}, before {:?}",
        after.sets,
        before.sets
    );
    ensure!(
        after.generation == before.generation,
        "the Rollout's spec was written"
    );
    let fields = [
        "phase",
        "message",
        "currentStepIndex",
        "currentStepHash",
        "currentPodHash",
        "stableRS",
        "pauseConditions",
        "blueGreen",
        "selector",
        "observedGeneration",
    ];
    for field in fields {
        ensure!(
            after.status[field] == before.status[field],
            "{field} is {}, was {}",
            after.status[field],
            before.status[field]
        );
    }
    Ok(())
}

/// The user's next word leads to the end, and what ran before and stays is not restarted.
async fn goes_on(ground: &Ground, case: &Case, before: &Seen) -> Result<()> {
    if case.promoted {
        let mut promote = Command::new(&ground.tools().weir);
        promote
            .args(["promote", NAME, "--namespace", case.name])
            .env("KUBECONFIG", ground.admin());
        output(promote).await?;
    } else {
        let tag = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": "demo:yellow", "ports": [{"containerPort": 8080, "protocol": "TCP"}], "resources": {}},
        ]}}}});
        ground.objects.merge(ROLLOUT, case.name, NAME, &tag).await?;
    }
    until("the update ends", LIMIT, async || {
        let rollout = ground.objects.get(ROLLOUT, case.name, NAME).await?;
        let good = text(&rollout, "/status/phase") == "Healthy"
            && is_observed(&rollout)
            && text(&rollout, "/status/stableRS") == text(&rollout, "/status/currentPodHash");
        ensure!(good, "{}", rollout["status"]);
        Ok(Some(()))
    })
    .await?;
    let after = Seen::of(ground, case.name).await?;
    let new = text(&before.status, "/currentPodHash");
    let kept = before
        .pods
        .iter()
        .filter(|(name, _)| case.promoted && name.contains(new));
    for (name, seen) in kept {
        ensure!(
            after.pods.get(name) == Some(seen),
            "pod {name} was not kept"
        );
    }
    Ok(())
}
