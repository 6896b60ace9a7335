//! Words into commands.

use crate::actor::{Act, Verdict};
use crate::fault::Fault;
use crate::ground::Harm;
use crate::object::Kind;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// One line of a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Advance(i64),
    Until(String),
    Act(Act),
    Analysis(Verdict),
    Fault(Fault),
    Heal,
    Show,
    Explain,
}

/// A file.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub spec: Value,
    /// As written, and as meant.
    pub commands: Vec<(String, Command)>,
}

/// What is wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ScriptError {}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let fail = |line: usize, message: String| ScriptError { line, message };
        let lines: Vec<&str> = text.lines().collect();
        let split = lines
            .iter()
            .position(|line| *line == "---")
            .ok_or_else(|| fail(1, "no line `---` after the spec".to_owned()))?;
        let documents = gocompat::yaml::from_str(&lines[..split].join("\n"))
            .map_err(|error| fail(1, error.to_string()))?;
        let spec = documents.into_iter().next();
        let mut commands = Vec::new();
        for (number, line) in lines.iter().enumerate().skip(split + 1) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let command = edit(line)
                .or_else(|| command(&words))
                .ok_or_else(|| fail(number + 1, format!("`{line}` is no command")))?;
            commands.push((line.to_owned(), command));
        }
        Ok(Self {
            spec: spec.ok_or_else(|| fail(1, "no spec".to_owned()))?,
            commands,
        })
    }
}

/// `90s`, `500ms`, `2m`, `1h`.
fn duration(word: &str) -> Option<i64> {
    let digits = word.find(|own: char| !own.is_ascii_digit())?;
    let (number, unit) = word.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

fn service(word: &str) -> Option<u8> {
    let names = ["active", "preview", "canary", "stable", "route"];
    let place = names.iter().position(|name| *name == word)?;
    u8::try_from(place).ok()
}

/// `edit {"field": value}`: a merge patch of the spec, as JSON on one line.
fn edit(line: &str) -> Option<Command> {
    let patch: Value = serde_json::from_str(line.strip_prefix("edit ")?).ok()?;
    patch.is_object().then_some(Command::Act(Act::Edit(patch)))
}

fn command(words: &[&str]) -> Option<Command> {
    let act = match words {
        ["advance", time] => return duration(time).map(Command::Advance),
        ["until", phase] => return Some(Command::Until((*phase).to_owned())),
        ["analysis", phase, time] => {
            return Some(Command::Analysis(Verdict {
                after_ms: duration(time)?,
                phase: (*phase).to_owned(),
            }));
        }
        ["fault", rest @ ..] => return fault(rest).map(Command::Fault),
        ["heal"] => return Some(Command::Heal),
        ["show"] => return Some(Command::Show),
        ["explain"] => return Some(Command::Explain),
        ["image", image] => Act::Image(image.parse().ok()?),
        ["scale", replicas] => Act::Scale(replicas.parse().ok()?),
        ["steps", variant] => Act::Steps(variant.parse().ok()?),
        ["promote"] => Act::Resume,
        ["promote-full"] => Act::PromoteFull,
        ["skip"] => Act::Skip,
        ["abort"] => Act::Abort,
        ["retry"] => Act::Retry,
        ["restart"] => Act::Restart,
        ["pause"] => Act::Pause(true),
        ["unpause"] => Act::Pause(false),
        ["delete-set", set] => Act::DeleteSet(set.parse().ok()?),
        ["turn", weight] => Act::Turn(weight.parse().ok()?),
        ["repoint", name, "nobody"] => Act::Repoint(service(name)?, false),
        ["repoint", name, "everybody"] => Act::Repoint(service(name)?, true),
        ["lose", name, time] => Act::Lose {
            object: service(name)?,
            for_ms: duration(time)?,
        },
        _ => return None,
    };
    Some(Command::Act(act))
}

/// `crash-after N`, `crash-before-status N`, `conflict N`, `timeout N [applied]`,
/// `throttle N CALLS`, `webhook N`, `stumble EVERY`, `leader-change`, `stale 5s`,
/// `skip-events KIND 5s`, `clock-skew 2s`, `node-loss N`, `crash-loop SET 5s`, `stuck SET PODS`,
/// `kill SET PODS`, `gc-race SET 5s`, `refuse-evictions 5s`, `forbid-evictions`,
/// `refuse-sets 0|1|2 5s` (invalid, refused, failed). N counts calls from the command on; a process
/// that crashed is back after a second.
pub(super) fn fault(words: &[&str]) -> Option<Fault> {
    let at_ms = 0;
    let number = |word: &str| word.parse::<u32>().ok();
    let small = |word: &str| word.parse::<u8>().ok();
    Some(match words {
        ["crash-after", call] => Fault::CrashAfterAction {
            call: number(call)? + 1,
            down_ms: 1_000,
            stale_ms: 0,
        },
        ["crash-before-status", status] => Fault::CrashBeforeStatus {
            status: number(status)?,
            down_ms: 1_000,
            stale_ms: 0,
        },
        ["conflict", call] => Fault::Conflict409 {
            call: number(call)?,
        },
        ["timeout", call, rest @ ..] => Fault::Timeout {
            call: number(call)?,
            applied: *rest == ["applied"],
        },
        ["throttle", call, calls] => Fault::Throttle429 {
            call: number(call)?,
            calls: number(calls)?,
        },
        ["webhook", call] => Fault::Webhook500 {
            call: number(call)?,
        },
        ["stumble", every] => Fault::ExperimentsStumble {
            every: number(every)?,
        },
        ["leader-change"] => Fault::LeaderChange { at_ms },
        ["stale", time] => Fault::StaleView {
            at_ms,
            stale_ms: duration(time)?,
        },
        ["skip-events", kind, time] => Fault::SkipEvents {
            kind: Kind::of(kind)? as u8,
            at_ms,
            for_ms: duration(time)?,
        },
        ["clock-skew", time] => Fault::ClockSkew {
            at_ms,
            by_ms: duration(time)?,
        },
        ["forbid-evictions"] => Fault::ForbidEvictions { at_ms },
        ["refuse-sets", how, time] => Fault::RefuseSets {
            at_ms,
            for_ms: duration(time)?,
            how: small(how)?,
        },
        ["gc-race", set, time] => Fault::GcRace {
            set: small(set)?,
            at_ms,
            linger_ms: duration(time)?,
        },
        ["refuse-evictions", time] => Fault::RefuseEvictions {
            at_ms,
            for_ms: duration(time)?,
        },
        _ => {
            let harm = harm(words)?;
            Fault::Pods { at_ms, harm }
        }
    })
}

/// What befalls pods.
fn harm(words: &[&str]) -> Option<Harm> {
    let small = |word: &str| word.parse::<u8>().ok();
    Some(match words {
        ["node-loss", every] => Harm::NodeLoss {
            every: small(every)?,
        },
        ["crash-loop", set, time] => Harm::CrashLoop {
            set: small(set)?,
            for_ms: duration(time)?,
        },
        ["stuck", set, pods] => Harm::Stuck {
            set: small(set)?,
            pods: small(pods)?,
        },
        ["kill", set, pods] => Harm::Kill {
            set: small(set)?,
            pods: small(pods)?,
        },
        _ => return None,
    })
}
