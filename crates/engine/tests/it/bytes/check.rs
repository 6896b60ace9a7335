//! What holds of every plan.

use super::choices::Bytes;
use super::rollout::UID;
use super::snapshot::snapshot;
use engine::config::Config;
use engine::explain::{Names, Seen, explain};
use engine::snapshot::RolloutSnapshot;
use jiff::Timestamp;
use plan::{Action, ObjectKey, Plan};
use serde_json::Value;

/// Plans whatever the bytes say, and checks what holds of every plan. Panics on a breach.
pub(crate) fn plan_bytes(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(snapshot) = snapshot(&mut bytes) else {
        return;
    };
    let nows = [
        "2030-01-01T00:00:05.5Z",
        "1970-01-01T00:00:00Z",
        "9999-12-30T21:59:59Z",
    ];
    let now: Timestamp = bytes.one(&nows).parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let config = Config::default();
    let plan = engine::rollout::plan(&snapshot, &config, now);
    assert_eq!(
        plan,
        engine::rollout::plan(&snapshot, &config, now),
        "planning twice"
    );
    for action in &plan.actions {
        check_action(&snapshot, action);
    }
    says_why(&plan);
    let seen = Seen {
        snapshot: &snapshot,
        plan: &plan,
        now,
    };
    let page = explain(seen).text(Names { weir: "weir" });
    assert!(page.starts_with("Rollout demo/"), "{page}");
}

/// Nobody else's objects are written, and no count is negative.
fn check_action(snapshot: &RolloutSnapshot, action: &Action) {
    let negative = |value: &Value| {
        value
            .pointer("/spec/replicas")
            .and_then(Value::as_i64)
            .is_some_and(|n| n < 0)
    };
    match action.deed() {
        Action::Create { object } => assert!(!negative(object), "{object}"),
        Action::Patch { target, patch, .. } => {
            assert!(!negative(patch), "{target}: {patch}");
            assert!(
                !is_foreign(snapshot, target),
                "{target} belongs to somebody else: {patch}"
            );
        }
        Action::Delete { target, .. } => {
            assert!(
                !is_foreign(snapshot, target),
                "{target} belongs to somebody else"
            );
        }
        Action::Evict { .. } => {}
        Action::Apply { .. } | Action::Replace { .. } | Action::Attempt(_) | Action::Measure(_) => {
            panic!("no action of a Rollout: {action:?}")
        }
    }
}

/// A ReplicaSet with another controller; when several have the name, all of them.
fn is_foreign(snapshot: &RolloutSnapshot, target: &ObjectKey) -> bool {
    let mut named = snapshot
        .replica_sets
        .iter()
        .filter(|set| {
            target.kind == "ReplicaSet" && set.metadata.name.as_deref() == Some(&target.name)
        })
        .peekable();
    named.peek().is_some()
        && named.all(|set| {
            let mut owners = set.metadata.owner_references.iter().flatten();
            owners.any(|owner| owner.controller == Some(true) && owner.uid != UID)
        })
}

/// Whatever is invalid says where; whatever does not move says what it waits for.
fn says_why(plan: &Plan<api::RolloutStatus>) {
    let invalid = plan
        .status
        .conditions
        .iter()
        .find(|one| one.type_ == "InvalidSpec");
    let invalid = invalid.filter(|_| plan.status.message.starts_with("InvalidSpec: "));
    if let Some(invalid) = invalid {
        assert!(
            invalid.message.contains("is invalid: spec."),
            "{}",
            invalid.message
        );
        assert!(
            plan.actions.is_empty(),
            "an invalid Rollout is left alone: {:?}",
            plan.actions
        );
        assert!(!plan.trace.waiting_on.is_empty(), "{}", invalid.message);
    }
}
