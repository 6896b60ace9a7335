//! Plays a script and writes down what happened.

use super::{Command, Script};
use crate::fault::Fault;
use crate::ground::{Full, Ground, Light, Pace};
use crate::object::{Body, Kind};
use crate::scenario::{Scenario, Tempo};
use crate::world::World;
use std::fmt::Write;

/// `until` gives up after this much virtual time.
const UNTIL_MS: i64 = 3_600_000;
/// How closely `until` looks.
const LOOK_MS: i64 = 100;

/// What a script is played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Light,
    Full,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    pub text: String,
    /// What the `show` commands said.
    pub shown: Vec<String>,
}

/// Plays the commands of a script one after another.
pub fn play(script: &Script, on: On) -> Transcript {
    let restarts = script.commands.iter().any(|(text, _)| text == "restart");
    let scenario = Scenario {
        seed: 1,
        spec: script.spec.clone(),
        tempo: Tempo {
            lag_ms: 5,
            call_ms: 5,
            react_ms: 50,
            ready_ms: (500, 500),
        },
        acts: Vec::new(),
        faults: Vec::new(),
        verdicts: Vec::new(),
    };
    let ground: Box<dyn Ground> = match on {
        On::Full => Box::new(Full::default()),
        On::Light => {
            let pace = Pace {
                react_ms: scenario.tempo.react_ms,
                ready_ms: scenario.tempo.ready_ms,
            };
            Box::new(Light::new(1, pace, restarts))
        }
    };
    // A second process stands by in every script: it may have to take over.
    let mut world = World::with_processes(&scenario, ground, 2);
    world.shared.log = Some(Vec::new());
    let mut transcript = Transcript::default();
    for (text, command) in &script.commands {
        let _ = writeln!(transcript.text, "> {text}");
        let said = carry_out(&mut world, command);
        for line in world
            .shared
            .log
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
        {
            let _ = writeln!(transcript.text, "{line}");
        }
        transcript.text.push_str(&said);
        if *command == Command::Show {
            transcript.shown.push(said);
        }
    }
    for breach in world.breaches() {
        let _ = writeln!(transcript.text, "! {breach}");
    }
    transcript
}

/// What the command itself has to say.
fn carry_out(world: &mut World, command: &Command) -> String {
    let now = world.shared.now_ms;
    match command {
        Command::Advance(ms) => world.advance(now + ms),
        Command::Until(phase) => return until(world, phase),
        Command::Act(act) => world.act(act),
        Command::Analysis(verdict) => world.next_verdict(verdict.clone()),
        Command::Fault(fault) => world.add_fault(&from_here(fault, world)),
        Command::Heal => world.heal(),
        Command::Show => return show(world),
        Command::Explain => return explain(world),
    }
    String::new()
}

/// Calls are counted from the command on.
fn from_here(fault: &Fault, world: &World) -> Fault {
    let (calls, statuses) = (world.shared.calls, world.shared.statuses);
    let mut fault = fault.clone();
    match &mut fault {
        Fault::CrashAfterAction { call, .. }
        | Fault::Conflict409 { call }
        | Fault::Timeout { call, .. }
        | Fault::Throttle429 { call, .. }
        | Fault::Webhook500 { call } => *call += calls,
        Fault::CrashBeforeStatus { status, .. } => *status += statuses,
        _ => {}
    }
    fault
}

fn until(world: &mut World, phase: &str) -> String {
    let end = world.shared.now_ms + UNTIL_MS;
    while world.shared.now_ms < end {
        let facts = world.facts();
        let generation = facts
            .rollout
            .as_ref()
            .and_then(|own| own.metadata.generation);
        let reached = facts.status().is_some_and(|status| {
            status
                .phase
                .as_ref()
                .is_some_and(|own| own.to_string() == phase)
                && Some(status.observed_generation.as_str())
                    == generation.map(|own| own.to_string()).as_deref()
        });
        if reached {
            return String::new();
        }
        world.advance(world.shared.now_ms + LOOK_MS);
    }
    format!("! never {phase}\n")
}

/// The state without names and times, so that it is the same on every ground.
fn show(world: &World) -> String {
    let facts = world.facts();
    let mut text = String::new();
    let Some(status) = facts.status() else {
        return "  no status\n".to_owned();
    };
    let phase = status.phase.as_ref();
    let phase = phase.map_or_else(String::new, ToString::to_string);
    let _ = write!(text, "  {phase}");
    if let Some(index) = status.current_step_index {
        let _ = write!(text, ", step {index}");
    }
    if !status.message.is_empty() {
        let _ = write!(text, ": {}", status.message);
    }
    text.push('\n');
    for set in &facts.sets {
        let mut roles = Vec::new();
        if set.hash == status.stable_rs {
            roles.push("stable");
        }
        if set.hash == status.current_pod_hash {
            roles.push("current");
        }
        if set.warm {
            roles.push("delayed");
        }
        let line = format!(
            "  {} {}/{} ready {}",
            set.hash,
            set.ready,
            set.size,
            roles.join(" ")
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for (id, object) in world.shared.ground.list(Kind::Deployment) {
        if let Body::Deployment(workload) = &object.body {
            let size = workload.spec.as_ref().and_then(|spec| spec.replicas);
            let status = workload.status.as_ref();
            let ready = status.and_then(|status| status.ready_replicas);
            let (ready, size) = (ready.unwrap_or(0), size.unwrap_or(1));
            let _ = writeln!(text, "  {id} {ready}/{size} ready");
        }
    }
    for (service, hash) in &facts.services {
        let weight = facts.weight(service);
        let weight = weight.map_or_else(String::new, |weight| format!(" weight {weight}"));
        let _ = writeln!(text, "  {service} -> {hash}{weight}");
    }
    text
}

fn explain(world: &mut World) -> String {
    let leader = world.controllers.iter().find(|own| own.leads).cloned();
    let plan = leader.and_then(|leader| leader.plan(&mut world.shared));
    let mut text = String::new();
    for wait in plan.into_iter().flat_map(|(_, plan)| plan.trace.waiting_on) {
        let _ = writeln!(text, "  waits for {wait:?}");
    }
    text
}
