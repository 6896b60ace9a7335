//! `promote`: lets a rollout go on, or skips what is left.

use super::abort;
use super::names::{name, the_name};
use super::pause;
use crate::context::Context;
use crate::error::Error;
use crate::switch::switch;
use api::{AnalysisPhase, Rollout, RolloutStatus};
use clap::{ArgMatches, Command};
use serde_json::{Value, json};

pub(super) fn cli() -> Command {
    Command::new("promote")
        .about("Let a paused rollout go on")
        .arg(name("Name of the rollout"))
        .arg(switch(
            "full",
            "Skip all steps, pauses and analyses that are left",
        ))
        .arg(
            switch("skip-current-step", "Skip the step under way")
                .short('c')
                .hide(true),
        )
        .arg(
            switch("skip-all-steps", "Skip all steps that are left")
                .short('a')
                .hide(true),
        )
}

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Resume,
    Full,
    SkipStep,
    SkipAllSteps,
}

/// Patches of a promotion; what is `None` is not written.
#[derive(Debug, Default, PartialEq)]
struct Patches {
    spec: Option<Value>,
    status: Option<Value>,
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let name = the_name(args);
    let way = match (
        args.get_flag("skip-current-step"),
        args.get_flag("skip-all-steps"),
    ) {
        (true, true) => {
            return Err(Error::Refused(
                "Cannot use skip-current-step and skip-all-steps flags at the same time".to_owned(),
            ));
        }
        _ if args.get_flag("full") => Way::Full,
        (true, false) => Way::SkipStep,
        (false, true) => Way::SkipAllSteps,
        (false, false) => Way::Resume,
    };
    let rollout: Rollout = cx.read("rollout", name).await?;
    let patches = patches(&rollout, way).map_err(|error| Error::Refused(error.to_owned()))?;
    if patches == Patches::default() {
        // What follows is said either way: scripts look for it.
        let why = if way == Way::Full {
            "there is no update to promote"
        } else {
            "it is not paused, and has no steps"
        };
        cx.term
            .note(format_args!("rollout '{name}' stays as it is: {why}"))?;
    }
    if let Some(spec) = patches.spec {
        pause::patch(cx, name, &spec, "promote").await?;
    }
    if let Some(status) = patches.status {
        abort::patch(cx, name, &status, "promote").await?;
    }
    let how = if way == Way::Full {
        "fully promoted"
    } else {
        "promoted"
    };
    cx.term.line(format_args!("rollout '{name}' {how}"))?;
    Ok(())
}

/// The patches of rollouts.md §8.1.
fn patches(rollout: &Rollout, way: Way) -> Result<Patches, &'static str> {
    let none = RolloutStatus::default();
    let status = rollout.status.as_ref().unwrap_or(&none);
    let steps = i32::try_from(rollout.spec.canary_steps().len()).unwrap_or(i32::MAX);
    let next = status
        .current_step_index
        .unwrap_or_default()
        .saturating_add(1)
        .min(steps);
    if matches!(way, Way::SkipStep | Way::SkipAllSteps) {
        if rollout.spec.blue_green().is_some() {
            return Err("Cannot skip steps of a bluegreen rollout. Run without a flags");
        }
        if steps == 0 {
            return Err("Cannot skip steps of a rollout without steps");
        }
    }
    // A pause that the controller is said to have begun would count as ended at the next step too.
    let at_step = |step: i32| {
        let mut patch = json!({"status": {"pauseConditions": null, "currentStepIndex": step}});
        if status.controller_pause {
            patch["status"]["controllerPause"] = json!(false);
        }
        patch
    };
    let patches = match way {
        Way::Full => {
            let promotes = status.current_pod_hash != status.stable_rs;
            Patches {
                spec: None,
                status: promotes.then(|| json!({"status": {"promoteFull": true}})),
            }
        }
        Way::SkipStep => Patches {
            spec: unpause(rollout),
            status: Some(at_step(next)),
        },
        Way::SkipAllSteps => Patches {
            spec: unpause(rollout),
            status: Some(at_step(steps)),
        },
        Way::Resume => {
            let waits = !status.pause_conditions.is_empty();
            let status = if waits && status.controller_pause && is_inconclusive(status) {
                Some(json!({"status": {
                    "pauseConditions": null, "controllerPause": false, "currentStepIndex": next,
                }}))
            } else if waits {
                Some(json!({"status": {"pauseConditions": null}}))
            } else {
                (steps > 0).then(|| at_step(next))
            };
            Patches {
                spec: unpause(rollout),
                status,
            }
        }
    };
    Ok(patches)
}

