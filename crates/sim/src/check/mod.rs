//! Checkers: what must be true of everything that the controller does.
//!
//! Each rule, where it is, and what it lets pass:
//!
//! - Ready pods, floor and surge: [`shortfalls`]; what no action made worse, in truth and as seen,
//!   and `excuses`.
//! - Restarts: [`too_many_evictions`], and an arm's last pod [`Checks::evicted`]; where the one
//!   that was left is lost meanwhile.
//! - Pods that an update leaves alone: `sizes`; canaries by pods, `dynamicStableScale`.
//! - Traffic goes where pods are ready: [`shortfalls`], [`Change::led_astray`]; canaries by pods
//!   that are halted.
//! - Routers that the spec gave up: `former`, which asks the same of them, and that they give back
//!   no more than can be taken; who leads both services to the same pods.
//! - Weights add up: [`shortfalls`]; routes that nobody has weighed yet.
//! - The canary gets no more than its step: [`shortfalls`], by pods `sizes`; weights turned by
//!   hand, no stable pods, canaries by pods that are halted.
//! - A switch after readiness, analysis and pause, and none after an abort: [`Change::switch`]; the
//!   way back, and where there is nothing to switch from.
//! - Stable after all steps and analyses: `transitions`, `switches`; full promotions, the way back,
//!   no stable pods.
//! - An abort gives the traffic back: `rest`, while it lasts [`shortfalls`] and `sizes`; stable
//!   pods that do not answer.
//! - Nothing of others is deleted or patched: [`Checks::deed`]; orphans are adopted.
//! - Pauses last, steps follow each other: `transitions`; full promotions, the way back.
//! - A header or mirror step ends with its rule, and at rest there are no others: `step_routes`;
//!   where it would lead to nobody.
//! - A scale that follows the weight ends with the pods for it: `transitions`; thresholds, and what
//!   was taken over from stable pods that do not answer.
//! - The services of Experiments lead to their pods while these are wanted: [`misled_service`].
//! - `observedGeneration` is the one that was planned: `transitions`.
//! - One analysis run for a purpose, one experiment for a step: [`Checks::deed`],
//!   [`rival_experiments`]; those that are told to end.
//! - Convergence, silence, counts, history: [`at_rest`], [`healed`], [`surplus_runs`]; invalid
//!   specs.
//!
//! The way back is one within the `rollbackWindow`, to the stable revision, or to pods that are
//! still warm.

mod actions;
mod evictions;
mod evidence;
mod excuses;
mod facts;
mod former;
mod guests;
mod reasons;
mod requests;
mod rest;
mod rivals;
mod rules;
mod sizes;
mod step_routes;
mod switches;
#[cfg(test)]
mod tests;
mod transitions;

pub use actions::Deed;
pub use evictions::{left_ready, too_many_evictions};
pub use evidence::{Evidence, Passed, Purpose};
pub use facts::{Facts, SetFacts};
pub use guests::misled_service;
pub use rest::{at_rest, healed, left_ingresses, surplus_runs};
pub use rivals::rival_experiments;
pub use rules::{Shortfalls, shortfalls, worse};
pub use transitions::{Change, Pauses};

use serde::Serialize;
use std::fmt;

/// A rule that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    pub at_ms: i64,
    /// Short and stable: shrinking keeps it.
    pub rule: String,
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at_ms as f64 / 1000.0;
        write!(f, "{seconds:.3}s {}: {}", self.rule, self.what)
    }
}

/// What the checkers remember of one world.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    pub breaches: Vec<Breach>,
    pub pauses: Pauses,
    /// Somebody has turned the route's weights, and the controller has not put them right yet.
    pub turned: bool,
    /// When the update began that is under way, or went on after an abort: analyses from before
    /// that tell nothing.
    pub since_ms: i64,
    /// When an abort was withdrawn last. An analysis may go on while steps change, and fail then.
    pub retried_ms: i64,
    /// The run of a step's analysis that a status since that beginning has told of last as one that
    /// goes on. It may have ended unseen before the steps changed: when those begin, nobody who
    /// hears of its end late can tell it from one that still goes on, which counts for them.
    going_on: Option<String>,
    /// The pause that somebody has ended last, until that has come about.
    ended: Option<requests::Ended>,
    /// Writes of the controller, by second: more than a few are a hot loop.
    burst: (i64, u32),
}

