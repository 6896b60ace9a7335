//! Three controllers and one lease: the leader is killed, the API server restarted, etcd paused,
//! each in the middle of rollouts. They go on from the step that they were at, nothing is done
//! twice, no weight moves backwards.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::context::Context;
use crate::ground::controller::{Installation, PORT};
use crate::ground::gateway::Gateway;
use crate::ground::history::History;
use crate::ground::objects::{EVENT, HTTP_ROUTE, REPLICA_SET, ROLLOUT, is_observed, number, text};
use crate::ground::process::{Process, signal};
use crate::ground::{Ground, until};
use crate::report::Report;

const NAMESPACE: &str = "failover";
const ROLLOUTS: usize = 6;
const ROUNDS: usize = 6;
const LIMIT: Duration = Duration::from_mins(3);
const PAUSE_OF_ETCD: Duration = Duration::from_secs(10);
/// Short enough that a suite sees several leaders; the flags are the peer's.
const FLAGS: [&str; 6] = [
    "--leader-election-lease-duration=4s",
    "--leader-election-renew-deadline=3s",
    "--leader-election-retry-period=500ms",
    "--loglevel=info",
    "--rollout-threads=10",
    "--logformat=text",
];

const MANIFEST: &str = "
apiVersion: v1
kind: Service
metadata: {name: $NAME-stable}
spec:
  selector: {app: $NAME}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: v1
kind: Service
metadata: {name: $NAME-canary}
spec:
  selector: {app: $NAME}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $NAME}
spec:
  parentRefs: [{name: weir, namespace: weir-sandbox}]
  hostnames: [$NAME.example]
  rules:
  - backendRefs:
    - {name: $NAME-stable, port: 80, weight: 100}
    - {name: $NAME-canary, port: 80, weight: 0}
";
const TEMPLATE: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: $NAME}
spec:
  replicas: 2
  revisionHistoryLimit: 20
  selector:
    matchLabels: {app: $NAME}
  template:
    metadata:
      labels: {app: $NAME}
    spec:
      containers:
      - name: app
        image: weir/demo:$TAG
        ports: [{name: http, containerPort: 8080}]
        readinessProbe:
          httpGet: {path: /health, port: http}
          periodSeconds: 1
  strategy:
    canary:
      stableService: $NAME-stable
      canaryService: $NAME-canary
      scaleDownDelaySeconds: 2
      trafficRouting:
        plugins:
          argoproj-labs/gatewayAPI: {httpRoute: $NAME}
      steps:
      - setWeight: 20
      - pause: {duration: 2s}
      - setWeight: 50
      - pause: {duration: 2s}
      - setWeight: 80
      - pause: {duration: 2s}
";

/// What happens in the middle of a round.
#[derive(Clone, Copy, Debug)]
enum Blow {
    LeaderKilled,
    LeaderStopped,
    ApiServerKilled,
    EtcdPaused,
}

const BLOWS: [Blow; 4] = [
    Blow::LeaderKilled,
    Blow::ApiServerKilled,
    Blow::EtcdPaused,
    Blow::LeaderStopped,
];

pub(super) async fn run(context: &Context) -> Result<Report> {
    let ground = Ground::lay(context)?;
    let installation = Installation::make(&ground, "argo-rollouts", &[]).await?;
    let mut gateway = Gateway::start(&ground).await?;
    let mut trial = Trial::begin(&ground, &installation).await?;
    let mut report = Report::default();
    for round in 0..context.args.rounds.unwrap_or(ROUNDS) {
        let blow = BLOWS[round % BLOWS.len()];
        // Spread over the nine seconds that an undisturbed round takes.
        let after = Duration::from_millis(300 + (round as u64 * 2_711) % 7_500);
        let ended = trial.round(round + 2, blow, after).await;
        match ended.with_context(|| format!("round {round}, {blow:?} after {after:?}")) {
            Ok(()) => report.pass(),
            Err(error) => report.fail(&format_args!("{error:#}")),
        }
    }
    gateway.check()?;
    for name in names() {
        match trial.verdict(&name).await.with_context(|| name.clone()) {
            Ok(()) => report.pass(),
            Err(error) => report.fail(&format_args!("{error:#}")),
        }
    }
    for controller in trial.controllers.drain(..) {
        controller.process.stop().await?;
    }
    Ok(report)
}

fn names() -> impl Iterator<Item = String> {
    (0..ROLLOUTS).map(|n| format!("app-{n}"))
}

struct Controller {
    process: Process,
    name: String,
    port: u16,
}

