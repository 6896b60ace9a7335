//! The experiment step: an Experiment with pods of both revisions, which must succeed
//! (rollouts.md §3.11).

use super::new_experiment::Request;
use crate::analysis::terminating;
use crate::rollout::analysis_runs::is_completed;
use crate::rollout::context::Context;
use crate::rollout::time::plus_seconds;
use crate::traffic::gateway_api;
use api::constants::{API_VERSION, HASH_LABEL, condition, reason};
use api::{AnalysisPhase, Experiment, PauseReason, RolloutExperimentStep, WeightDestination};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use plan::{Action, ObjectKey, WaitingOn};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long to wait for pods of an Experiment that do not answer before looking again.
const RECHECK_S: i64 = 10;

/// The Experiment of a step after this pass.
#[derive(Debug)]
enum Outcome {
    /// The one there was.
    Kept(String),
    /// A new one of this name, which this pass makes.
    Created { name: String, object: Box<Value> },
}

pub(in crate::rollout) fn phase(experiment: &Experiment) -> Option<AnalysisPhase> {
    experiment.status.as_ref().and_then(|status| status.phase)
}

fn name(experiment: &Experiment) -> &str {
    experiment.metadata.name.as_deref().unwrap_or_default()
}

impl Context<'_> {
    /// The Experiments that this Rollout controls.
    pub(crate) fn owned_experiments(&self) -> impl Iterator<Item = &Arc<Experiment>> {
        let experiments = self.snapshot.experiments.iter();
        experiments.filter(|experiment| self.owns(&experiment.metadata))
    }

    /// The Experiment that the stored status names, if it belongs to the current step. One from
    /// before an abort does not: it was cut short, and a retry takes a new one.
    pub(super) fn current_experiment(&self) -> Option<Arc<Experiment>> {
        self.current_step()?.experiment.as_ref()?;
        if self.stored.aborted_at.is_some() {
            return None;
        }
        let stored = &self.stored.canary.current_experiment;
        self.experiment_attempts().named()?;
        self.owned_experiments()
            .find(|experiment| name(experiment) == stored)
            .cloned()
    }

    /// Draws the consequences of the Experiment of the current step, ends all others, then makes
    /// the one that is needed, and forgets old ones. In this order, as a pass may fail in between:
    /// what a new one replaces may still go on, with pods and a share of the traffic (that of the
    /// revision before, that of other steps, or one from before a retry).
    pub(super) fn run_experiment(&mut self) {
        let (current, begun) = match self.experiment_outcome() {
            None => (String::new(), None),
            Some(Outcome::Kept(name)) => (name, None),
            Some(Outcome::Created { name, object }) => {
                let key = self.experiment_key(&name);
                let message = format!("Created Experiment '{name}'");
                self.event_of(key, reason::EXPERIMENT_CREATED, message);
                (name, Some(Action::Create { object }))
            }
        };
        self.end_other_experiments(&current);
        self.actions.extend(begun);
        self.forget_old_experiments(&current);
        self.status.canary.current_experiment = current;
    }

    fn experiment_key(&self, name: &str) -> ObjectKey {
        ObjectKey::namespaced(API_VERSION, "Experiment", self.namespace(), name)
    }

    /// Ends what goes on although it is not the `current` one (a name).
    pub(crate) fn end_other_experiments(&mut self, current: &str) {
        let owned: Vec<_> = self.owned_experiments().cloned().collect();
        for experiment in owned {
            let name = name(&experiment);
            let is_told = experiment.spec.terminate == Some(true);
            if name == current || is_told || !is_going_on(&experiment) {
                continue;
            }
            let target = self.experiment_key(name);
            self.decide("terminate-experiment", name);
            let uid = experiment.metadata.uid.as_ref();
            self.actions.push(terminating(target, uid));
        }
    }

    /// The Experiment of the current step.
    fn experiment_outcome(&mut self) -> Option<Outcome> {
        let step = self.current_step()?.experiment.clone()?;
        if self.is_abort_unrecorded() {
            let stored = self.stored.canary.current_experiment.clone();
            return Some(Outcome::Kept(stored));
        }
        if self.is_aborted()
            || self.is_promote_full()
            || self.is_fully_promoted()
            || self.stored_stable().is_empty()
        {
            return None;
        }
        let current = self.current_experiment();
        if self.pause(PauseReason::InconclusiveAnalysisRun).is_some() {
            return current.map(|experiment| Outcome::Kept(name(&experiment).to_owned()));
        }
        match current.filter(|experiment| !self.is_repeated(experiment)) {
            Some(experiment) => self.follow_experiment(&experiment).map(Outcome::Kept),
            // Only people decide whether one that could not tell is repeated, also if it was
            // deleted, or its revision has another number since its ReplicaSet was.
            None if self.pause(PauseReason::InconclusiveExperiment).is_some() => {
                let stored = self.stored.canary.current_experiment.clone();
                Some(Outcome::Kept(stored))
            }
            None => self.start_experiment(&step),
        }
    }

    /// After a resumed pause an inconclusive Experiment is repeated, as an inconclusive analysis is
    /// (the peer pauses again at once).
    fn is_repeated(&self, experiment: &Experiment) -> bool {
        phase(experiment) == Some(AnalysisPhase::Inconclusive)
            && self.stored.controller_pause
            && self.pause(PauseReason::InconclusiveExperiment).is_none()
    }

    fn follow_experiment(&mut self, experiment: &Experiment) -> Option<String> {
        let name = name(experiment).to_owned();
        let status = experiment.status.as_ref();
        let message = status.map_or("", |status| status.message.as_str());
        match phase(experiment) {
            Some(AnalysisPhase::Inconclusive) => {
                if self.pause(PauseReason::InconclusiveExperiment).is_none() {
                    self.decide("pause", format!("{name} is inconclusive"));
                    self.pauses.add(PauseReason::InconclusiveExperiment);
                }
            }
            Some(AnalysisPhase::Error | AnalysisPhase::Failed) => {
                let why = match message {
                    "" => "Experiment analysis phase is error/failed".to_owned(),
                    message => format!("Experiment analysis phase is error/failed: {message}"),
                };
                self.decide("abort", why.clone());
                self.pauses.abort(why);
                return None;
            }
            Some(AnalysisPhase::Successful) => {}
            Some(AnalysisPhase::Pending | AnalysisPhase::Running) | None => {
                self.wait_for_experiment(experiment);
            }
        }
        Some(name)
    }

    fn wait_for_experiment(&mut self, experiment: &Experiment) {
        self.wait(WaitingOn::Experiment {
            experiment: name(experiment).to_owned(),
            phase: phase(experiment).map_or_else(String::new, |phase| phase.to_string()),
        });
        let conditions = experiment
            .status
            .iter()
            .flat_map(|status| &status.conditions);
        let invalid = conditions
            .into_iter()
            .find(|one| one.type_ == condition::INVALID_EXPERIMENT_SPEC);
        if let Some(invalid) = invalid {
            self.wait_for_fix(format!("{}: {}", name(experiment), invalid.message));
        }
        if self.experiment_destinations().len() < self.weighed_destinations().len() {
            // Nothing may tell this Rollout that they are back.
            self.wake_at(plus_seconds(self.now, RECHECK_S));
        }
    }

    fn start_experiment(&mut self, step: &RolloutExperimentStep) -> Option<Outcome> {
        if self.is_stable_lost() {
            self.wait_for_fix(
                "the experiment needs the stable ReplicaSet, which is gone: skip the step, or \
                 promote in full"
                    .to_owned(),
            );
            return None;
        }
        match self.request_experiment(step) {
            Ok(Request::Reuse(experiment)) => {
                // It may have ended meanwhile, and counts in this very pass.
                self.follow_experiment(&experiment).map(Outcome::Kept)
            }
            Ok(Request::Create { name, object }) => {
                self.decide("start-experiment", name.clone());
                self.wait(WaitingOn::Experiment {
                    experiment: name.clone(),
                    phase: String::new(),
                });
                Some(Outcome::Created { name, object })
            }
            Err(message) => {
                self.warn(reason::RECONCILIATION_ERROR, message.clone());
                self.wait_for_fix(message);
                None
            }
        }
    }

    pub(super) fn is_experiment_successful(&self) -> bool {
        self.current_experiment()
            .is_some_and(|experiment| phase(&experiment) == Some(AnalysisPhase::Successful))
    }

    /// What the pods of the running Experiment get of the traffic (§3.13): those that answer. The
    /// Experiment itself tells later that they do not (the peer waits for that).
    pub(super) fn experiment_destinations(&self) -> Vec<WeightDestination> {
        let mut destinations = self.weighed_destinations();
        if let Some(experiment) = self.current_experiment() {
            destinations.retain(|to| self.answers(&experiment, &to.pod_template_hash));
        }
        destinations
    }

    /// Whether pods of an Experiment that have that hash are ready. A ReplicaSet that is not seen
    /// says nothing else than the Experiment does.
    fn answers(&self, experiment: &Experiment, hash: &str) -> bool {
        let mut own = self.sets_of_experiment(experiment, hash).peekable();
        own.peek().is_none() || own.any(|set| has_ready_pods(set))
    }

    /// The ReplicaSets of an Experiment that have that hash.
    fn sets_of_experiment(
        &self,
        experiment: &Experiment,
        hash: &str,
    ) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        let uid = experiment.metadata.uid.as_ref();
        self.snapshot.replica_sets.iter().filter(move |set| {
            let mut owners = set.metadata.owner_references.iter().flatten();
            let labels = set.metadata.labels.as_ref();
            let own_hash = labels.and_then(|all| all.get(HASH_LABEL));
            owners.any(|owner| owner.controller == Some(true) && Some(&owner.uid) == uid)
                && own_hash.is_some_and(|own| own == hash)
        })
    }

    /// Whether pods answer what the status says that the routers give those of an Experiment. They
    /// stay for a while when it has ended.
    pub(super) fn do_shares_answer(&self) -> bool {
        let recorded = self.stored.canary.weights.iter();
        let mut shares = recorded.flat_map(|weights| &weights.additional);
        shares.any(|to| {
            let hash = &to.pod_template_hash;
            self.owned_experiments().any(|experiment| {
                let mut sets = self.sets_of_experiment(experiment, hash);
                sets.any(|set| has_ready_pods(set))
            })
        })
    }

    /// What the steps want them to get while the Experiment says that it is running.
    fn weighed_destinations(&self) -> Vec<WeightDestination> {
        let single_armed = self.is_fully_promoted()
            || self.is_aborted()
            || self.is_promote_full()
            || self.is_stable_lost();
        let step = self
            .current_step()
            .and_then(|step| step.experiment.as_ref());
        let current = self
            .current_experiment()
            .filter(|experiment| phase(experiment) == Some(AnalysisPhase::Running));
        let (Some(step), Some(experiment), false) = (step, current, single_armed) else {
            return Vec::new();
        };
        let statuses = experiment
            .status
            .as_ref()
            .map_or(&[][..], |status| &status.template_statuses);
        let weighed = step
            .templates
            .iter()
            .filter_map(|template| Some((&template.name, template.weight?)));
        weighed
            .filter_map(|(template, weight)| {
                let status = statuses.iter().find(|status| status.name == *template)?;
                (!status.service_name.is_empty()).then(|| WeightDestination {
                    weight,
                    service_name: status.service_name.clone(),
                    pod_template_hash: status.pod_template_hash.clone(),
                })
            })
            .collect()
    }

    /// Services of Experiments that may have had a share of the traffic and that are not among
    /// `wanted`: a router takes them out. Those of the stored weights, and (a pass may have ended
    /// before its status was stored) those of every Experiment there is.
    pub(crate) fn former_destinations(&self, wanted: &[WeightDestination]) -> Vec<String> {
        let recorded = self.stored.canary.weights.iter();
        let recorded = recorded
            .flat_map(|weights| &weights.additional)
            .map(|destination| destination.service_name.clone());
        let experiments = self.owned_experiments();
        let of_experiments = experiments.flat_map(|experiment| services_of(experiment));
        let mut names: Vec<String> = recorded.chain(of_experiments).collect();
        names.retain(|name| {
            let is_wanted = wanted.iter().any(|wanted| wanted.service_name == *name);
            !is_wanted && !self.referenced_services().any(|own| own == name)
        });
        names.sort();
        names.dedup();
        names
    }

    /// Whether a route is seen to lead to Services of an Experiment that are nobody else's. As long
    /// as one does, and no status may tell of it, the Experiment is what they are known by.
    pub(crate) fn is_led_to(&self, experiment: &Experiment) -> bool {
        let is_own = |service: &String| self.referenced_services().any(|own| own == service);
        let mut services = services_of(experiment).filter(|service| !is_own(service));
        services.any(|service| {
            let mut routes = self.snapshot.objects.values();
            routes.any(|route| gateway_api::leads_to(route, &service))
        })
    }

    /// Where the ports of a Service lead: the Services of an Experiment have the ports of the
    /// containers. A port with a named target is looked up in the pod template.
    pub(super) fn target_ports(&self, service: &str) -> BTreeMap<i64, i64> {
        let service = self.snapshot.services.get(service).map(AsRef::as_ref);
        let spec = service.and_then(|service: &Service| service.spec.as_ref());
        let ports = spec
            .and_then(|spec| spec.ports.as_ref())
            .into_iter()
            .flatten();
        ports
            .filter_map(|port| {
                let target: i64 = match &port.target_port {
                    None => port.port.into(),
                    Some(IntOrString::Int(number)) => (*number).into(),
                    Some(IntOrString::String(name)) => self.named_port(name)?,
                };
                Some((port.port.into(), target))
            })
            .collect()
    }

    fn named_port(&self, name: &str) -> Option<i64> {
        let template = self.rollout.spec.pod_template().as_value();
        let containers = template.pointer("/spec/containers")?.as_array()?;
        containers
            .iter()
            .filter_map(|container| container.get("ports")?.as_array())
            .flatten()
            .find(|port| port.get("name").and_then(Value::as_str) == Some(name))?
            .get("containerPort")?
            .as_i64()
    }
}

