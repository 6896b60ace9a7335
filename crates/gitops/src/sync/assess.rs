//! What Git says, what lives, and what is wrong with either.

use super::options::{SyncOptions, object_unsupported};
use super::snapshot::{ApplicationSnapshot, Config, Rendered};
use crate::compare::{Comparison, DiffRules, IgnoreRule, compare};
use crate::manifest::{Manifest, PrepareContext, Prepared, prepare};
use crate::project::ProjectRules;
use crate::resource::ResourceId;
use crate::tracking::instance_name;
use api::constants::gitops::condition::{
    COMPARISON_ERROR, INVALID_SPEC_ERROR, REPEATED_RESOURCE_WARNING, SHARED_RESOURCE_WARNING,
    SYNC_ERROR,
};
use api::constants::gitops::{DEFAULT_PROJECT, IN_CLUSTER_NAME, IN_CLUSTER_SERVER};
use api::{Application, ApplicationSource};
use std::collections::BTreeMap;

/// A condition type of ours: something that the Application asks for is not there yet.
pub(super) const UNSUPPORTED_WARNING: &str = "UnsupportedFeatureWarning";
/// A condition type of ours: the renderer warned of something.
const RENDER_WARNING: &str = "RenderWarning";

/// A condition before it has a time: type and message.
pub(super) type Finding = (&'static str, String);

/// A rendered source held against the cluster.
#[derive(Clone, Debug, Default)]
pub struct Assessment {
    pub manifests: Vec<Manifest>,
    pub comparison: Comparison,
    /// Objects that the project does not permit, with the rule.
    pub denied: BTreeMap<ResourceId, String>,
    /// The target state could not be read completely.
    pub incomplete: bool,
    /// Why nothing may be synced before somebody does something about it; a sentence.
    pub(super) blocked: Option<String>,
    pub(super) findings: Vec<Finding>,
    pub(super) rules: DiffRules,
}

/// What is wrong with the Application itself, whatever its source comes to.
pub(super) fn spec_findings(snapshot: &ApplicationSnapshot, config: &Config) -> Vec<Finding> {
    let app = &snapshot.app;
    let mut problems = Vec::new();
    let Some(rules) = project_rules(snapshot) else {
        problems.push(format!("project '{}' does not exist", app.spec.project));
        return problems
            .into_iter()
            .map(|text| (INVALID_SPEC_ERROR, text))
            .collect();
    };
    let namespace = app.metadata.namespace.as_deref().unwrap_or_default();
    if namespace != config.control_namespace {
        problems.extend(rules.permit_app_namespace(namespace).err());
    }
    problems.extend(source_problem(app).or_else(|| {
        let source = source_of(app)?;
        rules.permit_source(&source.repo_url).err()
    }));
    problems.extend(destination_problem(app).or_else(|| {
        let destination = &app.spec.destination;
        let namespace = destination.namespace.as_deref().unwrap_or_default();
        rules.permit_destination(destination, namespace).err()
    }));
    for (index, ignore) in app.spec.ignore_differences.iter().enumerate() {
        if let Some(expression) = ignore.jq_path_expressions.first() {
            problems.push(format!(
                "ignoreDifferences[{index}].jqPathExpressions ({expression}) is not supported: use jsonPointers \
                 or managedFieldsManagers"
            ));
        }
    }
    let mut findings: Vec<Finding> = problems
        .into_iter()
        .map(|text| (INVALID_SPEC_ERROR, text))
        .collect();
    let unsupported = SyncOptions(sync_options(app)).unsupported();
    if !unsupported.is_empty() {
        let text = format!("syncOptions: not supported: {}", unsupported.join(", "));
        findings.push((UNSUPPORTED_WARNING, text));
    }
    findings
}

pub(super) fn sync_options(app: &Application) -> &[String] {
    app.spec
        .sync_policy
        .as_ref()
        .map_or(&[], |policy| &policy.sync_options)
}

/// The rules of the project; `None` if it does not exist. `default` need not.
pub(super) fn project_rules(snapshot: &ApplicationSnapshot) -> Option<ProjectRules<'_>> {
    match (&snapshot.project, project_name(&snapshot.app)) {
        (Some(project), name) => Some(ProjectRules::new(name, &project.spec)),
        (None, DEFAULT_PROJECT) => Some(ProjectRules::permissive()),
        (None, _) => None,
    }
}

fn project_name(app: &Application) -> &str {
    if app.spec.project.is_empty() {
        DEFAULT_PROJECT
    } else {
        &app.spec.project
    }
}

fn source_of(app: &Application) -> Option<&ApplicationSource> {
    app.spec.sources.first().or(app.spec.source.as_ref())
}

fn source_problem(app: &Application) -> Option<String> {
    if app.spec.source_hydrator.is_some() {
        return Some("spec.sourceHydrator is not supported".to_owned());
    }
    if app.spec.sources.len() > 1 {
        return Some(format!(
            "spec.sources names {} sources; only one is supported",
            app.spec.sources.len()
        ));
    }
    let Some(source) = source_of(app) else {
        return Some("spec.source is missing".to_owned());
    };
    source
        .repo_url
        .is_empty()
        .then(|| "spec.source.repoURL is missing".to_owned())
}

fn destination_problem(app: &Application) -> Option<String> {
    let destination = &app.spec.destination;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (given(&destination.server), given(&destination.name)) {
        (Some(_), Some(_)) => {
            Some("spec.destination: server and name exclude each other".to_owned())
        }
        (None, None) => Some("spec.destination: server or name is missing".to_owned()),
        (Some(server), None) if server.trim_end_matches('/') != IN_CLUSTER_SERVER => Some(format!(
            "spec.destination: there is no cluster with server '{server}', only {IN_CLUSTER_SERVER}"
        )),
        (None, Some(name)) if name != IN_CLUSTER_NAME => Some(format!(
            "spec.destination: there is no cluster with name '{name}', only {IN_CLUSTER_NAME}"
        )),
        _ => None,
    }
}

