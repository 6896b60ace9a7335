//! Which objects a Rollout talks about: what the shell must fetch before it can ask for a plan.

use super::workload::resource_of;
use crate::snapshot::{References, TemplateName, WorkloadUser};
use crate::traffic::{self, nginx};
use api::constants::EPHEMERAL_METADATA_ANNOTATION;
use api::{BlueGreenStrategy, CanaryStrategy, Rollout, RolloutAnalysis};
use k8s_openapi::api::apps::v1::ReplicaSet;
use plan::ObjectKey;
use std::borrow::Borrow;
use std::sync::Arc;

/// Everything that a Rollout refers to by name: in its spec, and because of a spec that it had.
/// Pure; cheap enough for every event.
pub fn references(rollout: &Rollout) -> References {
    let mut refs = named(rollout);
    let (routes, services) = traffic::remembered(rollout);
    refs.objects.extend(routes);
    refs.services.extend(services);
    refs
}

/// What the spec names.
pub fn named(rollout: &Rollout) -> References {
    let mut refs = References {
        pods: concerns_pods(rollout),
        ..References::default()
    };
    let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
    refs.workload = rollout.spec.workload_ref.as_ref().and_then(|workload| {
        let api_version = workload.api_version.as_deref().unwrap_or_default();
        let kind = workload.kind.as_deref().unwrap_or_default();
        let name = workload.name.as_deref().unwrap_or_default();
        // Of other kinds nothing is read, least of all Secrets: the plan says that they won't do.
        resource_of(api_version, kind)?;
        Some(ObjectKey::namespaced(api_version, kind, namespace, name))
    });
    if let Some(strategy) = rollout.spec.blue_green() {
        refs.add_blue_green(strategy);
    }
    if let Some(strategy) = rollout.spec.canary() {
        refs.add_canary(strategy);
        if let Some(routing) = &strategy.traffic_routing {
            let name = rollout.metadata.name.as_deref().unwrap_or_default();
            let required = traffic::required(routing, namespace);
            let made = traffic::made(routing, namespace, name);
            refs.objects.extend(required.iter().cloned().chain(made));
            refs.required.extend(required);
        }
    }
    if may_own_ingresses(rollout) {
        refs.owned_kinds
            .insert((nginx::API_VERSION.to_owned(), nginx::KIND.to_owned()));
    }
    refs
}

/// Of the Rollouts of a namespace, those that refer to the same workload as this one, and are not
/// being deleted; the oldest first.
pub fn workload_users<R: Borrow<Rollout>>(
    rollout: &Rollout,
    namespace: impl IntoIterator<Item = R>,
) -> Vec<WorkloadUser> {
    let workload = |rollout: &Rollout| {
        let reference = rollout.spec.workload_ref.clone()?;
        Some((reference.api_version, reference.kind, reference.name))
    };
    let Some(wanted) = workload(rollout) else {
        return Vec::new();
    };
    let mut users: Vec<WorkloadUser> = namespace
        .into_iter()
        .filter(|other| {
            let other: &Rollout = other.borrow();
            other.metadata.name != rollout.metadata.name
                && other.metadata.deletion_timestamp.is_none()
                && workload(other).as_ref() == Some(&wanted)
        })
        .map(|other| user(other.borrow()))
        .collect();
    users.sort();
    users
}

/// A Rollout as a user of its workload.
pub(crate) fn user(rollout: &Rollout) -> WorkloadUser {
    let created = rollout.metadata.creation_timestamp.as_ref();
    WorkloadUser {
        created: created.map(|created| created.0),
        name: rollout.metadata.name.clone().unwrap_or_default(),
    }
}

/// Canary Ingresses are to be found even when the spec no longer names them: as long as the status
/// holds weights, traffic may be divided by one.
fn may_own_ingresses(rollout: &Rollout) -> bool {
    let routing = rollout.spec.traffic_routing();
    let status = rollout.status.as_ref();
    routing.is_some_and(|routing| routing.nginx.is_some())
        || status.is_some_and(|status| status.canary.weights.is_some())
}

/// Whether the plan needs the single pods, given the ReplicaSets of its snapshot. Metadata that
/// pods have got is taken back even when the spec speaks of none any more: what is to go is on
/// record in their ReplicaSet, and the record goes with it.
pub fn needs_pods(references: &References, replica_sets: &[Arc<ReplicaSet>]) -> bool {
    let has_record = |set: &Arc<ReplicaSet>| {
        let annotations = set.metadata.annotations.as_ref();
        annotations.is_some_and(|all| all.contains_key(EPHEMERAL_METADATA_ANNOTATION))
    };
    references.pods || replica_sets.iter().any(has_record)
}

/// Single pods matter to a restart that is not done, and to metadata that follows the arms.
fn concerns_pods(rollout: &Rollout) -> bool {
    let restarted = rollout
        .status
        .as_ref()
        .and_then(|status| status.restarted_at.as_ref());
    let restart =
        rollout.spec.restart_at.is_some() && rollout.spec.restart_at.as_ref() != restarted;
    let canary = rollout.spec.canary();
    let blue_green = rollout.spec.blue_green();
    restart
        || canary.is_some_and(|s| s.canary_metadata.is_some() || s.stable_metadata.is_some())
        || blue_green.is_some_and(|s| s.preview_metadata.is_some() || s.active_metadata.is_some())
}

impl References {
    fn add_blue_green(&mut self, strategy: &BlueGreenStrategy) {
        self.add_service(Some(&strategy.active_service));
        self.add_service(strategy.preview_service.as_deref());
        self.add_analysis(strategy.pre_promotion_analysis.as_ref());
        self.add_analysis(strategy.post_promotion_analysis.as_ref());
    }

    fn add_canary(&mut self, strategy: &CanaryStrategy) {
        self.add_service(strategy.canary_service.as_deref());
        self.add_service(strategy.stable_service.as_deref());
        if let Some(ping_pong) = &strategy.ping_pong {
            self.add_service(Some(&ping_pong.ping_service));
            self.add_service(Some(&ping_pong.pong_service));
        }
        self.add_analysis(
            strategy
                .analysis
                .as_ref()
                .map(|background| &background.analysis),
        );
        for step in &strategy.steps {
            self.add_analysis(step.analysis.as_ref());
            let analyses = step
                .experiment
                .iter()
                .flat_map(|experiment| &experiment.analyses);
            for analysis in analyses {
                let name = analysis.template_name.clone();
                let is_cluster = analysis.cluster_scope == Some(true);
                self.templates.insert(TemplateName::new(name, is_cluster));
            }
        }
    }

    fn add_service(&mut self, name: Option<&str>) {
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            self.services.insert(name.to_owned());
        }
    }

    fn add_analysis(&mut self, analysis: Option<&RolloutAnalysis>) {
        for template in analysis
            .into_iter()
            .flat_map(|analysis| &analysis.templates)
        {
            self.templates.insert(TemplateName::of(template));
        }
    }
}
