//! Golden transcripts: `scenarios/NAME.txt` in, `scenarios/NAME.out` out. With `UPDATE_SCENARIOS=1`
//! in the environment the transcripts are written anew.

use sim::script::{On, Script, play};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn script(name: &str) -> Script {
    let text = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    match text.parse() {
        Ok(script) => script,
        Err(error) => panic!("{name}.txt: {error}"),
    }
}

fn golden(name: &str) {
    let transcript = play(&script(name), On::Light);
    let path = folder().join(format!("{name}.out"));
    if std::env::var_os("UPDATE_SCENARIOS").is_some() {
        let lines: Vec<&str> = transcript.text.lines().map(str::trim_end).collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (number, (live, wanted)) in transcript.text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(live.trim_end(), wanted, "{name}.out:{}", number + 1);
    }
    assert_eq!(
        transcript.text.lines().count(),
        golden.lines().count(),
        "{name}.out"
    );
    assert!(!golden.contains("\n! "), "{name}.out: a rule is broken");
    assert!(!transcript.shown.is_empty(), "{name}.txt shows nothing");
}

/// The states that are shown are the same on the API server with the cluster around it.
fn same_on_both_grounds(name: &str) {
    let script = script(name);
    let (light, full) = (play(&script, On::Light), play(&script, On::Full));
    assert_eq!(light.shown, full.shown, "{}", full.text);
}

macro_rules! scenarios {
    ($($name:ident,)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(mod $name {
            #[test]
            fn golden() {
                super::golden(stringify!($name));
            }

            #[test]
            fn same_on_both_grounds() {
                super::same_on_both_grounds(stringify!($name));
            }
        })*
    };
}

scenarios! {
    basic_canary,
    basic_canary_abort_and_retry,
    blue_green,
    blue_green_abort,
    blue_green_pre_promotion,
    blue_green_requests_during_a_pause,
    canary_background_analysis_fails,
    canary_crash_before_status,
    canary_lost_route,
    canary_stable_deleted,
    canary_turned_weights,
    requests_during_a_pause,
    routed_canary,
    routed_canary_abort,
    routed_canary_dynamic_stable,
    routed_canary_leader_change,
    routed_canary_new_revision,
    s3_01_queue_mechanics,
    s3_02_pipeline,
    s3_04_scaling_primitives,
    s3_05_pause_and_abort,
    s3_06_paused_conditions,
    s3_07_blue_green,
    s3_08_canary,
    s3_09_basic_arithmetic,
    s3_10_routed_arithmetic,
    s3_11_steps,
    s3_12_service_switching,
    s3_13_traffic_loop,
    s3_15_promotion_and_user_operations,
    s3_16_rollback_window,
    s3_17_progress_deadline,
    s3_18_workload_ref_never,
    s3_18_workload_ref_on_success,
    s3_18_workload_ref_progressively,
    s3_19_retention,
    s3_20_restart,
    s3_21_status_and_conditions,
    s3_22_phase_and_message,
    s3_23_duration_tracking,
    s3_24_analysis,
    scale_during_canary,
}

#[test]
fn every_file_is_a_test() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|own| own == "txt"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, NAMES);
}
