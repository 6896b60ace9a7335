//! A crash after any action, before its status: the next start takes it from there.

use crate::compare;
use crate::fixture::Fixture;
use crate::timelines::SCENARIOS;
use crate::world::World;

/// What must not depend on a crash: the end of the story.
fn end(fixture: &Fixture, world: &World) -> Vec<String> {
    let expected = fixture.expect.last().unwrap();
    compare::state(fixture, expected, world)
}

#[test]
fn a_crash_after_any_action_changes_no_end() {
    for (name, text) in SCENARIOS {
        let fixture = Fixture::parse(text);
        let mut world = fixture.world();
        fixture.play(&mut world, |_, _| {});
        let (actions, undisturbed) = (world.actions_done, end(&fixture, &world));
        for crash_after in 0..=actions {
            let mut world = fixture.world();
            world.crash_after = Some(crash_after);
            world.plans_twice = false;
            fixture.play(&mut world, |_, _| {});
            assert_eq!(
                end(&fixture, &world),
                undisturbed,
                "{name}: crash after action {crash_after}"
            );
        }
    }
}
