use super::*;
use api::constants::INSTANCE_ID_LABEL;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use std::sync::Mutex;

fn object(name: &str, uid: &str, version: u64) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("ns".to_owned());
    object.metadata.name = Some(name.to_owned());
    object.metadata.uid = Some(uid.to_owned());
    object.metadata.resource_version = Some(version.to_string());
    object
}

/// Before and after.
type Versions = (Option<u64>, Option<u64>);

fn held(cache: &Cache<ConfigMap>, name: &str) -> Option<u64> {
    cache.get("ns", name).map(|object| version(object.as_ref()))
}

#[test]
fn an_older_event_does_not_undo_a_write_of_our_own() {
    let cache = Cache::default();
    cache.take(Event::Apply(object("a", "1", 5)));
    cache.absorb(object("a", "1", 8));
    cache.take(Event::Apply(object("a", "1", 7)));
    assert_eq!(held(&cache, "a"), Some(8));
    cache.take(Event::Apply(object("a", "1", 9)));
    assert_eq!(held(&cache, "a"), Some(9));
}

#[test]
fn the_echo_of_a_write_of_our_own_is_known_by_its_version() {
    let cache = Cache::default();
    cache.absorb(object("a", "1", 8));
    let is_known = |version| cache.has(&object("a", "1", version).metadata);
    assert!(is_known(7) && is_known(8) && !is_known(9));
    assert!(!cache.has(&object("b", "1", 7).metadata));
    // A list may say that the cluster was put back.
    cache.take(Event::Init);
    assert!(!is_known(8));
}

/// Of what is gone nobody hears again: it would be remembered for ever.
#[test]
fn what_does_not_fit_is_left_to_its_watch_unless_it_is_gone() {
    let cache: Cache<ConfigMap> = Cache::default();
    let is_known = || cache.has(&object("a", "1", 2).metadata);
    cache.apply_malformed(object("a", "1", 2), Origin::Answer);
    assert!(!is_known());
    cache.take(Event::Apply(object("a", "1", 2)));
    assert!(is_known());
    cache.take(Event::Delete(object("a", "1", 3)));
    // The answer to a write that was made before.
    cache.apply_malformed(object("a", "1", 2), Origin::Answer);
    assert_eq!(held(&cache, "a"), None);
    assert!(cache.lock().untold.is_empty());
}

#[test]
fn versions_are_compared_as_numbers() {
    let cache = Cache::default();
    cache.take(Event::Apply(object("a", "1", 9)));
    cache.take(Event::Apply(object("a", "1", 10)));
    assert_eq!(held(&cache, "a"), Some(10));
}

#[test]
fn a_relist_removes_what_it_does_not_name_but_not_what_was_written_meanwhile() {
    let cache = Cache::default();
    cache.take(Event::Apply(object("gone", "1", 1)));
    cache.take(Event::Apply(object("stays", "2", 2)));
    cache.take(Event::Init);
    cache.take(Event::InitApply(object("stays", "2", 2)));
    cache.absorb(object("new", "3", 9));
    assert!(
        held(&cache, "gone").is_some(),
        "readers see the old list until the new one is complete"
    );
    cache.take(Event::InitDone);
    assert_eq!(held(&cache, "gone"), None);
    assert_eq!(held(&cache, "stays"), Some(2));
    assert_eq!(held(&cache, "new"), Some(9));
}

#[test]
fn the_deletion_of_an_earlier_object_of_the_name_leaves_its_successor() {
    let cache = Cache::default();
    cache.take(Event::Apply(object("a", "1", 1)));
    cache.absorb(object("a", "2", 4));
    cache.take(Event::Delete(object("a", "1", 3)));
    assert_eq!(held(&cache, "a"), Some(4));
    cache.absorb_deletion("ns", "a", Some("1"));
    assert_eq!(held(&cache, "a"), Some(4));
    cache.absorb_deletion("ns", "a", Some("2"));
    assert_eq!(held(&cache, "a"), None);
}

#[test]
fn each_change_is_told_once_with_both_versions() {
    let cache = Cache::default();
    let told: Arc<Mutex<Vec<Versions>>> = Arc::default();
    let sink = told.clone();
    cache.on_change(move |change: &Change<ConfigMap>| {
        let pair = |object: &Option<Arc<ConfigMap>>| object.as_ref().map(|o| version(o.as_ref()));
        sink.lock()
            .unwrap()
            .push((pair(&change.old), pair(&change.new)));
    });
    cache.take(Event::Apply(object("a", "1", 1)));
    cache.absorb(object("a", "1", 2));
    cache.take(Event::Apply(object("a", "1", 2)));
    cache.take(Event::Delete(object("a", "1", 3)));
    assert_eq!(
        *told.lock().unwrap(),
        [(None, Some(1)), (Some(1), Some(2)), (Some(2), None)]
    );
}

