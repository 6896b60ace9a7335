//! The recorded timelines of the peer, played on the embedded cluster in virtual time, with the
//! real controller: as `cargo xtask timeline` does. Intended differences stand beside the
//! recordings, each with its reason; any other fails, and so does one that no longer exists.

use std::collections::BTreeMap;
use timelines::{Intended, Recording, Scenario, Settings, Time};
use weir::sandbox::embedded::{Embedded, Web};

/// Pods of the recordings are ready so long after they are made.
const READY_MS: u64 = 400;

async fn plays_as_recorded(scenario: &str, recording: &str, intended: &str) {
    let scenario = Scenario::parse(scenario).unwrap();
    let peer: Recording = serde_json::from_str(recording).unwrap();
    let intended: Vec<Intended> = serde_json::from_str(intended).unwrap();
    let version = include_str!("../../crates/timelines/recordings/version.json");
    let web = Web(BTreeMap::from([(
        "https://kubernetes.default.svc/version".to_owned(),
        version.to_owned(),
    )]));
    let cluster = Embedded::start(READY_MS, web).unwrap();
    let client = cluster.api.client();
    let settings = Settings::of(&scenario);
    let weir = timelines::play(&client, &scenario, &settings)
        .await
        .unwrap();
    assert!(weir.timeline.len() > 5, "hardly anything was seen");
    let found = timelines::differences(&peer, &weir, Time::Virtual);
    let verdict = timelines::judge(&found, &intended, Time::Virtual);
    assert!(verdict.is_good(), "{}: {verdict:#?}", scenario.name);
}

macro_rules! scenarios {
    ($($name:ident = $file:literal,)+) => {
        /// All that are played.
        const NAMES: &[&str] = &[$($file),+];
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                plays_as_recorded(
                    include_str!(concat!("../../crates/timelines/recordings/", $file, ".yaml")),
                    include_str!(concat!("../../crates/timelines/recordings/", $file, ".json")),
                    include_str!(concat!("../../crates/timelines/recordings/", $file, ".differences.json")),
                )
                .await;
            }
        )+
    };
}

scenarios! {
    analysis_args = "analysis-args",
    analysis_error = "analysis-error",
    analysis_inconclusive = "analysis-inconclusive",
    analysis_inline_passes = "analysis-inline-passes",
    bluegreen_abort = "bluegreen-abort",
    bluegreen_manual = "bluegreen-manual",
    bluegreen_postpromotion_fails = "bluegreen-postpromotion-fails",
    bluegreen_preview_count = "bluegreen-preview-count",
    bluegreen_superseded = "bluegreen-superseded",
    canary_back_to_stable = "canary-back-to-stable",
    canary_deadline_abort = "canary-deadline-abort",
    canary_no_steps = "canary-no-steps",
    canary_paused_spec = "canary-paused-spec",
    canary_rollback_window = "canary-rollback-window",
    canary_scale_midway = "canary-scale-midway",
    canary_superseded = "canary-superseded",
    canary_timed = "canary-timed",
    experiment_step = "experiment-step",
    invalid_spec = "invalid-spec",
    restart = "restart",
    routed_abort = "routed-abort",
    routed_min_pods = "routed-min-pods",
    routed_set_canary_scale = "routed-set-canary-scale",
    workload_ref = "workload-ref",
}

#[test]
fn every_recording_is_played() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/timelines/recordings");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|own| own == "yaml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, NAMES);
}
