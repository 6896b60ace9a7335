//! Other objects that stand in the way: what is not there, does not fit, was refused, or is to be
//! replaced.

use super::pods::line;
use super::remedy::Remedy;
use super::since::at;
use super::{Teller, Wait};
use crate::rollout::time::{plus_seconds, whole_seconds};
use api::constants::{INSTANCE_ID_LABEL, MANAGED_BY_ANNOTATION, condition, reason};
use jiff::Timestamp;
use plan::Next;

impl Teller<'_> {
    /// Something that only a person can put right.
    pub(super) fn fix(&self, message: &str) -> Wait {
        let mut wait = Wait {
            what: format!("somebody to correct this: {message}"),
            ..Wait::default()
        };
        let invalid = (condition::INVALID_SPEC, reason::INVALID_SPEC);
        let refused = (condition::PROGRESSING, reason::REPLICA_SET_CREATE_ERROR);
        if let Some(since) = self.told(invalid, message) {
            wait.since = Some(since);
            self.correct_spec(&mut wait, message);
        } else if let Some(since) = self.told(refused, message) {
            wait.since = Some(since);
            self.see_to_replica_set(&mut wait, message);
        } else {
            self.correct_step(&mut wait, message);
        }
        wait
    }

    /// The API server would not have the ReplicaSet of a new revision. As long as that is so, no
    /// other word is heard than another template.
    fn see_to_replica_set(&self, wait: &mut Wait, message: &str) {
        wait.until = self.next_look();
        let again = wait.until.map(|_| "it is tried again by then".to_owned());
        wait.details.extend(again);
        if message.contains("cannot create resource") {
            let detail = "the controller lacks a right: `weir check` says which";
            wait.details.push(detail.to_owned());
        } else {
            wait.remedies.push(self.see_to_refusal(message));
        }
        let stable = self.stable_revision().filter(|revision| *revision > 0);
        wait.remedies.extend(stable.map(|revision| {
            let effect = format!("makes revision {revision} the wanted one");
            self.undo_to(revision, effect)
        }));
    }

    /// Since when a condition says this for this reason.
    fn told(&self, (kind, reason): (&str, &str), message: &str) -> Option<Timestamp> {
        let told = self.condition(kind)?;
        (told.reason == reason && told.message == message).then_some(told.last_transition_time.0)
    }

    /// The Rollout, or what it refers to, is wrong.
    fn correct_spec(&self, wait: &mut Wait, message: &str) {
        let edit = format!("edit rollout {}", self.name());
        let Some((kind, name)) = missing(message) else {
            self.see_to_service(wait, message);
            let effect = "corrects it here; correct its manifest too";
            wait.remedies.push(if message.contains("spec.template.") {
                self.edit_template(effect)
            } else {
                Remedy::kubectl(edit, effect)
            });
            return;
        };
        wait.details.extend(self.label_of_instance(&kind));
        wait.details.extend(self.look_again());
        wait.remedies.push(look_for(&kind, name));
        let effect = "names another one here; correct its manifest too";
        wait.remedies.push(Remedy::kubectl(edit, effect));
    }

    /// A Service that another Rollout has marked, or that selects other pods.
    fn see_to_service(&self, wait: &mut Wait, message: &str) {
        let said = message.split_once("Service \"");
        let Some((name, words)) = said.and_then(|(_, said)| said.split_once('"')) else {
            return;
        };
        if words.starts_with(" is managed by another Rollout") {
            let service = self.seen.snapshot.services.get(name);
            let marks = service.and_then(|service| service.metadata.annotations.as_ref());
            let other = marks.and_then(|marks| marks.get(MANAGED_BY_ANNOTATION));
            let other = other.map(|other| format!("its annotation says which: {other}"));
            wait.details.extend(other);
            let verb = format!("annotate service {name} {MANAGED_BY_ANNOTATION}-");
            let effect = "frees it, if that Rollout does not need it any more";
            wait.remedies.push(Remedy::kubectl(verb, effect));
        } else if words.starts_with(" selects pods") {
            let verb = format!("edit service {name}");
            let effect = "corrects its selector; correct its manifest too";
            wait.remedies.push(Remedy::kubectl(verb, effect));
        }
    }

    /// A step, or an analysis, that cannot begin as it is written.
    fn correct_step(&self, wait: &mut Wait, message: &str) {
        let step = self.current_step();
        let is_experiment = step.is_some_and(|step| step.experiment.is_some());
        let is_stable_gone =
            self.is_updating() && self.set_by_hash(&self.status().stable_rs).is_none();
        if is_experiment && is_stable_gone {
            // There is nothing left that an abort could go back to.
            let effect = format!(
                "skips {}: goes on with {}",
                self.this_step(),
                self.next_step()
            );
            wait.remedies.push(self.promote(effect));
            wait.remedies.push(self.promote_full());
            return;
        }
        let experiment = &self.status().canary.current_experiment;
        let rest = message.strip_prefix(experiment.as_str());
        if !experiment.is_empty() && rest.is_some_and(|rest| rest.starts_with(": ")) {
            wait.since = self.experiment_since(experiment);
            wait.remedies.push(Self::look_at_experiment(experiment));
        }
        let is_analysis = step.is_some_and(|step| step.analysis.is_some());
        let what = if is_experiment || is_analysis {
            self.this_step()
        } else {
            "it".to_owned()
        };
        wait.remedies.push(Remedy::kubectl(
            format!("edit rollout {}", self.name()),
            format!("corrects {what} here; correct its manifest too"),
        ));
        wait.remedies.extend(self.abort());
    }

    /// Another object that is to appear, or to change.
    pub(super) fn object(&self, object: &str, why: &str) -> Wait {
        let mut wait = Wait {
            what: format!("{object}: {why}"),
            ..Wait::default()
        };
        match object.split_once(' ') {
            None if object == "restart" => {
                let asked = self.spec().restart_at.as_ref();
                // Strictly later than the time asked for.
                wait.until = asked.map(|asked| plus_seconds(asked.0, 1));
                return wait;
            }
            Some((_, "pods")) => {
                self.restart_under_way(&mut wait);
                return wait;
            }
            Some(("ReplicaSet", name)) if self.is_replica_set(name) => {
                let verb = format!("describe replicaset {name}");
                let effect = "shows what it is, and who controls it";
                wait.remedies.push(Remedy::kubectl(verb, effect));
            }
            Some(("Service", name)) if !self.seen.snapshot.services.contains_key(name) => {
                wait.details.extend(self.look_again());
                wait.remedies.push(look_for("service", name));
            }
            // A router that could not be told.
            None => wait.details.extend(self.look_again()),
            Some(_) => {}
        }
        wait.remedies.extend(self.abort());
        wait
    }

    fn is_replica_set(&self, name: &str) -> bool {
        let mut sets = self.seen.snapshot.replica_sets.iter();
        sets.any(|set| set.metadata.name.as_deref() == Some(name))
    }

    fn restart_under_way(&self, wait: &mut Wait) {
        let names = self.pods_to_restart();
        if !names.is_empty() {
            let what = "made before the restart was asked for";
            wait.details.push(line(what, &names));
        }
        let asked = self.spec().restart_at.as_ref();
        wait.since = asked.map(|asked| asked.0);
        wait.details.extend(self.look_again());
        wait.remedies.push(Remedy::kubectl(
            "get poddisruptionbudget".to_owned(),
            "shows whether a budget forbids their eviction",
        ));
    }

    /// Names of the pods that a restart is still to replace.
    fn pods_to_restart(&self) -> Vec<&str> {
        let asked = self.spec().restart_at.as_ref();
        // Pods are dated by whole seconds.
        let Some(asked) = asked.map(|asked| whole_seconds(asked.0)) else {
            return Vec::new();
        };
        let pods = self.sets.iter().flat_map(|set| self.pods_of(set));
        let old = pods.filter(|pod| {
            let created = pod.metadata.creation_timestamp.as_ref();
            created.is_some_and(|created| created.0 < asked)
        });
        let mut names: Vec<&str> = old.filter_map(|pod| pod.metadata.name.as_deref()).collect();
        names.sort_unstable();
        names
    }

    /// When the controller looks at the Rollout whatever happens.
    fn next_look(&self) -> Option<Timestamp> {
        match self.seen.plan.next {
            Next::At(at) => Some(at),
            Next::OnChange => None,
        }
    }

    fn look_again(&self) -> Option<String> {
        let next = at(self.next_look()?, self.seen.now);
        Some(format!(
            "the Rollout is looked at again by itself, at {next} at the latest"
        ))
    }

    /// The controller of an instance sees only the templates of its own.
    fn label_of_instance(&self, kind: &str) -> Option<String> {
        let labels = self.seen.snapshot.rollout.metadata.labels.as_ref()?;
        let id = labels.get(INSTANCE_ID_LABEL)?;
        kind.ends_with("analysistemplate").then(|| {
            format!("it counts only with the label {INSTANCE_ID_LABEL}={id}, as the Rollout has it")
        })
    }
}

