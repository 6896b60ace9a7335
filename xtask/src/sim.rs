//! `cargo xtask sim`: the simulator, from one seed to a swarm for minutes.

#![allow(clippy::print_stdout, reason = "a task's output is its purpose")]

use anyhow::{Result, bail};
use ::sim::check::Breach;
use ::sim::scenario::Scenario;
use ::sim::swarm::{self, Play, Tally};
use ::sim::{bugs, generate, shrink};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Play one scenario and print what happens in it
    #[arg(long)]
    seed: Option<u64>,
    /// Play scenarios for so many minutes
    #[arg(long, value_name = "MINUTES")]
    swarm: Option<f64>,
    /// The first seed of the swarm
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u64,
    /// Play every scenario that ever failed (also done before a swarm)
    #[arg(long)]
    bugs: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(seed) = args.seed {
        return one(seed);
    }
    old_bugs()?;
    if let Some(minutes) = args.swarm {
        return swarm(args.from, minutes);
    }
    if args.bugs {
        return Ok(());
    }
    bail!("say what to play: --seed, --swarm or --bugs")
}

fn one(seed: u64) -> Result<()> {
    let scenario = generate::scenario(seed);
    let play = Play {
        logs: true,
        ..Play::default()
    };
    println!("{}", serde_json::to_string_pretty(&scenario)?);
    let run = swarm::run(&scenario, play);
    for line in &run.log {
        println!("{line}");
    }
    match run.breach {
        None => Ok(()),
        Some(breach) => bail!("seed {seed}: {breach}"),
    }
}

fn old_bugs() -> Result<()> {
    let all = bugs::all(&bugs::folder())?;
    let count = all.len();
    for (name, bug) in all {
        if let Some(breach) = swarm::run(&bug.scenario, Play::default()).breach {
            bail!("bugs/{name}.json is back: {breach}");
        }
    }
    println!("sim: {count} old bugs: none is back");
    Ok(())
}

fn swarm(from: u64, minutes: f64) -> Result<()> {
    let begun = Instant::now();
    let limit = Duration::from_secs_f64(minutes * 60.0);
    let mut tally = Tally::default();
    let play = Play::default();
    let found = swarm::hunt(from, play, &mut tally, |_| begun.elapsed() < limit);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "sim: {} scenarios in {seconds:.1} s ({:.0} per second), {} plans, {} writes",
        tally.scenarios,
        tally.scenarios as f64 / seconds,
        tally.plans,
        tally.writes,
    );
    match found {
        None => Ok(()),
        Some((scenario, breach)) => Err(report(&scenario, &breach)?),
    }
}

/// Shrinks and keeps a scenario that failed.
fn report(scenario: &Scenario, breach: &Breach) -> Result<anyhow::Error> {
    let small = shrink::shrink(scenario, &breach.rule, Play::default());
    let logs = Play {
        logs: true,
        ..Play::default()
    };
    let run = swarm::run(&small, logs);
    for line in &run.log {
        println!("{line}");
    }
    let last = run.breach.unwrap_or_else(|| breach.clone());
    let path = bugs::keep(&bugs::folder(), &small, &last)?;
    let seed = scenario.seed;
    Ok(anyhow::anyhow!(
        "seed {seed}: {breach}\nshrunk to: {last}\nkept in {}",
        path.display()
    ))
}