/// Holds a rendered source against the cluster.
pub fn assess(snapshot: &ApplicationSnapshot, rendered: &Rendered, config: &Config) -> Assessment {
    let app = &snapshot.app;
    let instance = instance_of(app, config);
    let context = PrepareContext {
        app: &instance,
        namespace: app
            .spec
            .destination
            .namespace
            .as_deref()
            .unwrap_or_default(),
        scopes: &snapshot.scopes,
    };
    let prepared = prepare(&rendered.documents, &context);
    let rules = diff_rules(snapshot, &instance, &prepared);
    let mut out = Assessment {
        comparison: compare(&prepared.manifests, &snapshot.live, &rules),
        incomplete: !prepared.errors.is_empty() || !rendered.errors.is_empty(),
        rules,
        ..Assessment::default()
    };
    judge_permissions(snapshot, &mut out);
    if out.incomplete {
        // What could not be read may well be what seems to be gone.
        out.comparison
            .resources
            .retain(|resource| resource.in_target);
    }
    for error in rendered.errors.iter().chain(&prepared.errors) {
        out.findings.push((
            COMPARISON_ERROR,
            format!("Failed to load target state: {error}"),
        ));
    }
    for warning in &rendered.warnings {
        out.findings.push((RENDER_WARNING, warning.clone()));
    }
    for text in &prepared.repeated {
        out.findings.push((REPEATED_RESOURCE_WARNING, text.clone()));
    }
    find_unsupported(snapshot, &prepared, &mut out);
    find_shared(&instance, &mut out);
    out.manifests = prepared.manifests;
    out
}

pub(super) fn instance_of(app: &Application, config: &Config) -> String {
    let namespace = app.metadata.namespace.as_deref().unwrap_or_default();
    let name = app.metadata.name.as_deref().unwrap_or_default();
    instance_name(namespace, name, &config.control_namespace)
}

fn diff_rules(snapshot: &ApplicationSnapshot, instance: &str, prepared: &Prepared) -> DiffRules {
    let app = &snapshot.app;
    let ignore = app
        .spec
        .ignore_differences
        .iter()
        .map(|rule| IgnoreRule {
            group: rule.group.clone().unwrap_or_default(),
            kind: rule.kind.clone(),
            name: rule.name.clone().unwrap_or_default(),
            namespace: rule.namespace.clone().unwrap_or_default(),
            json_pointers: rule.json_pointers.clone(),
            managed_fields_managers: rule.managed_fields_managers.clone(),
        })
        .collect();
    let respect = SyncOptions(sync_options(app)).has("RespectIgnoreDifferences=true");
    let mut rules = DiffRules::new(instance, ignore, respect);
    snapshot
        .live
        .iter()
        .for_each(|(_, object)| rules.learn(object));
    prepared
        .manifests
        .iter()
        .for_each(|manifest| rules.learn(&manifest.object));
    rules
}

fn judge_permissions(snapshot: &ApplicationSnapshot, out: &mut Assessment) {
    let Some(project) = project_rules(snapshot) else {
        return;
    };
    let destination = &snapshot.app.spec.destination;
    for compared in &out.comparison.resources {
        let namespaced = !compared.id.namespace.is_empty();
        if let Err(rule) = project.permit_resource(&compared.id, namespaced, destination) {
            out.denied.insert(compared.id.clone(), rule);
        }
    }
    // What the project keeps us from is none of our business, not even to delete it.
    let denied = &out.denied;
    out.comparison
        .resources
        .retain(|compared| compared.in_target || !denied.contains_key(&compared.id));
}

/// Whatever asks for something that would not happen is said, not passed over.
fn find_unsupported(snapshot: &ApplicationSnapshot, prepared: &Prepared, out: &mut Assessment) {
    let mut blocking = Vec::new();
    for (manifest, phases) in &prepared.hooks {
        let text = format!("{} is a {} hook", manifest.named(), phases.join(" and "));
        if phases.iter().any(|phase| !phase.ends_with("Delete")) {
            blocking.push(text);
        } else {
            out.findings
                .push((UNSUPPORTED_WARNING, format!("{text}, and will not be run")));
        }
    }
    if !blocking.is_empty() {
        let text = format!(
            "hooks are not supported, and nothing is synced without them: {}",
            blocking.join("; ")
        );
        out.findings.push((SYNC_ERROR, text.clone()));
        out.blocked = Some(text);
    }
    if let Some(project) = snapshot
        .project
        .as_deref()
        .filter(|p| !p.spec.sync_windows.is_empty())
    {
        let name = project.metadata.name.as_deref().unwrap_or_default();
        let text = format!(
            "project '{name}' has sync windows, which are not supported: nothing is synced without being asked for"
        );
        out.findings.push((SYNC_ERROR, text));
    }
    for manifest in &prepared.manifests {
        let options = object_unsupported(&manifest.object);
        if !options.is_empty() {
            let text = format!(
                "{}: sync options not supported: {}",
                manifest.named(),
                options.join(", ")
            );
            out.findings.push((UNSUPPORTED_WARNING, text));
        }
    }
}

fn find_shared(instance: &str, out: &mut Assessment) {
    for compared in &out.comparison.resources {
        if let Some(other) = &compared.shared_with {
            let text = format!(
                "{}/{} is part of applications {instance} and {other}",
                compared.id.kind, compared.id.name
            );
            out.findings.push((SHARED_RESOURCE_WARNING, text));
        }
    }
}
