//! Recorded sessions of the peer's plugin, screen by screen.

use crate::rebuild::{Recorded, now};
use cli::render::{self, ListColumns};
use engine::info::{self, Parts, RolloutInfo};

/// Commands of a session with what they printed, in order.
fn session(text: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ kubectl argo rollouts ") {
            blocks.push((command.to_owned(), String::new()));
        } else if let (Some((_, out)), false) = (blocks.last_mut(), line.starts_with("### ")) {
            out.push_str(line);
            out.push('\n');
        }
    }
    blocks
}

/// Between two commands of these sessions the Rollout had moved on: scenario, command, and how its
/// output began.
const MOVED_ON: [(&str, &str, &str); 3] = [
    (
        "analysis-background-fails",
        "list rollouts",
        "0/2   0           2/2",
    ),
    ("workload-ref", "list rollouts", "Progressing   2/2"),
    (
        "workload-ref",
        "status app",
        "Progressing - old replicas are pending termination",
    ),
];

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Rebuilds the objects from each `get` screen, and prints this screen and the next ones from them.
fn replay(name: &str) {
    let path = format!(
        "{}/tests/fixtures/transcripts/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let mut last: Option<Recorded> = None;
    let mut screens = 0;
    for (command, printed) in session(&text) {
        let printed = printed.trim_end_matches('\n');
        let (printed, exit) = printed.rsplit_once("\nexit ").unwrap();
        let moved_on = MOVED_ON.iter().any(|(scenario, verb, out)| {
            *scenario == name && command.starts_with(verb) && printed.contains(out)
        });
        if moved_on {
            continue;
        }
        if command.starts_with("get rollout") {
            last = Some(Recorded::read(printed, name.starts_with("routed")));
            screens += 1;
        }
        let recorded = last.as_ref().expect("sessions begin with get");
        let info = RolloutInfo::new(&recorded.rollout, &recorded.parts());
        if command.starts_with("get rollout") {
            assert_eq!(
                plain(&render::rollout(&info, now())).trim_end_matches('\n'),
                printed
            );
        } else if command.starts_with("list rollouts") {
            let list = RolloutInfo::new(&recorded.rollout, &Parts::default());
            let table = render::list(&[list], ListColumns::default(), now());
            assert_eq!(plain(&table).trim_end_matches('\n'), printed);
        } else {
            let (phase, message) = info::phase(&recorded.rollout);
            let degraded = cli::Error::Degraded(message.clone());
            let lines = match phase {
                api::RolloutPhase::Degraded => format!("Degraded\nError: {}", degraded.sentence()),
                api::RolloutPhase::Healthy => "Healthy".to_owned(),
                phase => format!("{phase} - {message}"),
            };
            assert_eq!(lines, printed);
            assert_eq!(exit == "1", phase == api::RolloutPhase::Degraded);
        }
    }
    assert!(screens > 0);
}

macro_rules! replays {
    ($($test:ident = $name:literal,)+) => {
        $(#[test]
        fn $test() {
            replay($name);
        })+
    };
}

replays! {
    analysis_background_fails = "analysis-background-fails",
    analysis_inconclusive = "analysis-inconclusive",
    bluegreen_manual = "bluegreen-manual",
    canary_abort = "canary-abort",
    canary_deadline = "canary-deadline",
    canary_timed = "canary-timed",
    invalid_spec = "invalid-spec",
    routed_abort = "routed-abort",
    workload_ref = "workload-ref",
}
