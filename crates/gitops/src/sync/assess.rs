//! What Git says, what lives, and what is wrong with either.

use super::options::{SyncOptions, object_unsupported};
use super::snapshot::{ApplicationSnapshot, Config, Rendered};
use super::unseen::{self, Unseen};
use crate::compare::{
    Comparison, DiffRules, FIELD_MANAGER, IgnoreRule, JqPath, ResourceComparison, compare,
};
use crate::manifest::{Manifest, PrepareContext, Prepared, prepare};
use crate::project::{ProjectRules, Windows, is_app_namespace};
use crate::resource::ResourceId;
use crate::tracking::{self, instance_name};
use api::constants::gitops::condition::{
    COMPARISON_ERROR, INVALID_SPEC_ERROR, REPEATED_RESOURCE_WARNING, SHARED_RESOURCE_WARNING,
    SYNC_ERROR,
};
use api::constants::gitops::{
    CLIENT_SIDE_FIELD_MANAGER, DEFAULT_PROJECT, IN_CLUSTER_NAME, IN_CLUSTER_SERVER,
    MIGRATION_MANAGER_ANNOTATION,
};
use api::{AppProject, Application, ApplicationSource, Operation};
use std::collections::{BTreeMap, BTreeSet};

/// A condition type of ours: something that the Application asks for is not there yet.
pub(super) const UNSUPPORTED_WARNING: &str = "UnsupportedFeatureWarning";
/// A condition type of ours: the renderer warned of something.
const RENDER_WARNING: &str = "RenderWarning";
/// How much of an expression that can't be read is shown. Characters.
const SHOWN_MAX: usize = 200;

