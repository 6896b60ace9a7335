//! Scenarios by the thousand.

use crate::actor::Act;
use crate::check::Breach;
use crate::generate;
use crate::mutant::Mutant;
use crate::scenario::{Scenario, Timed};
use crate::world::World;

/// Of many worlds: how much happened in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub scenarios: u64,
    pub plans: u64,
    pub writes: u64,
}

/// When users update in a scenario of crashes, and when they say what becomes of that: what happens
/// by itself is over by then.
const UPDATE_MS: i64 = 120_000;
const VERDICT_MS: i64 = 900_000;

/// How a scenario ended.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The first rule that was broken.
    pub breach: Option<Breach>,
    pub plans: u64,
    pub writes: u64,
    pub log: Vec<String>,
}

/// How to play scenarios.
#[derive(Clone, Copy, Debug, Default)]
pub struct Play {
    pub mutant: Option<Mutant>,
    pub logs: bool,
}

/// Plays one scenario to its end: the busy time, a rest, and a recovery.
pub fn run(scenario: &Scenario, play: Play) -> Run {
    let mut world = World::new(scenario);
    world.shared.mutant = play.mutant;
    world.shared.log = play.logs.then(Vec::new);
    let busy = scenario.acts.iter().map(|timed| timed.at_ms);
    let faults = scenario
        .faults
        .iter()
        .filter_map(crate::fault::Fault::at_ms);
    let end = busy.chain(faults).max().unwrap_or(0) + 1_000;
    world.advance(end);
    if world.breaches().is_empty() {
        world.heal();
        world.rest();
    }
    if world.breaches().is_empty() {
        world.recover();
    }
    Run {
        breach: world.breaches().first().cloned(),
        plans: world.shared.plans,
        writes: world.shared.writes,
        log: world.shared.log.unwrap_or_default(),
    }
}

/// Plays seeds one after another until one breaks a rule or `go_on` says no.
pub fn hunt(
    first_seed: u64,
    play: Play,
    tally: &mut Tally,
    mut go_on: impl FnMut(&Tally) -> bool,
) -> Option<(Scenario, Breach)> {
    let mut seed = first_seed;
    while go_on(tally) {
        let scenario = generate::scenario(seed);
        let run = run(&scenario, play);
        tally.scenarios += 1;
        tally.plans += run.plans;
        tally.writes += run.writes;
        if let Some(breach) = run.breach {
            return Some((scenario, breach));
        }
        seed = seed.wrapping_add(1);
    }
    None
}

/// Plays `count` scenarios without faults, and each again with a crash before every call: the end
/// must be the same, with nothing doubled. Of three updates one is aborted in the end, and one
/// promoted in full. Answers how many crashes were tried.
///
/// # Errors
/// The seed, the call, and what is different.
pub fn crashes(first_seed: u64, count: u64) -> Result<u64, String> {
    let mut tried = 0;
    let mut seed = first_seed;
    let mut done = 0;
    while done < count {
        let mut scenario = generate::scenario(seed);
        seed += 1;
        scenario.faults.clear();
        // When things happen depends on the crash; what users do at which step must not. So they
        // update once, when the first revision has been at rest for long.
        scenario
            .acts
            .retain(|timed| matches!(timed.act, Act::Image(_)));
        scenario.acts.truncate(1);
        scenario
            .acts
            .iter_mut()
            .for_each(|timed| timed.at_ms = UPDATE_MS);
        let verdict = match scenario.seed % 3 {
            0 => None,
            1 => Some(Act::Abort),
            _ => Some(Act::PromoteFull),
        };
        let at_ms = VERDICT_MS;
        scenario
            .acts
            .extend(verdict.map(|act| Timed { at_ms, act }));
        let (end, calls) = ending(&scenario)?;
        for call in 1..=calls {
            let mut crashing = scenario.clone();
            crashing.faults = vec![crate::fault::Fault::CrashAfterAction {
                call,
                down_ms: 1,
                stale_ms: 0,
            }];
            let (other, _) = ending(&crashing)?;
            if other != end {
                return Err(format!(
                    "seed {}, crash before call {call}:\n{end}\ninstead\n{other}",
                    scenario.seed
                ));
            }
            tried += 1;
        }
        done += 1;
    }
    Ok(tried)
}

/// The state in which a scenario comes to rest, without times, and how many calls that took.
fn ending(scenario: &Scenario) -> Result<(String, u32), String> {
    let mut world = World::new(scenario);
    world.advance(10_000);
    world.rest();
    if let Some(breach) = world.breaches().first() {
        return Err(format!("seed {}: {breach}", scenario.seed));
    }
    Ok((world.summary(), world.shared.calls))
}
