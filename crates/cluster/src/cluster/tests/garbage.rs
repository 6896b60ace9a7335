//! What goes with its owners.

use super::*;

const CONFIG_MAP: Kind = Kind::of("", "v1", "ConfigMap");

fn reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "blockOwnerDeletion": true,
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
    })
}

fn config(name: &str, namespace: &str, owners: &[&Value]) -> Value {
    let owners: Vec<Value> = owners.iter().map(|owner| reference(owner)).collect();
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace, "ownerReferences": owners },
    })
}

#[test]
fn a_whole_tree_is_collected() {
    for propagation in [
        apiserver::Propagation::Background,
        apiserver::Propagation::Foreground,
    ] {
        let mut world = World::new();
        world.create(deployment(3, "weir/demo:blue"));
        world.run(10);
        assert_eq!(world.pods().len(), 3);
        world.delete(&Kind::DEPLOYMENT, "web", Some(propagation));
        world.run(0);
        let waits = world.get(&Kind::DEPLOYMENT, "web").is_some();
        assert_eq!(waits, propagation == apiserver::Propagation::Foreground);
        world.run(60);
        assert!(world.pods().is_empty());
        assert!(world.get(&Kind::DEPLOYMENT, "web").is_none());
        assert!(
            world
                .api
                .list(&(&Kind::REPLICA_SET).into(), None)
                .is_empty()
        );
    }
}

#[test]
fn orphaned_pods_stay_and_are_adopted_again() {
    let mut world = World::new();
    world.create(replica_set(2, "weir/demo:blue"));
    world.run(5);
    let names = |world: &World| -> Vec<String> {
        world
            .pods()
            .iter()
            .map(|p| p["metadata"]["name"].to_string())
            .collect()
    };
    let before = names(&world);
    world.delete(
        &Kind::REPLICA_SET,
        "web",
        Some(apiserver::Propagation::Orphan),
    );
    world.run(60);
    assert!(world.get(&Kind::REPLICA_SET, "web").is_none());
    assert!(
        world
            .pods()
            .iter()
            .all(|pod| pod["metadata"]["ownerReferences"].is_null())
    );
    let rs = world.create(replica_set(2, "weir/demo:blue"));
    world.run(5);
    assert_eq!(names(&world), before, "adopted, not replaced");
    for pod in world.pods() {
        assert_eq!(
            pod["metadata"]["ownerReferences"][0]["uid"],
            rs["metadata"]["uid"]
        );
    }
}

#[test]
fn owners_in_a_circle_go_together() {
    for propagation in [
        apiserver::Propagation::Background,
        apiserver::Propagation::Foreground,
    ] {
        let mut world = World::new();
        let a = world.create(config("a", "default", &[]));
        let b = world.create(config("b", "default", &[&a]));
        let owners = json!({ "metadata": { "ownerReferences": [reference(&b)] } });
        world.merge(&CONFIG_MAP, "a", owners);
        world.run(5);
        assert!(world.get(&CONFIG_MAP, "a").is_some() && world.get(&CONFIG_MAP, "b").is_some());
        world.delete(&CONFIG_MAP, "a", Some(propagation));
        world.run(5);
        assert!(world.get(&CONFIG_MAP, "a").is_none() && world.get(&CONFIG_MAP, "b").is_none());
    }
}

#[test]
fn an_owner_counts_only_where_and_as_what_it_is_looked_for() {
    let mut world = World::with(Options::default());
    world
        .create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
    world.run(0);
    let elsewhere = world.create(config("owner", "shop", &[]));
    let here = world.create(config("owner", "default", &[]));
    world.create(config("of-elsewhere", "default", &[&elsewhere]));
    world.create(config("of-here", "default", &[&here]));
    let mut misnamed = config("misnamed", "default", &[&here]);
    misnamed["metadata"]["ownerReferences"][0]["name"] = json!("other");
    world.create(misnamed);
    world.run(5);
    let left =
        ["of-elsewhere", "of-here", "misnamed"].map(|name| world.get(&CONFIG_MAP, name).is_some());
    assert_eq!(left, [false, true, false]);
    let events = world.api.list(&(&Kind::EVENT).into(), Some("default"));
    let told: Vec<_> = events
        .iter()
        .map(|event| (&event["reason"], &event["involvedObject"]["name"]))
        .collect();
    let wanted = (&json!("OwnerRefInvalidNamespace"), &json!("of-elsewhere"));
    assert_eq!(told, [wanted]);
}

#[test]
fn dependents_of_what_nobody_can_look_up_stay() {
    let mut world = World::new();
    let config_map = world.create(config("owner", "default", &[]));
    let owned = json!({ "name": "shop", "ownerReferences": [reference(&config_map)] });
    world.create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": owned }));
    let mut unknown = config("unknown", "default", &[&config_map]);
    let owner = &mut unknown["metadata"]["ownerReferences"][0];
    owner["apiVersion"] = json!("example.com/v1");
    owner["kind"] = json!("Widget");
    world.create(unknown);
    world.run(5);
    world.delete(&CONFIG_MAP, "owner", None);
    world.run(60);
    assert!(world.get(&CONFIG_MAP, "unknown").is_some());
    let namespace = world.api.get(&(&Kind::NAMESPACE).into(), None, "shop");
    assert_eq!(namespace.unwrap()["status"]["phase"], "Active");
}

fn widgets() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "kind": "Widget" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } } }],
        },
    })
}

#[test]
fn dependents_of_an_absent_owner_go_when_its_kind_is_served() {
    let mut world = World::new();
    let config_map = world.create(config("owner", "default", &[]));
    let mut unknown = config("unknown", "default", &[&config_map]);
    let owner = &mut unknown["metadata"]["ownerReferences"][0];
    owner["apiVersion"] = json!("example.com/v1");
    owner["kind"] = json!("Widget");
    owner["uid"] = json!("no-such-uid");
    world.create(unknown);
    world.run(60);
    assert!(world.get(&CONFIG_MAP, "unknown").is_some());
    world.create(widgets());
    world.run(5);
    assert!(world.get(&CONFIG_MAP, "unknown").is_none());
    assert!(world.get(&CONFIG_MAP, "owner").is_some());
}

#[test]
fn dependents_of_custom_resources_go_with_the_definition() {
    let mut world = World::new();
    world.create(widgets());
    let widget = world.create(json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": { "name": "w", "namespace": "default" },
    }));
    world.create(config("of-widget", "default", &[&widget]));
    world.run(5);
    assert!(world.get(&CONFIG_MAP, "of-widget").is_some());
    let kind = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let options = DeleteOptions::default();
    world
        .api
        .delete(&kind, None, "widgets.example.com", &options)
        .unwrap();
    world.run(5);
    assert!(!world.api.serves(&Gvk::new("example.com", "v1", "Widget")));
    assert!(world.get(&CONFIG_MAP, "of-widget").is_none());
}