/// Writes within a second that no Rollout of a few ReplicaSets needs.
const BURST_MAX: u32 = 100;

impl Checks {
    pub fn report(&mut self, at_ms: i64, rule: &str, what: impl Into<String>) {
        self.breaches.push(Breach {
            at_ms,
            rule: rule.to_owned(),
            what: what.into(),
        });
    }

    /// Somebody has ended a pause.
    pub fn resumed(&mut self, at_ms: i64) {
        self.pauses.insert(transitions::RESUMED, at_ms);
    }

    /// Notes when an update begins, or begins again.
    pub fn note_beginning(&mut self, change: &Change<'_>) {
        let (before, after) = (change.before(), change.after);
        // One that the controller has never carried out has ended nothing, so that what goes on
        // needs no retry.
        let again = before.abort && before.aborted_at.is_some() && !after.abort;
        let same = before.current_pod_hash == after.current_pod_hash
            && before.current_step_hash == after.current_step_hash;
        if again {
            self.retried_ms = self.retried_ms.max(change.at_ms);
        }
        if again || !same {
            self.since_ms = self.since_ms.max(change.at_ms);
            self.going_on = None;
        }
        if let Some(run) = evidence::going_on(after) {
            self.going_on = Some(run.clone());
        }
    }

    /// Counts one write.
    pub fn count(&mut self, at_ms: i64) {
        let second = at_ms / 1000;
        if self.burst.0 != second {
            self.burst = (second, 0);
        }
        self.burst.1 += 1;
        if self.burst.1 == BURST_MAX {
            self.report(at_ms, "economy", "a hundred writes within a second");
        }
    }

    /// After an action: what it has made worse, in truth and in the actor's own view.
    pub fn compare(&mut self, at_ms: i64, truth: (&Facts, &Facts), seen: (&Facts, &Facts)) {
        if rules::is_outage(truth.0, truth.1) && rules::is_outage(seen.0, seen.1) {
            self.report(
                at_ms,
                "an outage",
                "nobody who is ready gets any traffic now",
            );
        }
        if former::gives_back_too_soon(truth.0, truth.1)
            && former::gives_back_too_soon(seen.0, seen.1)
        {
            let what = "others than the stable pods answer for it";
            self.report(at_ms, former::TOO_SOON, what);
        }
        let truly = worse(&shortfalls(truth.0), &shortfalls(truth.1));
        if truly.is_empty() {
            return;
        }
        let visibly = worse(&shortfalls(seen.0), &shortfalls(seen.1));
        let superseded = rules::is_superseded(truth.0);
        for ((rule, on), by) in &truly {
            // An arm that was none until now: its service selected everybody, or a revision that is
            // neither stable nor current. What it lacks is not this action's doing.
            let is_superseded = superseded && truth.0.canary_service() == Some(on);
            let is_new_arm = is_superseded || truth.0.selected(on).is_none();
            // Without stable pods there was no step to be held to; one that comes into being makes
            // nobody's weight larger.
            let is_new_stable = rules::is_stable_gone(truth.0);
            let is_of_size = [rules::ARM_TOO_SMALL, former::TOO_FEW_BEHIND].contains(rule);
            let forgiven = (is_of_size && is_new_arm)
                || (*rule == rules::TOO_MUCH && (self.turned || is_new_stable));
            let is_excused = forgiven || excuses::is_excused(rule, on, truth, seen);
            if !is_excused && visibly.contains_key(&(*rule, on.clone())) {
                self.report(at_ms, rule, format!("{on} by {by}"));
            }
        }
    }
}
