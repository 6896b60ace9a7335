//! Real containers, on a cluster of the user's on which Weir is installed: kind, k3d, a cloud.
//!
//! The other suites have a kubelet, a network and images of their own. This one takes what the
//! cluster has: images are pulled, containers start and end, traffic goes through a Service. It
//! makes namespaces called `weir-e2e-…` and deletes them. What it rolls out is [`IMAGE`], a web
//! server that Kubernetes' own tests use; a version is a variable of its environment.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::context::Context;
use crate::ground::objects::{
    JOB, NAMESPACE, Objects, POD, ROLLOUT, SERVICE, is_observed, number, text,
};
use crate::ground::process::output;
use crate::ground::{beside_us, until};
use crate::report::Report;

const NAME: &str = "web";
const IMAGE: &str = "registry.k8s.io/e2e-test-images/agnhost:2.47";
/// No registry has a host of this domain (RFC 2606).
const UNPULLABLE: &str = "registry.invalid/web:2";
/// The first image of a node may take a while.
const LIMIT: Duration = Duration::from_mins(5);

const MANIFEST: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: v1
kind: Service
metadata: {name: web-preview}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  replicas: 4
  progressDeadlineSeconds: $DEADLINE
  progressDeadlineAbort: true
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 15
      containers:
      - name: web
        image: $IMAGE
        args: [netexec, --http-port=8080]
        env: [{name: VERSION, value: '$VERSION'}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe:
          httpGet: {path: /healthz, port: http}
          periodSeconds: 1
        lifecycle: {preStop: {sleep: {seconds: 5}}}
  strategy:
$STRATEGY
";

const CANARY: &str = "
    canary:
      maxSurge: 1
      maxUnavailable: 0
      steps: [{setWeight: 25}, {pause: {}}, {setWeight: 50}, {pause: {duration: 2s}}]
";

const BLUE_GREEN: &str = "
    blueGreen:
      activeService: web
      previewService: web-preview
      autoPromotionEnabled: false
      scaleDownDelaySeconds: 10
";

const MEASURED: &str = "
    canary:
      maxSurge: 1
      maxUnavailable: 0
      steps:
      - setWeight: 25
      - analysis:
          templates: [{templateName: verdict}]
          args: [{name: code, value: '$CODE'}]
";

const TEMPLATE: &str = "
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: verdict}
spec:
  args: [{name: code}]
  metrics:
  - name: verdict
    provider:
      job:
        spec:
          backoffLimit: 0
          template:
            spec:
              restartPolicy: Never
              containers:
              - {name: verdict, image: $IMAGE, command: [sh, -c, 'exit {{args.code}}']}
";

/// Requests one after another, ten a second, until nobody wants more; it fails if one of them was
/// not answered with 200. The Service may be a moment behind its address.
const LOAD: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: load}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: load
        image: $IMAGE
        env: [{name: URL, value: 'http://$ADDRESS/'}, {name: SECONDS_MAX, value: '$SECONDS'}]
        command:
        - bash
        - -c
        - |
          for i in $(seq 100); do curl -sf -m 2 -o /dev/null $URL && break; sleep 0.1; done
          end=$(($(date +%s) + SECONDS_MAX)); lost=0
          while [ $(date +%s) -lt $end ]; do
            curl -sf -m 5 -o /dev/null $URL || lost=$((lost + 1))
            sleep 0.1
          done
          exit $((lost > 0))
";
/// Longer than the rollouts below, pauses and drained pods included, take once images are there.
const LOAD_S: u32 = 60;

pub(super) async fn run(context: &Context) -> Result<Report> {
    let site = Site {
        objects: Objects::new(context.client.clone()),
        weir: beside_us("weir")?,
        kubeconfig: context.args.kubeconfig.clone(),
    };
    let mut report = Report::default();
    for part in PARTS {
        let name = part.to_string();
        if !name.contains(&context.args.only) {
            continue;
        }
        let stage = Stage {
            site: &site,
            namespace: format!("weir-e2e-{name}"),
        };
        match stage.play(part).await.context(name) {
            Ok(()) => report.pass(),
            Err(error) => report.fail(&format_args!("{error:#}")),
        }
    }
    Ok(report)
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// A canary by pod count, promoted by a user, under load.
    Canary,
    /// Blue-green, promoted by a user, under load.
    BlueGreen,
    /// An image that no registry has: back to the old version by itself.
    Unpullable,
    /// A Job measures: one version is good, one is not.
    Measured,
}

const PARTS: [Part; 4] = [
    Part::Canary,
    Part::BlueGreen,
    Part::Unpullable,
    Part::Measured,
];

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Canary => "canary",
            Self::BlueGreen => "blue-green",
            Self::Unpullable => "unpullable",
            Self::Measured => "measured",
        })
    }
}

/// The cluster, and the program that users have.
struct Site {
    objects: Objects,
    weir: PathBuf,
    kubeconfig: PathBuf,
}

/// One part's namespace.
struct Stage<'a> {
    site: &'a Site,
    namespace: String,
}

/// A version of the Rollout.
struct Version<'a> {
    image: &'a str,
    tag: &'a str,
    strategy: &'a str,
    deadline_s: u32,
}

const fn version<'a>(tag: &'a str, strategy: &'a str) -> Version<'a> {
    Version {
        image: IMAGE,
        tag,
        strategy,
        deadline_s: 300,
    }
}

