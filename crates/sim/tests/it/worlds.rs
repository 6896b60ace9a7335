//! Worlds are repeatable, keep the rules, and catch those who don't.

use sim::actor::{Act, Sight};
use sim::mutant::Mutant;
use sim::swarm::{self, Play, Tally};
use sim::{bugs, generate, shrink};

const LOGS: Play = Play {
    mutant: None,
    logs: true,
};

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in [1, 7, 42] {
        let scenario = generate::scenario(seed);
        assert_eq!(scenario, generate::scenario(seed));
        let (first, second) = (swarm::run(&scenario, LOGS), swarm::run(&scenario, LOGS));
        assert!(
            first.log.len() > 10,
            "seed {seed} is a world where nothing happens"
        );
        assert_eq!(first.log, second.log);
    }
}

#[test]
fn no_old_bug_is_back() {
    for (name, bug) in bugs::all(&bugs::folder()).unwrap() {
        let breach = swarm::run(&bug.scenario, Play::default()).breach;
        assert!(breach.is_none(), "bugs/{name}.json: {}", breach.unwrap());
    }
}

#[test]
fn a_few_dozen_worlds_keep_the_rules() {
    for seed in 1_000_000..1_000_060 {
        let run = swarm::run(&generate::scenario(seed), Play::default());
        assert!(run.breach.is_none(), "seed {seed}: {}", run.breach.unwrap());
    }
}

#[test]
fn a_mutant_is_caught_and_its_scenario_shrinks() {
    let play = Play {
        mutant: Some(Mutant::StatusAhead),
        logs: false,
    };
    let mut tally = Tally::default();
    let found = swarm::hunt(1, play, &mut tally, |tally| tally.scenarios < 20);
    let (scenario, breach) = found.expect("a status ahead of its generation is seen at once");
    let small = shrink::shrink(&scenario, &breach.rule, play);
    assert!(small.faults.is_empty(), "{:?}", small.faults);
    assert!(small.acts.is_empty(), "{:?}", small.acts);
    let again = swarm::run(&small, play).breach.map(|breach| breach.rule);
    assert_eq!(again, Some(breach.rule));
}

#[test]
fn some_worlds_have_an_autoscaler_and_some_no_preview() {
    let (mut scaled, mut blind) = (0, 0);
    for seed in 1..300 {
        let scenario = generate::scenario(seed);
        let sizes = scenario.acts.iter().map(|timed| &timed.act);
        let sizes = sizes.filter(|act| matches!(act, Act::Scale(_))).count();
        scaled += i32::from(sizes >= 4);
        let blue_green = scenario.spec.pointer("/strategy/blueGreen");
        blind += i32::from(blue_green.is_some_and(|own| own.get("previewService").is_none()));
    }
    assert!(
        scaled > 10 && blind > 3,
        "{scaled} with an autoscaler, {blind} without a preview"
    );
}

#[test]
fn some_worlds_give_rules_of_steps_up_and_some_mislead_experiments() {
    let (mut given_up, mut misled) = (0, 0);
    for seed in 1..2_000 {
        let scenario = generate::scenario(seed);
        for timed in &scenario.acts {
            let Act::Await { sight, .. } = &timed.act else {
                continue;
            };
            match sight {
                Sight::StepRules => given_up += 1,
                Sight::ExperimentService => misled += 1,
            }
        }
    }
    assert!(
        given_up > 5 && misled > 5,
        "{given_up} give rules up, {misled} mislead experiments"
    );
}
