//! A Rollout against the controller's validation, with what is beside it.

use super::{Report, named, text};
use api::{AnalysisTemplate, ClusterAnalysisTemplate, Rollout};
use engine::snapshot::{
    Inbox, References, RolloutSnapshot, TemplateName, TemplateSet, references, workload_users,
};
use engine::validate;
use k8s_openapi::api::core::v1::Service;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) fn check(object: &Value, beside: &[Value], report: &mut Report) {
    let name = named(object);
    let rollout: Rollout = match serde_json::from_value(object.clone()) {
        Ok(rollout) => rollout,
        Err(error) => {
            report.findings.push(format!("{name}: {error}"));
            return;
        }
    };
    let wrong = validate::stored(&rollout).or_else(|| validate::spec(&rollout));
    if let Some(wrong) = wrong {
        report.findings.push(format!("{name}: {wrong}"));
        return;
    }
    let (snapshot, missing) = snapshot(rollout, beside);
    if let Some(wrong) = validate::references(&snapshot) {
        report.findings.push(format!("{name}: {wrong}"));
    }
    if !missing.is_empty() {
        let missing: Vec<String> = missing.into_iter().collect();
        report.notes.push(format!(
            "{name}: not looked at with what it names, because these are not in the files: {}",
            missing.join(", ")
        ));
    }
}

/// The Rollout with all that it names and that is there, and what is not there. What needs an
/// object that is not there is left out of the Rollout.
fn snapshot(mut rollout: Rollout, beside: &[Value]) -> (RolloutSnapshot, BTreeSet<String>) {
    let wanted = references(&rollout);
    let place = Place {
        namespace: rollout.metadata.namespace.clone(),
        beside,
    };
    let mut missing = BTreeSet::new();
    let workload = wanted.workload.as_ref().and_then(|key| {
        let found = place.find(&key.api_version, &key.kind, &key.name);
        if found.is_none() {
            missing.insert(format!("{} {}", key.kind, key.name));
        }
        found.cloned().map(Arc::new)
    });
    let has_template = wanted.workload.is_none() || workload.is_some();
    let mut objects = BTreeMap::new();
    let mut lacks_routes = false;
    for key in &wanted.objects {
        match place.find(&key.api_version, &key.kind, &key.name) {
            Some(found) => {
                objects.insert(key.clone(), Arc::new(found.clone()));
            }
            None if is_made_by_the_controller(&rollout, &key.kind, &key.name) => {}
            None => {
                missing.insert(format!("{} {}", key.kind, key.name));
                lacks_routes = true;
            }
        }
    }
    if lacks_routes {
        without_routes(&mut rollout);
    }
    let templates = place.templates();
    let absent = absent_templates(wanted.templates.clone(), &templates);
    if !absent.is_empty() {
        without_analyses(&mut rollout);
        missing.extend(absent);
    }
    let services = services(&wanted, &place, has_template, &mut missing);
    let others = place.all::<Rollout>("argoproj.io/v1alpha1", "Rollout");
    let snapshot = RolloutSnapshot {
        workload_users: workload_users(&rollout, others),
        rollout: Arc::new(rollout),
        digest: None,
        replica_sets: Vec::new(),
        pods: Vec::new(),
        services,
        analysis_runs: Vec::new(),
        experiments: Vec::new(),
        templates,
        objects,
        workload,
        inbox: Inbox::default(),
    };
    (snapshot, missing)
}

/// The Services that are named. One that is not there, or can't be held against a template that is
/// not there, is one that selects nothing.
fn services(
    wanted: &References,
    place: &Place<'_>,
    has_template: bool,
    missing: &mut BTreeSet<String>,
) -> BTreeMap<String, Arc<Service>> {
    let found = |name: &String| {
        let object = place.find("v1", "Service", name)?;
        serde_json::from_value::<Service>(object.clone()).ok()
    };
    let mut services = BTreeMap::new();
    for name in &wanted.services {
        let service = found(name);
        if service.is_none() {
            missing.insert(format!("Service {name}"));
        }
        let service = service.filter(|_| has_template).unwrap_or_default();
        services.insert(name.clone(), Arc::new(service));
    }
    services
}