struct Trial<'a> {
    ground: &'a Ground,
    installation: &'a Installation,
    controllers: Vec<Controller>,
    rollouts: History,
    routes: History,
}

impl<'a> Trial<'a> {
    /// Everything at its first revision, led by one of three.
    async fn begin(ground: &'a Ground, installation: &'a Installation) -> Result<Self> {
        ground.objects.namespace(NAMESPACE).await?;
        let mut trial = Self {
            ground,
            installation,
            controllers: Vec::new(),
            rollouts: History::record(&ground.objects, ROLLOUT, NAMESPACE).await?,
            routes: History::record(&ground.objects, HTTP_ROUTE, NAMESPACE).await?,
        };
        for n in 0..3 {
            trial
                .start(format!("controller-{n}"), PORT + n * 10)
                .await?;
        }
        for name in names() {
            let manifest = MANIFEST.replace("$NAME", &name);
            ground.objects.apply(NAMESPACE, &manifest).await?;
        }
        trial.release(1).await?;
        trial.finished(1).await?;
        Ok(trial)
    }

    async fn start(&mut self, name: String, port: u16) -> Result<()> {
        let process = self
            .installation
            .start(self.ground, &name, port, &FLAGS)
            .await?;
        self.controllers.push(Controller {
            process,
            name,
            port,
        });
        Ok(())
    }

    async fn round(&mut self, revision: usize, blow: Blow, after: Duration) -> Result<()> {
        self.release(revision).await?;
        tokio::time::sleep(after).await;
        self.strike(blow).await?;
        self.finished(revision).await?;
        for controller in &mut self.controllers {
            controller.process.check()?;
        }
        Ok(())
    }

    async fn release(&self, revision: usize) -> Result<()> {
        for name in names() {
            let manifest = TEMPLATE.replace("$NAME", &name);
            let manifest = manifest.replace("$TAG", &format!("v{revision}"));
            until("the release is taken", LIMIT, async || {
                self.ground.objects.apply(NAMESPACE, &manifest).await?;
                Ok(Some(()))
            })
            .await?;
        }
        Ok(())
    }

    async fn strike(&mut self, blow: Blow) -> Result<()> {
        let pid = |role: &str| self.ground.cluster.join(format!("{role}.pid"));
        match blow {
            Blow::LeaderKilled => {
                let Controller {
                    process,
                    name,
                    port,
                } = self.take_leader().await?;
                process.kill().await?;
                self.start(name, port).await
            }
            Blow::LeaderStopped => {
                let Controller {
                    process,
                    name,
                    port,
                } = self.take_leader().await?;
                process.stop().await?;
                self.start(name, port).await
            }
            Blow::ApiServerKilled => signal(&pid("apiserver"), Signal::KILL),
            Blow::EtcdPaused => {
                signal(&pid("etcd"), Signal::STOP)?;
                tokio::time::sleep(PAUSE_OF_ETCD).await;
                signal(&pid("etcd"), Signal::CONT)
            }
        }
    }

    async fn take_leader(&mut self) -> Result<Controller> {
        let ports: Vec<_> = self.controllers.iter().map(|one| one.port).collect();
        let at = until("somebody leads", LIMIT, async || {
            for (at, port) in ports.iter().enumerate() {
                let page = reqwest::get(format!("http://127.0.0.1:{}/metrics", port + 1)).await?;
                if page
                    .text()
                    .await?
                    .lines()
                    .any(|line| line == "weir_leader 1")
                {
                    return Ok(Some(at));
                }
            }
            Ok(None)
        })
        .await?;
        Ok(self.controllers.remove(at))
    }

    /// All Rollouts have the revision as their stable one.
    async fn finished(&self, revision: usize) -> Result<()> {
        let image = format!("weir/demo:v{revision}");
        for name in names() {
            until(
                &format!("{name} is at revision {revision}"),
                LIMIT,
                async || {
                    let rollout = self.ground.objects.get(ROLLOUT, NAMESPACE, &name).await?;
                    let good = text(&rollout, "/status/phase") == "Healthy"
                        && text(&rollout, "/spec/template/spec/containers/0/image") == image
                        && is_observed(&rollout)
                        && text(&rollout, "/status/stableRS")
                            == text(&rollout, "/status/currentPodHash");
                    ensure!(good, "{}", rollout["status"]);
                    Ok(Some(()))
                },
            )
            .await?;
        }
        Ok(())
    }

