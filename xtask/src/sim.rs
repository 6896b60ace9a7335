//! `cargo xtask sim`: the simulator, from one seed to a swarm for minutes.

#![allow(clippy::print_stdout, reason = "a task's output is its purpose")]

use ::sim::check::Breach;
use ::sim::fleet::Fleet;
use ::sim::mutant::Mutant;
use ::sim::scenario::Scenario;
use ::sim::swarm::{self, Play, Tally};
use ::sim::{bugs, generate, shrink};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Play one scenario and print what happens in it
    #[arg(long)]
    seed: Option<u64>,
    /// Play one scenario of a file as in crates/sim/bugs and print what happens in it
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,
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
    /// Update so many Rollouts of one world at once, and print what their plans cost
    #[arg(long, value_name = "ROLLOUTS")]
    fleet: Option<usize>,
}

/// Scenarios that a swarm shrinks and keeps before it gives up.
const FOUND_MAX: usize = 8;
/// A mutant that lives longer than this is not caught.
const MUTANT_LIFE: Duration = Duration::from_mins(1);

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(seed) = args.seed {
        let scenario = generate::scenario(seed);
        println!("{}", serde_json::to_string_pretty(&scenario)?);
        return one(&scenario);
    }
    if let Some(path) = &args.play {
        return one(&bugs::read(path)?.scenario);
    }
    if args.mutants {
        return mutants(args);
    }
    if let Some(count) = args.crashes {
        let tried = swarm::crashes(args.from, count).map_err(anyhow::Error::msg)?;
        println!("sim: {tried} crashes in {count} scenarios: every one ends as it does without");
        return Ok(());
    }
    if let Some(count) = args.fleet {
        return fleet(count);
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

/// Deploys a fleet, updates all of it at one moment, and says what each plan took.
fn fleet(count: usize) -> Result<()> {
    let empty = resident_kib()?;
    let mut fleet = Fleet::new(count).map_err(anyhow::Error::msg)?;
    fleet.settle(thread_time).map_err(anyhow::Error::msg)?;
    fleet.update(1);
    fleet.settle(thread_time).map_err(anyhow::Error::msg)?;
    let mut times = std::mem::take(&mut fleet.times);
    // A duration has 16 bytes.
    let resident = resident_kib()?.saturating_sub(empty + times.capacity() as u64 / 64);
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "fleet: {count} Rollouts, {} plans: median {:.1} µs, p99 {:.1} µs, most {:.1} µs",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!(
        "fleet: {:.1} KiB a Rollout, with its ReplicaSets, services and route",
        resident as f64 / count.max(1) as f64
    );
    Ok(())
}

/// How long this thread has run: what other processes take does not count.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Resident memory of this process.
fn resident_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.unwrap_or_default().parse()?)
}

fn one(scenario: &Scenario) -> Result<()> {
    let play = Play {
        logs: true,
        ..Play::default()
    };
    let run = swarm::run(scenario, play);
    for line in &run.log {
        println!("{line}");
    }
    match run.breach {
        None => Ok(()),
        Some(breach) => bail!("{breach}"),
    }
}

fn old_bugs() -> Result<()> {
    let all = bugs::all(&bugs::folder())?;
    let count = all.len();
    let mut back = 0;
    for (name, bug) in all {
        if let Some(breach) = swarm::run(&bug.scenario, Play::default()).breach {
            println!("bugs/{name}.json is back: {breach}");
            back += 1;
        }
    }
    if back > 0 {
        bail!("{back} of {count} old bugs are back");
    }
    println!("sim: {count} old bugs: none is back");
    Ok(())
}

fn swarm(from: u64, minutes: f64) -> Result<()> {
    let begun = Instant::now();
    let idle = thread_time();
    let limit = Duration::from_secs_f64(minutes * 60.0);
    let mut tally = Tally::default();
    let play = Play::default();
    let mut found = Vec::new();
    let mut seed = from;
    while let Some((scenario, breach)) =
        swarm::hunt(seed, play, &mut tally, |_| begun.elapsed() < limit)
    {
        println!("seed {}: {breach}", scenario.seed);
        seed = scenario.seed + 1;
        found.push((scenario, breach));
        if found.len() == FOUND_MAX {
            break;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let busy = thread_time().saturating_sub(idle).as_secs_f64();
    println!(
        "sim: {} scenarios in {seconds:.1} s ({:.0} per core-second), {} plans, {} writes",
        tally.scenarios,
        tally.scenarios as f64 / busy,
        tally.plans,
        tally.writes,
    );
    for (scenario, breach) in &found {
        report(scenario, breach)?;
    }
    if found.is_empty() {
        return Ok(());
    }
    bail!("{} scenarios break a rule", found.len())
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
fn report(scenario: &Scenario, breach: &Breach) -> Result<()> {
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
    println!("seed {}: {breach}", scenario.seed);
    println!("shrunk to: {last}\nkept in {}\n", path.display());
    Ok(())
}
