//! Scenarios by the thousand.

use crate::check::Breach;
use crate::generate;
use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::world::World;

/// Of many worlds: how much happened in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub scenarios: u64,
    pub plans: u64,
    pub writes: u64,
}

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
    let faults = scenario.faults.iter().filter_map(crate::fault::Fault::at_ms);
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