    /// What the watches saw of one Rollout is a straight way through all revisions.
    async fn verdict(&self, name: &str) -> Result<()> {
        let states = self.rollouts.of(name);
        let seen: std::collections::BTreeSet<_> = states
            .iter()
            .map(|state| text(state, "/status/currentPodHash"))
            .collect();
        steps_only_grow(&states)?;
        weights_only_grow(&self.routes.of(name))?;
        let labels = format!("app={name}");
        let objects = &self.ground.objects;
        let sets = objects.list(REPLICA_SET, Some(NAMESPACE), &labels).await?;
        let mut images: Vec<_> = sets
            .iter()
            .map(|set| text(set, "/spec/template/spec/containers/0/image"))
            .collect();
        images.sort_unstable();
        let all = images.len();
        images.dedup();
        ensure!(
            images.len() == all,
            "a version has two ReplicaSets: {images:?}"
        );
        let events = objects.list(EVENT, Some(NAMESPACE), "").await?;
        ensure!(
            seen.len() > all,
            "of {all} revisions the watch saw {seen:?}"
        );
        told_once(&events, name, all)
    }
}

/// Within a revision, no state shows an earlier step than one before it.
fn steps_only_grow(states: &[Value]) -> Result<()> {
    let mut last = ("", 0);
    for state in states {
        let hash = text(state, "/status/currentPodHash");
        let step = number(state, "/status/currentStepIndex");
        ensure!(
            hash != last.0 || step >= last.1,
            "{hash} goes back from step {} to {step}",
            last.1
        );
        last = (hash, step);
    }
    Ok(())
}

/// The canary's weight grows until the whole is given to the new stable version at once. Only
/// states that follow each other are compared, by their generation: what is written while an API
/// server begins anew no watch gets to see.
fn weights_only_grow(routes: &[Value]) -> Result<()> {
    let mut states: Vec<(i64, i64)> = routes
        .iter()
        .map(|route| {
            let weight = number(route, "/spec/rules/0/backendRefs/1/weight");
            (number(route, "/metadata/generation"), weight)
        })
        .collect();
    states.dedup();
    let follow = |pair: &&[(i64, i64)]| pair[1].0 == pair[0].0 + 1;
    let seen: Vec<_> = states.windows(2).filter(follow).collect();
    let broken = seen.iter().find(|pair| {
        let (before, after) = (pair[0].1, pair[1].1);
        after < before && !(after == 0 && before >= 80)
    });
    ensure!(broken.is_none(), "a weight moves backwards: {states:?}");
    let written = states.last().map_or(0, |last| last.0 - 1);
    ensure!(
        seen.len() as i64 * 2 >= written,
        "of {written} changes the watch saw {}: {states:?}",
        seen.len()
    );
    Ok(())
}

/// No step is announced more often than there are revisions that took it.
fn told_once(events: &[Value], name: &str, revisions: usize) -> Result<()> {
    let of_steps = events.iter().filter(|event| {
        text(event, "/involvedObject/name") == name
            && text(event, "/reason") == "RolloutStepCompleted"
    });
    let mut counts = std::collections::BTreeMap::<&str, i64>::new();
    for event in of_steps {
        *counts.entry(text(event, "/message")).or_default() += number(event, "/count").max(1);
    }
    ensure!(!counts.is_empty(), "no step was announced");
    // The first revision takes no steps.
    let often = counts.iter().find(|(_, count)| **count >= revisions as i64);
    ensure!(
        often.is_none(),
        "told more than once per revision: {often:?}, {revisions} revisions"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn routes(states: &[(i64, i64)]) -> Vec<Value> {
        let route = |&(generation, weight): &(i64, i64)| {
            let backends = json!([{"weight": 100 - weight}, {"weight": weight}]);
            json!({
                "metadata": {"generation": generation},
                "spec": {"rules": [{"backendRefs": backends}]},
            })
        };
        states.iter().map(route).collect()
    }

    #[test]
    fn only_a_whole_canary_gives_its_weight_back() {
        let good = [(1, 0), (2, 20), (3, 50), (3, 50), (4, 100), (5, 0)];
        assert!(weights_only_grow(&routes(&good)).is_ok());
        let back = [(1, 0), (2, 20), (3, 0), (4, 20)];
        assert!(weights_only_grow(&routes(&back)).is_err());
    }

    #[test]
    fn what_no_watch_saw_is_not_judged_but_counted() {
        let gap = [(1, 0), (2, 20), (6, 0), (7, 20), (8, 50), (9, 80)];
        assert!(weights_only_grow(&routes(&gap)).is_ok());
        let blind = [(1, 0), (9, 0)];
        assert!(weights_only_grow(&routes(&blind)).is_err());
    }
}
