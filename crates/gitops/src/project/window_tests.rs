//! Sync windows: which are about an Application, when they are open, and what they come to
//! together.

use super::{ProjectRules, Windows};
use api::{AppProjectSpec, Application};
use jiff::Timestamp;
use serde_json::{Value, json};

fn app() -> Application {
    serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {"project": "team", "destination":
            {"server": "https://kubernetes.default.svc", "namespace": "production"}},
    }))
    .unwrap()
}

#[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
fn read(windows: Value) -> Result<Windows, String> {
    let spec: AppProjectSpec = serde_json::from_value(json!({"syncWindows": windows})).unwrap();
    ProjectRules::new("team", &spec).windows(&app())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Open at noon of each day, for an hour.
fn noon(kind: &str) -> Value {
    json!({"kind": kind, "schedule": "0 12 * * *", "duration": "1h", "applications": ["*"]})
}

fn with(mut window: Value, fields: &[&str]) -> Value {
    for field in fields {
        window[field] = json!(true);
    }
    window
}

const OPEN: &str = "2026-01-01T12:30:00Z";
const SHUT: &str = "2026-01-01T15:00:00Z";

#[test]
fn windows_are_found_by_any_list_or_by_all_that_are_given() {
    let is_about = |fields: Value| {
        let mut window = noon("deny");
        window.as_object_mut().unwrap().remove("applications");
        for (field, value) in fields.as_object().unwrap() {
            window[field] = value.clone();
        }
        !read(json!([window])).unwrap().permit(false, None, at(OPEN))
    };
    assert!(is_about(json!({"applications": ["other", "sh*"]})));
    assert!(!is_about(json!({"applications": ["other"]})));
    assert!(is_about(json!({"namespaces": ["prod*"]})));
    for cluster in ["in-cluster", "https://kubernetes.default.svc/", "*"] {
        assert!(is_about(json!({"clusters": [cluster]})), "{cluster}");
    }
    assert!(!is_about(json!({"clusters": ["https://other.example"]})));
    assert!(!is_about(json!({})));
    let both = |namespace: &str, and: bool| {
        is_about(json!({"applications": ["shop"], "namespaces": [namespace], "andOperator": and}))
    };
    assert!(both("staging", false) && !both("staging", true));
    assert!(both("production", true));
    assert!(!is_about(json!({"andOperator": true})));
}

#[test]
fn a_window_is_open_for_its_duration() {
    let windows = read(json!([noon("deny")])).unwrap();
    for (time, permitted) in [
        ("2026-01-01T11:59:59Z", true),
        ("2026-01-01T12:00:00Z", true),
        ("2026-01-01T12:00:01Z", false),
        ("2026-01-01T12:59:59Z", false),
        ("2026-01-01T13:00:00Z", true),
    ] {
        assert_eq!(windows.permit(false, None, at(time)), permitted, "{time}");
    }
    let next = |time: &str| windows.next_change(at(time)).unwrap().to_string();
    assert_eq!(next("2026-01-01T11:00:00Z"), "2026-01-01T12:00:01Z");
    assert_eq!(next(OPEN), "2026-01-01T13:00:00Z");
    assert_eq!(next("2026-01-01T13:00:00Z"), "2026-01-02T12:00:01Z");
    // One that opens each minute never closes.
    let always = json!([{"kind": "deny", "schedule": "* * * * *", "duration": "1h",
        "applications": ["*"]}]);
    let always = read(always).unwrap();
    assert!(!always.permit(true, None, at(OPEN)));
    assert!(always.next_change(at(OPEN)).unwrap() > at(OPEN));
    assert_eq!(Windows::default().next_change(at(OPEN)), None);
    let never = json!([{"kind": "allow", "schedule": "0 0 30 2 *", "duration": "1h",
        "applications": ["*"]}]);
    let never = read(never).unwrap();
    assert!(!never.permit(false, None, at(OPEN)));
    assert_eq!(never.next_change(at(OPEN)), None);
}

#[test]
fn schedules_go_by_the_clock_on_the_wall() {
    let mut window = noon("deny");
    window["timeZone"] = json!("Europe/Berlin");
    let windows = read(json!([window])).unwrap();
    for (time, permitted) in [
        // Winter: an hour ahead of UTC.
        ("2026-01-01T10:30:00Z", true),
        ("2026-01-01T11:30:00Z", false),
        ("2026-01-01T12:30:00Z", true),
        // Summer: two.
        ("2026-07-01T09:30:00Z", true),
        ("2026-07-01T10:30:00Z", false),
        ("2026-07-01T11:30:00Z", true),
    ] {
        assert_eq!(windows.permit(false, None, at(time)), permitted, "{time}");
    }
    let next = windows.next_change(at("2026-07-01T10:30:00Z")).unwrap();
    assert_eq!(next.to_string(), "2026-07-01T11:00:00Z");
}

fn has(flags: &[&str], flag: &str) -> bool {
    flags.contains(&flag)
}

/// Every combination of an allowing and a denying window, both open at noon, against the rules of
/// gitops.md item 26.
#[test]
fn the_table_of_windows() {
    let flags: [&[&str]; 4] = [
        &[],
        &["manualSync"],
        &["syncOverrun"],
        &["manualSync", "syncOverrun"],
    ];
    let pairs = flags
        .iter()
        .flat_map(|allow| flags.iter().map(move |deny| (*allow, *deny)));
    for (allow, deny) in pairs {
        for (kinds, manual, in_time) in (0..16).map(|n| (n & 3, n & 4 != 0, n & 8 != 0)) {
            let (allows, denies) = (kinds & 1 != 0, kinds & 2 != 0);
            let mut windows = Vec::new();
            windows.extend(allows.then(|| with(noon("allow"), allow)));
            windows.extend(denies.then(|| with(noon("deny"), deny)));
            let windows = read(Value::from(windows)).unwrap();
            let begun = in_time.then(|| at("2026-01-01T11:00:00Z"));
            let case = format!("{allow:?} {deny:?} {kinds} {manual} {in_time}");
            // Both were shut then, so only the allowing one was in the way.
            let was = in_time && (!allows || (manual && has(allow, "manualSync")));
            let open =
                !denies || (manual && has(deny, "manualSync")) || (was && has(deny, "syncOverrun"));
            assert_eq!(windows.permit(manual, begun, at(OPEN)), open, "{case}");
            let shut = !allows
                || (manual && has(allow, "manualSync"))
                || (was && has(allow, "syncOverrun"));
            assert_eq!(windows.permit(manual, begun, at(SHUT)), shut, "{case}");
        }
    }
}

#[test]
fn all_windows_in_the_way_must_exempt_a_sync_and_one_that_allows_is_enough() {
    for (kind, time) in [("deny", OPEN), ("allow", SHUT)] {
        let two = |second: &[&str]| {
            let windows = json!([with(noon(kind), &["manualSync"]), with(noon(kind), second)]);
            read(windows).unwrap().permit(true, None, at(time))
        };
        assert!(!two(&[]) && two(&["manualSync"]), "{kind}");
    }
    let mut late = noon("allow");
    late["schedule"] = json!("30 14 * * *");
    let windows = read(json!([noon("allow"), late])).unwrap();
    assert!(windows.permit(false, None, at(OPEN)) && windows.permit(false, None, at(SHUT)));
    // A sync that began while it was allowed goes on, however soon that was.
    let windows = read(json!([with(noon("allow"), &["syncOverrun"])])).unwrap();
    let begun = |time: &str| windows.permit(false, Some(at(time)), at(SHUT));
    assert!(begun("2026-01-01T12:00:00Z") && begun(OPEN));
    assert!(!begun("2026-01-01T11:59:00Z") && !begun("2026-01-01T13:00:00Z"));
}

#[test]
fn what_cannot_be_read_is_named_if_it_is_about_the_application() {
    let cases = [
        ("kind", Value::Null, "kind is missing"),
        (
            "schedule",
            json!("@daily"),
            "schedule: '@daily' must have five fields",
        ),
        (
            "schedule",
            Value::Null,
            "schedule: '' must have five fields",
        ),
        (
            "duration",
            json!("1 hour"),
            "duration: '1 hour' is no duration",
        ),
        ("duration", json!("-1h"), "duration: '-1h' is no duration"),
        (
            "timeZone",
            json!("Mars/Olympus"),
            "timeZone: 'Mars/Olympus' is no time zone",
        ),
        (
            "schedule",
            json!(format!("{} * * * *", "0,".repeat(1_000))),
            "schedule must not be longer than 1024 bytes",
        ),
        (
            "duration",
            json!("1h".repeat(1_000)),
            "duration must not be longer than 1024 bytes",
        ),
        (
            "timeZone",
            json!("A".repeat(2_000)),
            "timeZone must not be longer than 1024 bytes",
        ),
    ];
    for (field, value, said) in cases {
        let mut window = noon("deny");
        window[field] = value;
        let refusal = read(json!([noon("deny"), window.clone()])).unwrap_err();
        let start = format!("project 'team': syncWindows[1].{said}");
        assert!(refusal.starts_with(&start), "{refusal}");
        window["applications"] = json!(["other"]);
        assert!(read(json!([window])).is_ok(), "{field}");
    }
}

#[test]
fn a_window_for_what_is_not_read_is_not_passed_over() {
    for field in ["applications", "namespaces", "clusters"] {
        let mut window = noon("deny");
        window["applications"] = json!(["other"]);
        window[field] = json!(["?".repeat(5_000)]);
        let refusal = read(json!([window])).unwrap_err();
        let said = format!("project 'team': syncWindows[0].{field}: a pattern is too large");
        assert!(refusal.starts_with(&said), "{refusal}");
    }
}