/// Names of templates that are wanted, or that those name in turn, and that are not there.
fn absent_templates(wanted: BTreeSet<TemplateName>, templates: &TemplateSet) -> Vec<String> {
    let mut open: Vec<TemplateName> = wanted.into_iter().collect();
    let mut seen = BTreeSet::new();
    let mut absent = Vec::new();
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let spec = match &name {
            TemplateName::Namespaced(name) => {
                let found = templates.namespaced.get(name);
                found
                    .map(|template| &template.spec)
                    .ok_or("AnalysisTemplate")
            }
            TemplateName::Cluster(name) => {
                let found = templates.cluster.get(name);
                found
                    .map(|template| &template.spec)
                    .ok_or("ClusterAnalysisTemplate")
            }
        };
        match spec {
            Ok(spec) => open.extend(spec.templates.iter().map(TemplateName::of)),
            Err(kind) => {
                let (TemplateName::Namespaced(name) | TemplateName::Cluster(name)) = name;
                absent.push(format!("{kind} {name}"));
            }
        }
    }
    absent
}

/// Whether an object of a router is none that users make: a canary Ingress beside a stable one.
fn is_made_by_the_controller(rollout: &Rollout, kind: &str, name: &str) -> bool {
    let routing = rollout.spec.traffic_routing();
    let nginx = routing.and_then(|routing| routing.nginx.as_ref());
    let is_stable = nginx.is_some_and(|nginx| {
        let mut stable = nginx.stable_ingress.iter().chain(&nginx.stable_ingresses);
        stable.any(|stable| stable == name)
    });
    kind == "Ingress" && !is_stable
}

fn without_routes(rollout: &mut Rollout) {
    if let Some(canary) = &mut rollout.spec.strategy.canary {
        canary.traffic_routing = None;
    }
}

fn without_analyses(rollout: &mut Rollout) {
    let strategy = &mut rollout.spec.strategy;
    if let Some(blue_green) = &mut strategy.blue_green {
        blue_green.pre_promotion_analysis = None;
        blue_green.post_promotion_analysis = None;
    }
    if let Some(canary) = &mut strategy.canary {
        canary.analysis = None;
        for step in &mut canary.steps {
            step.analysis = None;
        }
    }
}

/// The objects of the files, as seen from the Rollout's namespace.
struct Place<'a> {
    namespace: Option<String>,
    beside: &'a [Value],
}

impl Place<'_> {
    /// Whether an object is of that kind, and of the namespace: what names none goes where the rest
    /// goes.
    fn is_here(&self, object: &Value, api_version: &str, kind: &str) -> bool {
        let namespace = text(object, "/metadata/namespace");
        let own = self.namespace.as_deref().unwrap_or_default();
        text(object, "/apiVersion") == api_version
            && text(object, "/kind") == kind
            && (namespace.is_empty() || own.is_empty() || namespace == own)
    }

    fn find(&self, api_version: &str, kind: &str, name: &str) -> Option<&Value> {
        let mut objects = self.beside.iter();
        objects.find(|object| {
            self.is_here(object, api_version, kind) && text(object, "/metadata/name") == name
        })
    }

    /// All objects of a kind that can be read.
    fn all<K: DeserializeOwned>(&self, api_version: &str, kind: &str) -> Vec<K> {
        let objects = self.beside.iter();
        objects
            .filter(|object| self.is_here(object, api_version, kind))
            .filter_map(|object| serde_json::from_value(object.clone()).ok())
            .collect()
    }

    fn templates(&self) -> TemplateSet {
        let version = "argoproj.io/v1alpha1";
        let namespaced = self.all::<AnalysisTemplate>(version, "AnalysisTemplate");
        let cluster = self.all::<ClusterAnalysisTemplate>(version, "ClusterAnalysisTemplate");
        TemplateSet {
            namespaced: by_name(namespaced),
            cluster: by_name(cluster),
        }
    }
}

fn by_name<K: kube::ResourceExt>(objects: Vec<K>) -> BTreeMap<String, Arc<K>> {
    let objects = objects.into_iter();
    objects
        .map(|object| (object.name_any(), Arc::new(object)))
        .collect()
}
