use super::super::event::subject;
use super::*;
use k8s_openapi::api::core::v1::ObjectReference;
use plan::{EventKind, ObjectKey};
use std::sync::Arc;

fn rollout(name: &str) -> Arc<ObjectReference> {
    let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Rollout", "demo", name);
    Arc::new(subject(key, &format!("uid-of-{name}")))
}

fn scaled(object: &Arc<ObjectReference>, message: &str) -> Occurrence {
    Occurrence {
        object: object.clone(),
        kind: EventKind::Normal,
        reason: "ScalingReplicaSet",
        message: message.into(),
    }
}

/// Writes it, if it is to be written.
fn write(told: &mut Correlator, occurrence: &Occurrence, now: Instant) -> Option<Told> {
    let event = told.occurs(occurrence, now)?;
    if event.before.is_none() {
        told.is_written(event.identity, event.digest());
    }
    Some(event)
}

/// Says that an object has another size, in an event of its own for each.
fn sayings() -> impl FnMut(usize, Instant) -> Told {
    let (mut told, app) = (Correlator::default(), rollout("app"));
    move |size, now| {
        let message = format!("from {size} to {}", size + 1);
        write(&mut told, &scaled(&app, &message), now).unwrap()
    }
}

#[test]
fn an_object_has_a_burst_of_like_events_and_then_one_every_five_minutes() {
    let (mut told, start) = (Correlator::default(), Instant::now());
    let (app, other) = (rollout("app"), rollout("other"));
    let mut say = |object: &Arc<ObjectReference>, seconds: u64| {
        let now = start + Duration::from_secs(seconds);
        told.occurs(&scaled(object, "from 1 to 2"), now).is_some()
    };
    for number in 0..BURST {
        assert!(say(&app, 0), "event {number}");
    }
    assert!(!say(&app, 0));
    assert!(say(&other, 0), "another object has its own");
    assert!(!say(&app, 299));
    assert!(say(&app, 300), "what was dropped costs nothing");
    assert!(!say(&app, 301));
    // No more than a burst is saved up.
    let day = 86_400;
    for number in 0..BURST {
        assert!(say(&app, day), "event {number}");
    }
    assert!(!say(&app, day));
}

#[test]
fn an_event_is_not_lost_because_of_others_that_tell_of_something_else() {
    let (mut told, now) = (Correlator::default(), Instant::now());
    let app = rollout("app");
    let scaling = scaled(&app, "from 1 to 2");
    for _ in 0..BURST {
        assert!(told.occurs(&scaling, now).is_some());
    }
    assert_eq!(told.occurs(&scaling, now), None);
    let aborted = Occurrence {
        kind: EventKind::Warning,
        reason: "RolloutAborted",
        ..scaling.clone()
    };
    assert!(told.occurs(&aborted, now).is_some());
}

#[test]
fn the_events_of_an_application_are_its_audit() {
    let (mut told, now) = (Correlator::default(), Instant::now());
    let key = ObjectKey::namespaced("argoproj.io/v1alpha1", "Application", "argocd", "shop");
    let shop = Arc::new(subject(key, "u"));
    for number in 0..4 * BURST {
        let message = format!("release {number}");
        let event = told.occurs(&scaled(&shop, &message), now).unwrap();
        assert_eq!(event.message, message);
    }
}

#[test]
fn the_same_event_is_counted_up_and_so_is_one_that_was_dropped() {
    let (mut told, start) = (Correlator::default(), Instant::now());
    let app = rollout("app");
    let event = scaled(&app, "from 1 to 2");
    let first = write(&mut told, &event, start).unwrap();
    assert_eq!(first.before, None);
    for number in 2..=BURST {
        let (_, count) = write(&mut told, &event, start).unwrap().before.unwrap();
        assert_eq!(u32::try_from(count), Ok(number));
    }
    assert_eq!(write(&mut told, &event, start), None);
    let later = write(&mut told, &event, start + REFILL).unwrap();
    let (unique, count) = later.before.unwrap();
    assert_eq!(count, 27, "it has happened so often");
    assert_eq!(unique, first.digest());
    assert_eq!(unique, 0x462b_f943_6fb8_8b15, "names stay what they are");
    let warning = Occurrence {
        kind: EventKind::Warning,
        ..event.clone()
    };
    let now = start + 2 * REFILL;
    assert_eq!(write(&mut told, &warning, now).unwrap().before, None);
}

#[test]
fn the_tenth_of_events_that_are_alike_and_all_after_it_are_one() {
    let (mut say, start) = (sayings(), Instant::now());
    for size in 1..SIMILAR_MAX {
        let event = say(size, start);
        assert!(!event.is_combined && event.before.is_none(), "{event:?}");
    }
    let tenth = say(10, start);
    assert_eq!(tenth.message, format!("{COMBINED}from 10 to 11"));
    assert!(tenth.is_combined && tenth.before.is_none(), "{tenth:?}");
    assert_eq!(tenth.digest(), 0xfd5f_b9e8_99f1_b775);
    let eleventh = say(11, start + Duration::from_mins(9));
    assert_eq!(eleventh.message, format!("{COMBINED}from 11 to 12"));
    assert_eq!(eleventh.before.map(|(_, count)| count), Some(2));
    // One that was told by itself is still the same event.
    let third = say(3, start + Duration::from_mins(9));
    assert_eq!(third.message, "from 3 to 4");
    assert_eq!(third.before.map(|(_, count)| count), Some(2));
    // After ten quiet minutes all is as at the beginning.
    let fresh = say(12, start + Duration::from_secs(19 * 60 + 1));
    assert_eq!(fresh.message, "from 12 to 13");
}

#[test]
fn an_object_is_not_the_one_that_had_its_name_before_but_is_each_version_of_itself() {
    let (mut told, now) = (Correlator::default(), Instant::now());
    let app = rollout("app");
    let mut before = |object: ObjectReference| {
        let event = scaled(&Arc::new(object), "from 1 to 2");
        write(&mut told, &event, now).unwrap().before
    };
    assert_eq!(before((*app).clone()), None);
    let another = ObjectReference {
        uid: Some("another".to_owned()),
        ..(*app).clone()
    };
    assert_eq!(before(another), None);
    let newer = ObjectReference {
        resource_version: Some("2".to_owned()),
        ..(*app).clone()
    };
    assert_eq!(before(newer).map(|(_, count)| count), Some(2));
}

#[test]
fn a_combined_event_is_not_the_one_that_says_the_same_by_itself() {
    let (mut say, start) = (sayings(), Instant::now());
    for size in 1..SIMILAR_MAX {
        say(size, start);
    }
    let combined = say(10, start);
    assert!(combined.is_combined, "{combined:?}");
    let later = start + SIMILAR_WITHIN + Duration::from_secs(1);
    let single = say(10, later);
    assert!(!single.is_combined && single.before.is_none(), "{single:?}");
    for size in 1..SIMILAR_MAX - 1 {
        say(size, later);
    }
    let again = say(9, later);
    assert_eq!(again.before, Some((combined.digest(), 2)), "{again:?}");
}

#[test]
fn what_is_remembered_has_a_limit() {
    let (mut told, now) = (Correlator::default(), Instant::now());
    for number in 0..5000 {
        let app = rollout(&format!("app-{number}"));
        write(&mut told, &scaled(&app, "from 1 to 2"), now).unwrap();
    }
    let limit = REMEMBERED.get();
    assert_eq!((told.heard.len(), told.written.len()), (limit, limit));
}
