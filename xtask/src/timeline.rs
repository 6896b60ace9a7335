//! `cargo xtask timeline FILE.yaml`: plays a scenario and prints the first difference from its
//! recording.
//!
//! Without `--kubeconfig` it is played on the embedded cluster, in virtual time, with a controller
//! in this process. With it, on a real cluster, in real time: a controller has to be at work there
//! already (`weir controller --kubeconfig FILE`), and the CRDs installed.

#![allow(clippy::print_stdout, reason = "a task's output is its purpose")]

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use timelines::{Intended, Recording, Scenario, Settings, Time};
use weir::sandbox::embedded::{Embedded, Web};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The scenario
    #[arg(value_name = "FILE.yaml")]
    scenario: PathBuf,
    /// The recording to compare with; FILE.json beside the scenario if absent
    #[arg(long, value_name = "FILE.json")]
    against: Option<PathBuf>,
    /// Play on a real cluster, with the controller that is at work there
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Write what was seen as a recording
    #[arg(long, value_name = "FILE.json")]
    record: Option<PathBuf>,
    /// Print every difference, not only the first
    #[arg(long)]
    all: bool,
}

/// Pods of the recordings are ready so long after they are made.
const READY_MS: u64 = 400;

pub(crate) fn run(args: &Args) -> Result<()> {
    let scenario = Scenario::parse(&read(&args.scenario)?)
        .with_context(|| format!("{}", args.scenario.display()))?;
    let against = args
        .against
        .clone()
        .unwrap_or_else(|| args.scenario.with_extension("json"));
    let peer: Option<Recording> = match (against.exists(), &args.against) {
        (false, None) => None,
        _ => Some(
            serde_json::from_str(&read(&against)?)
                .with_context(|| against.display().to_string())?,
        ),
    };
    let weir = match &args.kubeconfig {
        Some(kubeconfig) => real(&scenario, kubeconfig)?,
        None => embedded(&scenario)?,
    };
    if let Some(path) = &args.record {
        std::fs::write(path, serde_json::to_string_pretty(&weir)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let Some(peer) = peer else {
        println!(
            "{}: {} changes seen, no recording to compare with",
            scenario.name,
            weir.timeline.len()
        );
        return Ok(());
    };
    report(args, &peer, &weir, &intended(&args.scenario)?)
}

fn report(args: &Args, peer: &Recording, weir: &Recording, intended: &[Intended]) -> Result<()> {
    let time = match args.kubeconfig {
        Some(_) => Time::Real,
        None => Time::Virtual,
    };
    let found = timelines::differences(peer, weir, time);
    let verdict = timelines::judge(&found, intended, time);
    for one in intended.iter().filter(|one| found.contains(&one.what)) {
        println!("intended: {}\n  because {}", one.what, one.why);
    }
    let shown = if args.all { usize::MAX } else { 1 };
    for line in verdict.unintended.iter().take(shown) {
        println!("difference: {line}");
    }
    for line in verdict.vanished.iter().take(shown) {
        println!("no longer there, though it is listed as intended: {line}");
    }
    if verdict.is_good() {
        println!("{}: as recorded", peer.name);
        return Ok(());
    }
    let (unintended, vanished) = (verdict.unintended.len(), verdict.vanished.len());
    bail!(
        "{}: {unintended} differences, {vanished} that are no longer there",
        peer.name
    )
}

/// `NAME.differences.json` beside the scenario.
fn intended(scenario: &Path) -> Result<Vec<Intended>> {
    let path = scenario.with_extension("differences.json");
    if !path.exists() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&read(&path)?).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn embedded(scenario: &Scenario) -> Result<Recording> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(async {
        let version = include_str!("../../crates/timelines/recordings/version.json");
        let web = Web(BTreeMap::from([(
            "https://kubernetes.default.svc/version".to_owned(),
            version.to_owned(),
        )]));
        let cluster = Embedded::start(READY_MS, web)?;
        let client = cluster.api.client();
        let settings = Settings::of(scenario);
        Ok(timelines::play(&client, scenario, &settings).await?)
    })
}

fn real(scenario: &Scenario, kubeconfig: &Path) -> Result<Recording> {
    // One provider of cryptography for every TLS connection of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(kubeconfig)
            .with_context(|| format!("reading {}", kubeconfig.display()))?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        let client = Client::try_from(config)?;
        let settings = Settings::in_real_time(scenario);
        Ok(timelines::play(&client, scenario, &settings).await?)
    })
}
