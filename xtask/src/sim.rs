//! `cargo xtask sim`: the simulator, from one seed to a swarm for minutes.

#![allow(clippy::print_stdout, reason = "a task's output is its purpose")]

use ::sim::check::Breach;
use ::sim::mutant::Mutant;
use ::sim::scenario::Scenario;
use ::sim::swarm::{self, Play, Tally};
use ::sim::{bugs, generate, shrink};
use anyhow::{Result, bail};
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
    /// Break the planner in every way of crates/sim/mutants, and see whether the swarm notices
    #[arg(long)]
    mutants: bool,
    /// Only this mutant
    #[arg(long, value_name = "NAME", requires = "mutants")]
    mutant: Option<String>,
    /// Play so many scenarios again and again, with a crash before every call
    #[arg(long, value_name = "SCENARIOS")]
    crashes: Option<u64>,
}

/// A mutant that lives longer than this is not caught.
const MUTANT_LIFE: Duration = Duration::from_mins(1);

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(seed) = args.seed {
        return one(seed);
    }
    if args.mutants {
        return mutants(args);
    }
    if let Some(count) = args.crashes {
        let tried = swarm::crashes(args.from, count).map_err(anyhow::Error::msg)?;
        println!("sim: {tried} crashes in {count} scenarios: every one ends as it does without");
        return Ok(());
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

/// Lets the swarm loose on every mutant.
fn mutants(args: &Args) -> Result<()> {
    let mut alive = Vec::new();
    for &mutant in Mutant::ALL {
        if args
            .mutant
            .as_deref()
            .is_some_and(|name| name != mutant.name())
        {
            continue;
        }
        let begun = Instant::now();
        let play = Play {
            mutant: Some(mutant),
            logs: false,
        };
        let mut tally = Tally::default();
        let found = swarm::hunt(args.from, play, &mut tally, |_| {
            begun.elapsed() < MUTANT_LIFE
        });
        let seconds = begun.elapsed().as_secs_f64();
        let count = tally.scenarios;
        if let Some((_, breach)) = found {
            println!(
                "caught {} after {seconds:.2} s, {count} scenarios: {}: {}",
                mutant.name(),
                breach.rule,
                breach.what.chars().take(100).collect::<String>()
            );
        } else {
            println!(
                "ALIVE  {} after {seconds:.2} s, {count} scenarios",
                mutant.name()
            );
            alive.push(mutant.name());
        }
    }
    if alive.is_empty() {
        return Ok(());
    }
    bail!("{} mutants are alive: {}", alive.len(), alive.join(", "))
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