/// A condition before it has a time: type and message.
pub(super) type Finding = (&'static str, String);

/// A rendered source held against the cluster.
#[derive(Clone, Debug, Default)]
pub struct Assessment {
    pub manifests: Vec<Manifest>,
    pub comparison: Comparison,
    /// Objects that the project does not permit, with what is said of each.
    pub denied: BTreeMap<ResourceId, String>,
    /// The target state could not be read completely.
    pub incomplete: bool,
    /// Ours, live, and not among the manifests that could be read. They may be among the others, so
    /// they are not compared; they are not forgotten either.
    pub(super) unread: Vec<ResourceComparison>,
    /// Declared, and of kinds whose objects can't be seen: neither compared nor applied.
    pub(super) hidden: Vec<Manifest>,
    /// These kinds, and those of what was there when it was last seen.
    pub(super) unseen: Vec<Unseen>,
    /// Ours, live, and declared as never to be applied (`hook: Skip`).
    pub(super) skipped: BTreeSet<ResourceId>,
    /// Why nothing may be synced before somebody does something about it; a sentence.
    pub(super) blocked: Option<String>,
    pub(super) findings: Vec<Finding>,
    pub(super) rules: DiffRules,
}

/// What is wrong with the Application itself, whatever its source comes to.
pub(super) fn spec_findings(snapshot: &ApplicationSnapshot, config: &Config) -> Vec<Finding> {
    let app = &snapshot.app;
    let Some(rules) = project_rules(snapshot) else {
        return vec![(INVALID_SPEC_ERROR, no_project(app))];
    };
    let of_project = [
        namespace_problem(app, &rules, config),
        project_problem(app, &rules),
    ];
    let mut problems: Vec<String> = of_project.into_iter().flatten().collect();
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
        for expression in &ignore.jq_path_expressions {
            if let Err(why) = JqPath::parse(expression) {
                let shown: String = expression.chars().take(SHOWN_MAX).collect();
                problems.push(format!(
                    "ignoreDifferences[{index}].jqPathExpressions ({shown}) is not supported: {why}"
                ));
            }
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

/// What an operation asks for and would not get; a sentence. Options that the Application itself
/// has hold for every sync of it, and are told of in a condition.
pub(super) fn refusal(app: &Application, operation: &Operation) -> Option<String> {
    let sync = operation.sync.as_ref()?;
    // What was begun by itself has the options that the Application had then.
    if operation.initiated_by.automated == Some(true) {
        return None;
    }
    let known = SyncOptions(sync_options(app));
    let asked = SyncOptions(&sync.sync_options).unsupported_beside(known);
    (!asked.is_empty()).then(|| {
        format!(
            "Invalid operation request: not supported: {}",
            asked.join(", ")
        )
    })
}

/// The sync windows that are about the Application; none if they can't be read, which is told
/// otherwise.
pub(super) fn windows(snapshot: &ApplicationSnapshot) -> Windows {
    let rules = project_rules(snapshot);
    let windows = rules.and_then(|rules| rules.windows(&snapshot.app).ok());
    windows.unwrap_or_default()
}

pub(super) fn sync_options(app: &Application) -> &[String] {
    app.spec
        .sync_policy
        .as_ref()
        .map_or(&[], |policy| &policy.sync_options)
}

/// Whether the repository of a source may be asked for on behalf of an Application. The shell asks
/// before it fetches, for the comparison and for operations alike: what the project denies is not
/// even connected to. Without it nothing is compared and an operation fails, with the same words.
pub fn may_fetch(
    app: &Application,
    project: Option<&AppProject>,
    source: &ApplicationSource,
    config: &Config,
) -> Result<(), String> {
    let rules = rules_of(app, project).ok_or_else(|| no_project(app))?;
    match namespace_problem(app, &rules, config).or_else(|| project_problem(app, &rules)) {
        Some(problem) => Err(problem),
        None => rules.permit_source(&source.repo_url),
    }
}

/// Why an Application is none of ours, which is then left alone altogether: not even its status is
/// written. It is outside the control namespace, and nobody has said that Applications may be there
/// (gitops.md item 4). Where the namespaces of Applications are not configured, it is for its
/// project to say.
pub fn stranger(
    app: &Application,
    project: Option<&AppProject>,
    config: &Config,
) -> Option<String> {
    let namespace = app.metadata.namespace.as_deref().unwrap_or_default();
    if namespace == config.control_namespace {
        return None;
    }
    if let Some(patterns) = &config.application_namespaces {
        return (!is_app_namespace(patterns, namespace))
            .then(|| format!("'{namespace}' is no namespace of Applications"));
    }
    match rules_of(app, project) {
        Some(rules) => rules.permit_app_namespace(namespace).err(),
        None => Some(no_project(app)),
    }
}

/// The rules of the project; `None` if it does not exist. `default` need not.
pub(super) fn project_rules(snapshot: &ApplicationSnapshot) -> Option<ProjectRules<'_>> {
    rules_of(&snapshot.app, snapshot.project.as_deref())
}

fn rules_of<'a>(app: &'a Application, project: Option<&'a AppProject>) -> Option<ProjectRules<'a>> {
    match (project, project_name(app)) {
        (Some(project), name) => Some(ProjectRules::new(name, &project.spec)),
        (None, DEFAULT_PROJECT) => Some(ProjectRules::permissive()),
        (None, _) => None,
    }
}

pub(super) fn no_project(app: &Application) -> String {
    format!("project '{}' does not exist", app.spec.project)
}

/// Why an Application that is not in the control namespace may not use its project.
pub(super) fn namespace_problem(
    app: &Application,
    rules: &ProjectRules<'_>,
    config: &Config,
) -> Option<String> {
    let namespace = app.metadata.namespace.as_deref().unwrap_or_default();
    if namespace == config.control_namespace {
        return None;
    }
    rules.permit_app_namespace(namespace).err()
}

/// Rules of the project that can't be held to.
fn project_problem(app: &Application, rules: &ProjectRules<'_>) -> Option<String> {
    let fields = rules.unsupported();
    if fields.is_empty() {
        return rules.windows(app).err();
    }
    Some(format!(
        "project '{}' asks for what is not supported, and nothing is synced without it: {}",
        rules.name(),
        fields.join(", ")
    ))
}

/// The project of an Application; `default` if it names none.
pub fn project_name(app: &Application) -> &str {
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

pub(super) fn destination_problem(app: &Application) -> Option<String> {
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
    let mut prepared = prepare(&rendered.documents, &context);
    let rules = diff_rules(snapshot, &instance, &prepared);
    let unseen = unseen::find(snapshot, &prepared.manifests);
    let all = std::mem::take(&mut prepared.manifests);
    let (seen, hidden) = all
        .into_iter()
        .partition(|manifest| snapshot.live.sees(&manifest.id));
    prepared.manifests = seen;
    let mut out = Assessment {
        comparison: compare(&prepared.manifests, &snapshot.live, &rules),
        incomplete: !prepared.errors.is_empty() || !rendered.errors.is_empty(),
        hidden,
        unseen,
        rules,
        ..Assessment::default()
    };
    // Some are looked at for the sake of others.
    out.comparison
        .resources
        .retain(|resource| snapshot.live.sees(&resource.id));
    judge_permissions(snapshot, &mut out);
    set_aside(snapshot, &instance, &prepared, &mut out);
    if out.incomplete {
        // What could not be read may well be what seems to be gone.
        let all = std::mem::take(&mut out.comparison.resources);
        let (read, unread) = all.into_iter().partition(|resource| resource.in_target);
        out.comparison.resources = read;
        out.unread = unread;
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
    find_unsupported(&prepared, &mut out);
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
            jq_paths: jq_paths(&rule.jq_path_expressions),
            managed_fields_managers: rule.managed_fields_managers.clone(),
        })
        .collect();
    let options = SyncOptions(sync_options(app));
    let respect = options.has("RespectIgnoreDifferences=true");
    let mut rules = DiffRules::new(instance, ignore, respect);
    if !options.has("ClientSideApplyMigration=false") {
        rules.migrate(&[migrated_manager(app), FIELD_MANAGER]);
    }
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

/// Those that can't be read are a finding, with which nothing is compared.
fn jq_paths(expressions: &[String]) -> Vec<JqPath> {
    let paths = expressions.iter().map(|text| JqPath::parse(text));
    paths.filter_map(Result::ok).collect()
}

/// Who made objects by client-side apply before they came to us (gitops.md item 64).
fn migrated_manager(app: &Application) -> &str {
    let annotations = app.metadata.annotations.as_ref();
    annotations
        .and_then(|annotations| annotations.get(MIGRATION_MANAGER_ANNOTATION))
        .map_or(CLIENT_SIDE_FIELD_MANAGER, String::as_str)
}

/// Whether the project permits an object. By the scope that the cluster serves its kind with, where
/// that is known: what manifests say of it is not to be trusted here.
pub(super) fn permit(
    snapshot: &ApplicationSnapshot,
    project: &ProjectRules<'_>,
    id: &ResourceId,
) -> Result<(), String> {
    let served = snapshot.scopes.served(&id.group, &id.kind);
    let namespaced = served.unwrap_or(!id.namespace.is_empty());
    project.permit_resource(id, namespaced, &snapshot.app.spec.destination)
}

/// What is declared and not applied, hooks and `Skip`, is not pruned either (gitops.md items 34,
/// 50, 59).
fn set_aside(
    snapshot: &ApplicationSnapshot,
    instance: &str,
    prepared: &Prepared,
    out: &mut Assessment,
) {
    let is_ours = |id: &ResourceId| {
        let live = snapshot.live.get(id);
        live.is_some_and(|live| tracking::owner(live) == Some(instance))
    };
    let skipped = prepared.skipped.iter().map(|manifest| &manifest.id);
    let hooks = prepared.hooks.iter().map(|(manifest, _)| &manifest.id);
    let aside: BTreeSet<&ResourceId> = skipped.clone().chain(hooks).collect();
    out.comparison
        .resources
        .retain(|resource| resource.in_target || !aside.contains(&resource.id));
    out.skipped = skipped
        .filter(|id| is_ours(id) && out.comparison.get(id).is_none())
        .cloned()
        .collect();
}

fn judge_permissions(snapshot: &ApplicationSnapshot, out: &mut Assessment) {
    let Some(project) = project_rules(snapshot) else {
        return;
    };
    for compared in &out.comparison.resources {
        if let Err(rule) = permit(snapshot, &project, &compared.id) {
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
fn find_unsupported(prepared: &Prepared, out: &mut Assessment) {
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