#[test]
fn a_namespace_is_listed_without_its_neighbours() {
    let cache = Cache::default();
    for (namespace, name) in [("a", "x"), ("ab", "y"), ("a", "z"), ("b", "x")] {
        let mut entry = object(name, name, 1);
        entry.metadata.namespace = Some(namespace.to_owned());
        cache.take(Event::Apply(entry));
    }
    let names: Vec<String> = cache
        .in_namespace("a")
        .iter()
        .map(|o| o.name_any())
        .collect();
    assert_eq!(names, ["x", "z"]);
}

#[test]
fn the_answer_to_a_write_does_not_bring_back_what_was_deleted_since() {
    let cache = Cache::default();
    cache.take(Event::Apply(object("a", "1", 1)));
    cache.take(Event::Delete(object("a", "1", 3)));
    cache.absorb(object("a", "1", 2));
    assert_eq!(held(&cache, "a"), None);
    cache.take(Event::Apply(object("a", "2", 4)));
    assert_eq!(held(&cache, "a"), Some(4));
}

fn controlled(name: &str, version: u64, uid: Option<&str>) -> ConfigMap {
    let mut object = object(name, name, version);
    object.metadata.owner_references = uid.map(|uid| {
        vec![OwnerReference {
            uid: uid.to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        }]
    });
    object
}

#[test]
fn objects_are_found_by_their_controller_and_by_the_start_of_their_name() {
    let cache = Cache::default();
    let names = |objects: Vec<Arc<ConfigMap>>| -> Vec<String> {
        objects.iter().map(|object| object.name_any()).collect()
    };
    cache.take(Event::Apply(controlled("app-1", 1, Some("u"))));
    cache.take(Event::Apply(controlled("app-2", 2, Some("other"))));
    cache.take(Event::Apply(controlled("free", 3, None)));
    assert_eq!(names(cache.controlled_by("ns", "u")), ["app-1"]);
    assert_eq!(names(cache.controlled_by("ns", "")), ["free"]);
    assert_eq!(names(cache.named("ns", "app-")), ["app-1", "app-2"]);
    let concerning = |uid, prefix| names(cache.concerning("ns", uid, prefix));
    assert_eq!(concerning(Some("u"), "app-"), ["app-1", "app-2", "free"]);
    assert_eq!(concerning(Some("other"), "x-"), ["app-2", "free"]);
    assert_eq!(concerning(None, "app-1"), ["app-1", "free"]);
    assert!(cache.concerning("elsewhere", Some("u"), "app-").is_empty());
    // Adopted, released, deleted.
    cache.take(Event::Apply(controlled("free", 4, Some("u"))));
    cache.take(Event::Apply(controlled("app-1", 5, None)));
    assert_eq!(names(cache.controlled_by("ns", "u")), ["free"]);
    assert_eq!(names(cache.controlled_by("ns", "")), ["app-1"]);
    cache.take(Event::Delete(controlled("app-1", 6, None)));
    assert!(cache.controlled_by("ns", "").is_empty());
    assert!(cache.controlled_by("elsewhere", "u").is_empty());
}

/// What leaves the selector of a watch is told as deleted, and as added when it is back.
#[test]
fn what_comes_back_into_a_watch_is_there_again() {
    let cache = Cache::default();
    cache.take(Event::Apply(object("a", "1", 1)));
    cache.take(Event::Delete(object("a", "1", 2)));
    cache.absorb(object("a", "1", 3));
    assert_eq!(held(&cache, "a"), None, "an answer that comes late");
    cache.take(Event::Apply(object("a", "1", 4)));
    assert_eq!(held(&cache, "a"), Some(4));
    // Our own deletion is final.
    cache.absorb_deletion("ns", "a", Some("1"));
    cache.take(Event::Apply(object("a", "1", 5)));
    assert_eq!(held(&cache, "a"), None);
}

/// Its label is gone, and so is it from the watch. It has its name all the same, as whoever wants
/// to create one of the name finds out.
#[test]
fn what_has_left_a_watch_is_found_by_a_look_at_it() {
    let cache = Cache::default();
    cache.take(Event::Apply(object("a", "1", 1)));
    cache.take(Event::Delete(object("a", "1", 4)));
    cache.apply(object("a", "1", 3), Origin::Read);
    assert_eq!(held(&cache, "a"), None, "a look from before");
    cache.apply(object("a", "1", 4), Origin::Read);
    assert_eq!(held(&cache, "a"), Some(4));
    // A list does not name it, though it is as it was.
    cache.take(Event::Init);
    cache.take(Event::InitDone);
    assert_eq!(held(&cache, "a"), None);
    cache.apply(object("a", "1", 4), Origin::Read);
    assert_eq!(held(&cache, "a"), Some(4));
    // Our own deletion is final.
    cache.absorb_deletion("ns", "a", Some("1"));
    cache.apply(object("a", "1", 5), Origin::Read);
    assert_eq!(held(&cache, "a"), None);
}