fn unpause(rollout: &Rollout) -> Option<Value> {
    rollout
        .spec
        .is_paused()
        .then(|| json!({"spec": {"paused": false}}))
}

fn is_inconclusive(status: &RolloutStatus) -> bool {
    let run = status.canary.current_step_analysis_run_status.as_ref();
    run.and_then(|run| run.status) == Some(AnalysisPhase::Inconclusive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(spec: &Value, status: &Value) -> Rollout {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "app"},
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn canary() -> Value {
        json!({"strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}})
    }

    #[test]
    fn a_pause_is_lifted() {
        let paused = json!({
            "controllerPause": true, "currentStepIndex": 1,
            "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:00Z"}],
        });
        let patches = patches(&rollout(&canary(), &paused), Way::Resume).unwrap();
        assert_eq!(
            patches.status,
            Some(json!({"status": {"pauseConditions": null}}))
        );
        assert_eq!(patches.spec, None);
    }

    #[test]
    fn without_a_pause_the_step_is_skipped() {
        let busy = json!({"currentStepIndex": 1});
        let skipped = patches(&rollout(&canary(), &busy), Way::Resume).unwrap();
        let want = json!({"status": {"pauseConditions": null, "currentStepIndex": 2}});
        assert_eq!(skipped.status, Some(want.clone()));
        let done = json!({"currentStepIndex": 2});
        let capped = patches(&rollout(&canary(), &done), Way::Resume).unwrap();
        assert_eq!(capped.status, Some(want));
    }

    #[test]
    fn an_inconclusive_analysis_is_passed_over() {
        let waiting = json!({
            "controllerPause": true, "currentStepIndex": 0,
            "pauseConditions": [
                {"reason": "InconclusiveAnalysisRun", "startTime": "2026-01-01T00:00:00Z"},
            ],
            "canary": {"currentStepAnalysisRunStatus": {"name": "r", "status": "Inconclusive"}},
        });
        let patches = patches(&rollout(&canary(), &waiting), Way::Resume).unwrap();
        let want = json!({"status": {
            "pauseConditions": null, "controllerPause": false, "currentStepIndex": 1,
        }});
        assert_eq!(patches.status, Some(want));
    }

    #[test]
    fn a_full_promotion_needs_something_to_promote() {
        let updating = json!({"currentPodHash": "new", "stableRS": "old"});
        let full = patches(&rollout(&canary(), &updating), Way::Full).unwrap();
        assert_eq!(full.status, Some(json!({"status": {"promoteFull": true}})));
        let done = json!({"currentPodHash": "new", "stableRS": "new"});
        assert_eq!(
            patches(&rollout(&canary(), &done), Way::Full).unwrap(),
            Patches::default()
        );
    }

    #[test]
    fn the_users_own_pause_ends() {
        let spec = json!({"paused": true, "strategy": {"blueGreen": {"activeService": "a"}}});
        let patches = patches(&rollout(&spec, &json!({})), Way::Resume).unwrap();
        assert_eq!(patches.spec, Some(json!({"spec": {"paused": false}})));
        assert_eq!(patches.status, None);
    }

    #[test]
    fn there_must_be_steps_to_skip() {
        let blue_green = json!({"strategy": {"blueGreen": {"activeService": "a"}}});
        let error = patches(&rollout(&blue_green, &json!({})), Way::SkipStep).unwrap_err();
        assert_eq!(
            error,
            "Cannot skip steps of a bluegreen rollout. Run without a flags"
        );
        let plain = json!({"strategy": {"canary": {}}});
        let error = patches(&rollout(&plain, &json!({})), Way::SkipAllSteps).unwrap_err();
        assert_eq!(error, "Cannot skip steps of a rollout without steps");
    }
}