/// Whether a ReplicaSet has ready pods among those that its size leaves it.
fn has_ready_pods(set: &ReplicaSet) -> bool {
    let (spec, status) = (set.spec.as_ref(), set.status.as_ref());
    let size = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = status.and_then(|status| status.ready_replicas);
    ready.unwrap_or(0).min(size) > 0
}

/// The Service that an Experiment says it has made for a template.
fn made_service(experiment: &Experiment, template: &str) -> Option<String> {
    let status = experiment.status.as_ref()?;
    let mut templates = status.template_statuses.iter();
    let made = templates.find(|one| one.name == template)?;
    (!made.service_name.is_empty()).then(|| made.service_name.clone())
}

/// The Services of an Experiment. A name of the author's own choice counts when the Experiment has
/// made the Service: until then it may be anybody's.
fn services_of(experiment: &Experiment) -> impl Iterator<Item = String> {
    let templates = experiment.spec.templates.iter();
    templates.filter_map(|template| match &template.service.as_ref()?.name {
        Some(_) => made_service(experiment, &template.name),
        None => Some(format!("{}-{}", name(experiment), template.name)),
    })
}

/// Whether an Experiment goes on.
fn is_going_on(experiment: &Experiment) -> bool {
    !phase(experiment).is_some_and(is_completed)
}