fn dated(version: u64) -> ConfigMap {
    let mut object = object("a", "1", version);
    object.metadata.creation_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    object
}

fn leaves(cache: &Cache<ConfigMap>) -> bool {
    let held = cache.get("ns", "a").unwrap();
    held.metadata.deletion_timestamp.is_some()
}

#[test]
fn what_was_evicted_stays_on_its_way_out() {
    let cache = Cache::default();
    cache.take(Event::Apply(dated(1)));
    cache.absorb_leaving("ns", "a", Some("2"));
    assert!(!leaves(&cache), "another object of that name");
    cache.absorb_leaving("ns", "a", Some("1"));
    assert!(leaves(&cache));
    // News from before the eviction.
    cache.take(Event::Apply(dated(2)));
    assert!(leaves(&cache));
}

/// etcd was restored from an hour ago: versions go back.
#[test]
fn a_cluster_that_was_put_back_is_as_its_list_says() {
    let cache = Cache::default();
    cache.take(Event::Init);
    for (name, version) in [("older", 900), ("gone", 901), ("same", 5), ("ours", 902)] {
        cache.take(Event::InitApply(object(name, name, version)));
    }
    cache.take(Event::InitDone);
    let told: Arc<Mutex<Vec<Versions>>> = Arc::default();
    let sink = told.clone();
    cache.on_change(move |change: &Change<ConfigMap>| {
        let of = |object: &Option<Arc<ConfigMap>>| object.as_ref().map(|o| version(o.as_ref()));
        sink.lock()
            .unwrap()
            .push((of(&change.old), of(&change.new)));
    });
    // What lags is no reason to go back.
    cache.take(Event::Apply(object("older", "older", 300)));
    assert_eq!(held(&cache, "older"), Some(900));
    cache.take(Event::Init);
    cache.take(Event::InitApply(object("older", "older", 300)));
    // Absorbed while everything is listed: it may be newer than the list.
    cache.absorb(object("ours", "ours", 903));
    cache.take(Event::InitApply(object("ours", "ours", 302)));
    cache.take(Event::InitApply(object("same", "same", 5)));
    cache.take(Event::InitDone);
    let versions = ["older", "gone", "same", "ours"].map(|name| held(&cache, name));
    assert_eq!(versions, [Some(300), None, Some(5), Some(903)]);
    assert_eq!(
        *told.lock().unwrap(),
        [
            (Some(900), Some(300)),
            (Some(902), Some(903)),
            (Some(901), None)
        ],
        "what is as it was is not told"
    );
    // From there it goes on.
    cache.take(Event::Apply(object("older", "older", 301)));
    assert_eq!(held(&cache, "older"), Some(301));
}

#[test]
fn another_object_of_the_name_and_the_version_is_listed_after_a_restore() {
    let cache = Cache::default();
    cache.take(Event::Apply(object("a", "1", 7)));
    cache.take(Event::Init);
    cache.take(Event::InitApply(object("a", "2", 7)));
    cache.take(Event::InitDone);
    let uid = cache.get("ns", "a").unwrap().metadata.uid.clone();
    assert_eq!(uid.as_deref(), Some("2"));
}

#[test]
fn what_we_have_deleted_is_there_again_if_a_later_list_says_so() {
    let cache = Cache::default();
    cache.take(Event::Apply(object("a", "1", 7)));
    cache.take(Event::Init);
    cache.absorb_deletion("ns", "a", Some("1"));
    cache.take(Event::InitApply(object("a", "1", 7)));
    cache.take(Event::InitDone);
    assert_eq!(held(&cache, "a"), None, "the list is older than the answer");
    cache.take(Event::Apply(object("a", "1", 8)));
    assert_eq!(held(&cache, "a"), None);
    cache.take(Event::Init);
    cache.take(Event::InitApply(object("a", "1", 6)));
    cache.take(Event::InitDone);
    assert_eq!(held(&cache, "a"), Some(6));
    cache.take(Event::Apply(object("a", "1", 8)));
    assert_eq!(held(&cache, "a"), Some(8));
}

#[test]
fn an_eviction_that_a_later_list_knows_nothing_of_was_undone() {
    let cache = Cache::default();
    cache.take(Event::Apply(dated(1)));
    cache.take(Event::Init);
    cache.absorb_leaving("ns", "a", Some("1"));
    cache.take(Event::InitApply(dated(1)));
    cache.take(Event::InitDone);
    assert!(leaves(&cache), "the list may be older");
    cache.take(Event::Apply(dated(2)));
    assert!(leaves(&cache));
    cache.take(Event::Init);
    cache.take(Event::InitApply(dated(2)));
    cache.take(Event::InitDone);
    assert!(!leaves(&cache));
    cache.take(Event::Apply(dated(3)));
    assert!(!leaves(&cache));
}

