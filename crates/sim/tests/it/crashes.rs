//! A crash at every call: the story ends as it does without.

use sim::swarm;

#[test]
fn a_crash_at_any_call_changes_no_end() {
    let checked = swarm::crashes(1, 3).unwrap_or_else(|what| panic!("{what}"));
    assert!(checked > 30, "only {checked} crashes were tried");
}
