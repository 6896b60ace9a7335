//! Events.

use super::*;

#[test]
fn events_expire_an_hour_after_they_were_last_written() {
    let options = Options {
        event_ttl_s: Some(3_600),
        ..Options::default()
    };
    let mut world = World::with(options);
    let events = |world: &World| world.api.list(&(&Kind::EVENT).into(), Some("default"));
    world.create(replica_set(1, "weir/demo:blue"));
    world.run(1_800);
    let before = events(&world).len();
    assert!(before > 0);
    let name = events(&world)[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    world.merge(&Kind::EVENT, &name, json!({ "count": 2 }));
    world.run(1_790);
    assert_eq!(events(&world).len(), before);
    world.run(100);
    let left = events(&world);
    assert_eq!(left.len(), 1, "{left:#?}");
    assert_eq!(left[0]["metadata"]["name"], name.as_str());
    world.run(3_600);
    assert!(events(&world).is_empty());
    assert_eq!(world.run(36_000), 1, "no wake-ups at rest");
}

#[test]
fn a_probe_that_fails_every_second_is_not_an_event_every_second() {
    let mut world = World::with(Options::default());
    let mut rs = replica_set(1, "weir/demo:blue-unready");
    rs["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
        json!({ "httpGet": { "path": "/health", "port": 8080 }, "periodSeconds": 1 });
    world.create(rs);
    world.run(100);
    let before = world.api.revision();
    world.run(300);
    assert_eq!(
        world.api.revision() - before,
        1,
        "one Event in five minutes"
    );
}
