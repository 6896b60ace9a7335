//! Debian's Prometheus, which scrapes every pod with the label `app`.
//!
//! Its build has no discovery of Kubernetes: a task writes the pods into a file that it watches.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::AbortHandle;

use super::objects::{Objects, POD, text};
use super::process::Process;
use super::{Ground, until};

pub(crate) const ADDRESS: &str = "http://127.0.0.1:9090";
const START_LIMIT: Duration = Duration::from_mins(1);
/// Pause between two looks at the pods.
const LOOK: Duration = Duration::from_millis(500);
const CONFIG: &str = "
global:
  scrape_interval: 1s
scrape_configs:
- job_name: pods
  file_sd_configs:
  - files: [$TARGETS]
    refresh_interval: 1s
";

/// See the module's documentation.
pub(crate) struct Prometheus {
    process: Process,
    discovery: AbortHandle,
}

impl Prometheus {
    pub(crate) async fn start(ground: &Ground) -> Result<Self> {
        let config = ground.dir.join("prometheus.yaml");
        let targets = ground.dir.join("targets.json");
        let text = CONFIG.replace("$TARGETS", &targets.to_string_lossy());
        std::fs::write(&config, text).with_context(|| format!("{}", config.display()))?;
        let discovery = tokio::spawn(discover(ground.objects.clone(), targets)).abort_handle();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                ground.dir.join("prometheus").display()
            ))
            .arg("--web.listen-address=127.0.0.1:9090");
        let mut process = Process::start("prometheus", command, &ground.dir)
            .context("Prometheus is needed: install the package prometheus")?;
        until("Prometheus is ready", START_LIMIT, async || {
            process.check()?;
            let answer = reqwest::get(format!("{ADDRESS}/-/ready")).await?;
            Ok(answer.status().is_success().then_some(()))
        })
        .await?;
        Ok(Self { process, discovery })
    }

    pub(crate) fn check(&mut self) -> Result<()> {
        self.process.check()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.discovery.abort();
    }
}

/// Keeps the file of targets as the pods are.
async fn discover(objects: Objects, file: PathBuf) {
    let mut written = None;
    loop {
        if let Ok(pods) = objects.list(POD, None, "app").await {
            let targets: Value = pods.iter().filter_map(target).collect();
            // Renamed, so that Prometheus never reads half of it.
            let draft = file.with_extension("draft");
            if written.as_ref() != Some(&targets)
                && std::fs::write(&draft, targets.to_string()).is_ok()
                && std::fs::rename(&draft, &file).is_ok()
            {
                written = Some(targets);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn target(pod: &Value) -> Option<Value> {
    let address = pod.pointer("/status/podIP")?.as_str()?;
    let labels = json!({
        "namespace": text(pod, "/metadata/namespace"),
        "pod": text(pod, "/metadata/name"),
        "hash": text(pod, "/metadata/labels/rollouts-pod-template-hash"),
    });
    Some(json!({"targets": [format!("{address}:8080")], "labels": labels}))
}
