//! Recorded timelines of the peer, replayed: the same states at every `until` and at the end, the
//! same events, the same order of milestones. Intended differences stand in the fixtures, each with
//! its reason; any other difference fails, and so does one that no longer exists.

use crate::compare;
use crate::fixture::Fixture;
use std::collections::BTreeSet;

/// Every difference between the peer's recording and Weir's play.
fn differences(fixture: &Fixture) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut world = fixture.world();
    fixture.play(&mut world, |label, world| {
        let expected = fixture.expect.iter().find(|expected| expected.at == label);
        let expected = expected.unwrap_or_else(|| panic!("no expectation for {label}"));
        lines.extend(compare::state(fixture, expected, world));
    });
    lines.extend(compare::events(fixture, &world));
    lines.extend(compare::order(fixture, &world));
    lines
}

fn replay(text: &str) {
    let fixture = Fixture::parse(text);
    let intended: BTreeSet<String> = fixture
        .differences
        .iter()
        .map(|difference| difference.what.clone())
        .collect();
    let found = differences(&fixture);
    let unintended: Vec<_> = found.difference(&intended).collect();
    let vanished: Vec<_> = intended.difference(&found).collect();
    assert!(
        unintended.is_empty() && vanished.is_empty(),
        "{}: unintended {unintended:#?}, no longer there {vanished:#?}",
        fixture.scenario
    );
}

/// At the end of every scenario the plan is empty: the fixpoint.
fn rests(text: &str) {
    let fixture = Fixture::parse(text);
    let mut world = fixture.world();
    fixture.play(&mut world, |_, _| {});
    world.sleep(3600.0);
    let plan = world.last_plan.clone().unwrap();
    assert!(
        plan.actions.is_empty(),
        "{}: {:#?}",
        fixture.scenario,
        plan.actions
    );
    assert!(
        plan.releases.is_empty(),
        "{}: {:#?}",
        fixture.scenario,
        plan.releases
    );
    assert!(
        plan.root.is_empty(),
        "{}: {:#?}",
        fixture.scenario,
        plan.root
    );
    let status = serde_json::to_value(&plan.status).unwrap();
    assert_eq!(status, world.rollout()["status"], "{}", fixture.scenario);
}

macro_rules! scenarios {
    ($($name:ident = $file:literal,)+) => {
        /// Name and text of every recorded scenario.
        pub(crate) const SCENARIOS: &[(&str, &str)] = &[
            $(($file, include_str!(concat!("../fixtures/timelines/", $file, ".json"))),)+
        ];
        $(
            mod $name {
                const TEXT: &str = include_str!(concat!("../fixtures/timelines/", $file, ".json"));

                #[test]
                fn plays_as_recorded() {
                    super::replay(TEXT);
                }

                #[test]
                fn comes_to_rest() {
                    super::rests(TEXT);
                }
            }
        )+
    };
}

scenarios! {
    canary_timed = "canary-timed",
    canary_no_steps = "canary-no-steps",
    canary_back_to_stable = "canary-back-to-stable",
    canary_superseded = "canary-superseded",
    canary_paused_spec = "canary-paused-spec",
    canary_scale_midway = "canary-scale-midway",
    canary_deadline_abort = "canary-deadline-abort",
    canary_rollback_window = "canary-rollback-window",
    bluegreen_manual = "bluegreen-manual",
    bluegreen_abort = "bluegreen-abort",
    bluegreen_preview_count = "bluegreen-preview-count",
    bluegreen_superseded = "bluegreen-superseded",
    bluegreen_postpromotion_fails = "bluegreen-postpromotion-fails",
    analysis_args = "analysis-args",
    analysis_error = "analysis-error",
    analysis_inconclusive = "analysis-inconclusive",
    analysis_inline_passes = "analysis-inline-passes",
    experiment_step = "experiment-step",
    workload_ref = "workload-ref",
    restart = "restart",
    routed_abort = "routed-abort",
    routed_min_pods = "routed-min-pods",
    routed_set_canary_scale = "routed-set-canary-scale",
}