/// Kind and name of what a sentence says is not found, as kubectl wants them: the last words of all
/// such sentences are `KIND NAME not found`.
fn missing(message: &str) -> Option<(String, &str)> {
    let last = message.rsplit_once(": ").map_or(message, |(_, last)| last);
    let (kind, name) = last.strip_suffix(" not found")?.split_once(' ')?;
    let name = name.trim_matches(['"', '\'', '`']);
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    let is_name = !name.is_empty() && !name.contains(' ');
    is_name.then(|| (kind.to_lowercase(), name))
}

fn look_for(kind: &str, name: &str) -> Remedy {
    let effect = "shows whether it is there; create it, and the Rollout goes on by itself";
    Remedy::kubectl(format!("get {kind} {name}"), effect)
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn what_is_not_found_is_named_as_kubectl_wants_it() {
        let invalid = "The Rollout \"app\" is invalid: spec.x: Invalid value: \"y\"";
        for (tail, kind, name) in [
            ("service \"canary\" not found", "service", "canary"),
            ("ingress \"web\" not found", "ingress", "web"),
            (
                "AnalysisTemplate 'smoke' not found",
                "analysistemplate",
                "smoke",
            ),
            (
                "ClusterAnalysisTemplate 'all' not found",
                "clusteranalysistemplate",
                "all",
            ),
            ("HTTPRoute demo/app not found", "httproute", "app"),
            (
                "deployments.apps \"demo/shop\" not found",
                "deployments.apps",
                "shop",
            ),
        ] {
            let message = format!("{invalid}: {tail}");
            assert_eq!(missing(&message), Some((kind.to_owned(), name)), "{tail}");
        }
        let message = "HTTPRoute demo/app has no rule with the backends \"stable\" and \"canary\"";
        assert_eq!(missing(message), None);
    }
}