impl Stage<'_> {
    async fn play(&self, part: Part) -> Result<()> {
        self.site.objects.namespace(&self.namespace).await?;
        let played = match part {
            Part::Canary => self.promoted(CANARY).await,
            Part::BlueGreen => self.promoted(BLUE_GREEN).await,
            Part::Unpullable => self.unpullable().await,
            Part::Measured => self.measured().await,
        };
        let objects = &self.site.objects;
        let removed = objects.delete(NAMESPACE, "", &self.namespace).await;
        played.and(removed)
    }

    /// A new version waits for a user while the old one serves, and then takes over; no request is
    /// lost on the way.
    async fn promoted(&self, strategy: &str) -> Result<()> {
        self.release(version("1", strategy)).await?;
        self.is("Healthy").await?;
        let load = LOAD.replace("$ADDRESS", &self.address().await?);
        let load = load.replace("$IMAGE", IMAGE);
        self.apply(&load.replace("$SECONDS", &LOAD_S.to_string()))
            .await?;
        self.release(version("2", strategy)).await?;
        self.is("Paused").await?;
        let rollout = self.rollout().await?;
        let stable = text(&rollout, "/status/stableRS");
        let moving = stable != text(&rollout, "/status/currentPodHash");
        ensure!(moving, "nothing to promote: {}", rollout["status"]);
        self.weir("promote").await?;
        self.is("Healthy").await?;
        self.all_run("2").await?;
        let job = until("the load has ended", LIMIT, async || {
            let job = self.get(JOB, "load").await?;
            let ended = number(&job, "/status/succeeded") + number(&job, "/status/failed") > 0;
            Ok(ended.then_some(job))
        });
        let job = job.await?;
        let lost_none = number(&job, "/status/succeeded") == 1;
        ensure!(lost_none, "requests were lost: {}", job["status"]);
        Ok(())
    }

    async fn unpullable(&self) -> Result<()> {
        self.release(version("1", CANARY)).await?;
        self.is("Healthy").await?;
        let bad = Version {
            image: UNPULLABLE,
            deadline_s: 15,
            ..version("2", CANARY)
        };
        self.release(bad).await?;
        self.is("Degraded").await?;
        self.all_run("1").await?;
        let rollout = self.rollout().await?;
        let aborted = rollout.pointer("/status/abort") == Some(&Value::Bool(true));
        ensure!(aborted, "it is not aborted: {}", rollout["status"]);
        self.release(version("1", CANARY)).await?;
        self.is("Healthy").await
    }

    async fn measured(&self) -> Result<()> {
        let ending = |code: &str| MEASURED.replace("$CODE", code);
        self.apply(&TEMPLATE.replace("$IMAGE", IMAGE)).await?;
        self.release(version("1", &ending("0"))).await?;
        self.is("Healthy").await?;
        self.release(version("2", &ending("0"))).await?;
        self.is("Healthy").await?;
        self.all_run("2").await?;
        self.release(version("3", &ending("1"))).await?;
        self.is("Degraded").await?;
        self.all_run("2").await
    }

    async fn release(&self, version: Version<'_>) -> Result<()> {
        let manifest = MANIFEST
            .replace("$STRATEGY", version.strategy.trim_matches('\n'))
            .replace("$IMAGE", version.image)
            .replace("$VERSION", version.tag)
            .replace("$DEADLINE", &version.deadline_s.to_string());
        self.apply(&manifest).await
    }

    async fn apply(&self, yaml: &str) -> Result<()> {
        self.site.objects.apply(&self.namespace, yaml).await
    }

    async fn get(&self, kind: (&'static str, &'static str), name: &str) -> Result<Value> {
        self.site.objects.get(kind, &self.namespace, name).await
    }

    async fn rollout(&self) -> Result<Value> {
        self.get(ROLLOUT, NAME).await
    }

    /// Where the Service is reached from a pod.
    async fn address(&self) -> Result<String> {
        let service = self.get(SERVICE, NAME).await?;
        let outer = text(&service, "/status/loadBalancer/ingress/0/ip");
        let inner = text(&service, "/spec/clusterIP");
        let address = if outer.is_empty() { inner } else { outer };
        ensure!(!address.is_empty(), "the Service has no address: {service}");
        Ok(address.to_owned())
    }

    /// Waits until the newest spec has been seen and has led to a phase.
    async fn is(&self, phase: &str) -> Result<()> {
        until(&format!("the Rollout is {phase}"), LIMIT, async || {
            let rollout = self.rollout().await?;
            let good = is_observed(&rollout) && text(&rollout, "/status/phase") == phase;
            ensure!(good, "{}", rollout["status"]);
            Ok(Some(()))
        })
        .await
    }

    /// Waits until four ready pods of a version are there and no other.
    async fn all_run(&self, version: &str) -> Result<()> {
        until(&format!("only version {version} runs"), LIMIT, async || {
            let objects = &self.site.objects;
            let pods = objects.list(POD, Some(&self.namespace), "app=web").await?;
            let ready = pods.iter().filter(|pod| {
                let conditions = pod["status"]["conditions"].as_array();
                let mut conditions = conditions.into_iter().flatten();
                text(pod, "/spec/containers/0/env/0/value") == version
                    && conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
            });
            let ready = ready.count();
            ensure!(
                ready == 4 && pods.len() == 4,
                "{ready} of {} pods",
                pods.len()
            );
            Ok(Some(()))
        })
        .await
    }

    /// As a user would.
    async fn weir(&self, verb: &str) -> Result<()> {
        let mut command = Command::new(&self.site.weir);
        command
            .args([verb, NAME, "--namespace", &self.namespace])
            .env("KUBECONFIG", &self.site.kubeconfig);
        output(command).await.map(drop)
    }
}