fn of_instance(id: &str, version: u64) -> ConfigMap {
    let mut object = object("a", "1", version);
    let label = (INSTANCE_ID_LABEL.to_owned(), id.to_owned());
    object.metadata.labels = (!id.is_empty()).then(|| [label].into());
    object
}

#[test]
fn an_answer_brings_nothing_that_the_watch_would_not() {
    let cache = Cache::default();
    cache.select(Selected::of_instance(Some("blue")));
    cache.absorb(of_instance("green", 1));
    cache.absorb(of_instance("", 2));
    assert_eq!(held(&cache, "a"), None);
    cache.absorb(of_instance("blue", 3));
    assert_eq!(held(&cache, "a"), Some(3));
    // A write of our own gives it to another instance.
    cache.absorb(of_instance("green", 2));
    assert_eq!(held(&cache, "a"), Some(3), "an answer that comes late");
    cache.absorb(of_instance("green", 4));
    assert_eq!(held(&cache, "a"), None);
    cache.take(Event::Delete(of_instance("green", 4)));
    cache.take(Event::Apply(of_instance("blue", 5)));
    assert_eq!(held(&cache, "a"), Some(5));
}

/// It stands in the way of one that was to be created.
#[test]
fn what_was_looked_at_is_kept_up_to_date_though_the_watch_does_not_select_it() {
    let cache = Cache::default();
    cache.select(Selected::of_instance(Some("blue")));
    cache.apply(of_instance("", 1), Origin::Read);
    cache.absorb(of_instance("", 2));
    assert_eq!(held(&cache, "a"), Some(2));
}

#[test]
fn a_change_is_told_before_the_next_one() {
    let cache = Cache::default();
    let (begins, begun) = std::sync::mpsc::channel();
    let told: Arc<Mutex<Vec<Versions>>> = Arc::default();
    let sink = told.clone();
    cache.on_change(move |change: &Change<ConfigMap>| {
        let of = |object: &Option<Arc<ConfigMap>>| object.as_ref().map(|o| version(o.as_ref()));
        let versions = (of(&change.old), of(&change.new));
        if versions.1 == Some(1) {
            begins.send(()).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        sink.lock().unwrap().push(versions);
    });
    std::thread::scope(|scope| {
        scope.spawn(|| cache.take(Event::Apply(object("a", "1", 1))));
        begun.recv().unwrap();
        assert_eq!(held(&cache, "a"), Some(1), "who reads does not wait");
        cache.absorb(object("a", "1", 2));
    });
    assert_eq!(*told.lock().unwrap(), [(None, Some(1)), (Some(1), Some(2))]);
}

#[test]
fn what_is_packed_is_told_of_found_and_listed_as_what_is_not() {
    let cache = Cache::packing(&Arc::default());
    let name = |number: u64| format!("app-{number}");
    for number in 1..=300 {
        cache.take(Event::Apply(controlled(&name(number), number, Some("u"))));
    }
    let told: Arc<Mutex<Vec<Versions>>> = Arc::default();
    let sink = told.clone();
    cache.on_change(move |change: &Change<ConfigMap>| {
        let of = |object: &Option<Arc<ConfigMap>>| object.as_ref().map(|o| version(o.as_ref()));
        sink.lock()
            .unwrap()
            .push((of(&change.old), of(&change.new)));
    });
    cache.take(Event::Apply(controlled("app-1", 400, None)));
    cache.take(Event::Init);
    cache.take(Event::InitApply(controlled("app-1", 400, None)));
    for number in (2..300).filter(|number| *number != 9) {
        cache.take(Event::InitApply(controlled(
            &name(number),
            number,
            Some("u"),
        )));
    }
    cache.take(Event::InitDone);
    let gone = [(Some(300), None), (Some(9), None)];
    assert_eq!(
        *told.lock().unwrap(),
        [(Some(1), Some(400)), gone[0], gone[1]]
    );
    assert_eq!(cache.controlled_by("ns", "u").len(), 297);
    assert_eq!(cache.named("ns", "app-").len(), 298);
    assert_eq!(cache.all().len(), 298);
    assert_eq!(held(&cache, "app-2"), Some(2));
    assert_eq!(held(&cache, "app-9"), None);
    let words = ["app-77".to_owned()].into();
    let found = cache.mentioning("ns", &words);
    assert!(found.iter().any(|object| object.name_any() == "app-77"));
    assert!(found.len() < 298, "what is packed stays so");
}
