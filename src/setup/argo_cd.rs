//! Whether Argo CD looks after the same Applications.
//!
//! Its controller acts on the Applications of its own namespace, and of those that its
//! `application.namespaces` names. One that sees none of ours is in nobody's way.

use super::conflict::{Look, value_in, value_of};
use super::report::Finding;
use crate::act::Kinds;
use crate::error::{Error, if_found};
use api::{AppProject, Application};
use deploy::Settings;
use gitops::sync::{Config, stranger};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapKeySelector, Pod, PodSpec};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeSet;

/// The part of Argo CD that acts on Applications; its workload and its pods have the label.
const LABEL: &str = "app.kubernetes.io/name=argocd-application-controller";
/// Its flag for the namespaces of Applications beside its own, and the variable of the same.
const NAMESPACES_FLAG: &str = "--application-namespaces";
const NAMESPACES_VARIABLE: &str = "ARGOCD_APPLICATION_NAMESPACES";

/// Which Applications this controller looks after.
struct Ours {
    config: Config,
    /// Where the flags do not name the namespaces of Applications, those of the control namespace
    /// say which they are.
    projects: Vec<AppProject>,
    /// The only namespace that it watches, if it does not watch all.
    watched: Option<String>,
}

impl Ours {
    async fn of(client: &Client, settings: &Settings, config: Config) -> Self {
        let projects = if config.application_namespaces.is_none() {
            let api: Api<AppProject> = Api::namespaced(client.clone(), &config.control_namespace);
            let listed = api.list(&ListParams::default().match_any()).await;
            // What can't be read admits nobody here either.
            listed.map(|list| list.items).unwrap_or_default()
        } else {
            Vec::new()
        };
        Self {
            config,
            projects,
            watched: settings.namespaced.then(|| settings.namespace.clone()),
        }
    }

    fn patterns(&self) -> impl Iterator<Item = &String> {
        let named = self.config.application_namespaces.iter().flatten();
        let projects = self.projects.iter();
        named.chain(projects.flat_map(|project| &project.spec.source_namespaces))
    }

    fn has(&self, namespace: &str) -> bool {
        self.watched.as_deref().is_none_or(|only| only == namespace)
            && looks_after(&self.config, &self.projects, namespace)
    }

    /// Whether there can be an Application that both look after; `None` if that depends on what
    /// can't be read.
    fn meets(&self, theirs: &Theirs) -> Option<bool> {
        let named = theirs.named.as_deref().unwrap_or_default();
        let config = Config {
            control_namespace: theirs.namespace.clone(),
            application_namespaces: Some(named.to_owned()),
            ..Config::default()
        };
        // A glob stands for the namespaces that it means: it matches itself.
        let mut all = [&self.config.control_namespace, &theirs.namespace]
            .into_iter()
            .chain(&self.watched)
            .chain(self.patterns())
            .chain(named);
        let is_common =
            |namespace: &String| self.has(namespace) && looks_after(&config, &[], namespace);
        // A regular expression need not match itself.
        let is_shared = || self.watched.is_none() && self.patterns().any(|own| named.contains(own));
        if all.any(is_common) || is_shared() {
            return Some(true);
        }
        theirs.named.as_ref().map(|_| false)
    }
}

/// Whether a controller with this configuration looks after Applications in a namespace.
fn looks_after(config: &Config, projects: &[AppProject], namespace: &str) -> bool {
    let mut app = Application::default();
    app.metadata.namespace = Some(namespace.to_owned());
    let is_ours = |project| stranger(&app, project, config).is_none();
    is_ours(None) || projects.iter().any(|project| is_ours(Some(project)))
}

/// A controller of Argo CD.
struct Theirs {
    namespace: String,
    /// The namespaces of Applications beside its own; `None` if that can't be read.
    named: Option<Vec<String>>,
}

impl Theirs {
    async fn of(client: &Client, namespace: &str, pod: Option<&PodSpec>) -> Self {
        let named = match pod {
            Some(pod) => named(client, namespace, pod).await,
            None => None,
        };
        Self {
            namespace: namespace.to_owned(),
            named: named.map(|list| namespaces_of(&list)),
        }
    }
}

fn namespaces_of(list: &str) -> Vec<String> {
    let names = list.split(',').map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// What its flag says, or else its variable; empty if neither does, `None` if it can't be read.
async fn named(client: &Client, namespace: &str, pod: &PodSpec) -> Option<String> {
    let words = pod.containers.iter().flat_map(|container| {
        let command = container.command.iter().flatten();
        command.chain(container.args.iter().flatten())
    });
    if let Some(given) = value_in(words, NAMESPACES_FLAG) {
        return Some(given);
    }
    let mut variables = pod
        .containers
        .iter()
        .flat_map(|container| container.env.iter().flatten());
    let Some(variable) = variables.find(|variable| variable.name == NAMESPACES_VARIABLE) else {
        return Some(String::new());
    };
    match &variable.value_from {
        None => Some(variable.value.clone().unwrap_or_default()),
        Some(source) => entry(client, namespace, source.config_map_key_ref.as_ref()?).await,
    }
}

/// An entry of a ConfigMap; empty if it is not there.
async fn entry(client: &Client, namespace: &str, from: &ConfigMapKeySelector) -> Option<String> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = if_found(api.get(&from.name).await).ok()?;
    let data = found.and_then(|found| found.data);
    let entry = data.and_then(|mut data| data.remove(&from.key));
    Some(entry.unwrap_or_default())
}

/// For `weir check`: controllers of Argo CD that run. They know no instance ids. `here` are the
/// controllers of ours that are installed.
pub(super) async fn findings(
    look: &mut Look<'_>,
    settings: &Settings,
    here: &[Deployment],
) -> Vec<Finding> {
    let client = look.client;
    if !has_applications(client).await {
        return Vec::new();
    }
    let labelled = ListParams::default().labels(LABEL);
    let sets: Vec<StatefulSet> = look.list(&labelled).await;
    let deployments: Vec<Deployment> = look.list(&labelled).await;
    let ours = Ours::of(client, settings, installed(here, settings)).await;
    let mut found = Vec::new();
    for set in &sets {
        let spec = set.spec.as_ref();
        if spec.and_then(|spec| spec.replicas) != Some(0) {
            let pod = spec.and_then(|spec| spec.template.spec.as_ref());
            found.extend(of_workload("statefulset", set, pod, &ours, client).await);
        }
    }
    for one in &deployments {
        let spec = one.spec.as_ref();
        if spec.and_then(|spec| spec.replicas) != Some(0) {
            let pod = spec.and_then(|spec| spec.template.spec.as_ref());
            found.extend(of_workload("deployment", one, pod, &ours, client).await);
        }
    }
    found
}

/// What the controllers that are installed here look after; what one without flags does, if there
/// is none yet.
fn installed(here: &[Deployment], settings: &Settings) -> Config {
    let given = |flag: &str| here.iter().find_map(|one| value_of(one, flag));
    let usual = Config::default();
    // One of a single namespace has its own, and names it by the variable POD_NAMESPACE.
    let control = given("--control-namespace").filter(|named| !named.starts_with("$("));
    let own = || settings.namespaced.then(|| settings.namespace.clone());
    let control = control.or_else(own).unwrap_or(usual.control_namespace);
    let namespaces = given("--application-namespaces");
    Config {
        control_namespace: control,
        application_namespaces: namespaces.map(|list| namespaces_of(&list)),
        ..Config::default()
    }
}

/// For a controller that runs, with `config`: pods of Argo CD that do. It has no right to list
/// StatefulSets, which Argo CD's controller usually is, but it has one to list pods, where it looks
/// after Applications. `None` if they can't be listed.
pub(super) async fn running(
    client: &Client,
    settings: &Settings,
    config: &Config,
) -> Option<Vec<Finding>> {
    if !settings.gitops || !has_applications(client).await {
        return Some(Vec::new());
    }
    let api: Api<Pod> = if settings.namespaced {
        Api::namespaced(client.clone(), &settings.namespace)
    } else {
        Api::all(client.clone())
    };
    // From the API server's memory: this is asked again and again.
    let labelled = ListParams::default().labels(LABEL).match_any();
    let pods = api.list(&labelled).await.ok()?;
    let mut namespaces = BTreeSet::new();
    let mut ours = None;
    for pod in pods.items.iter().filter(|pod| runs(pod)) {
        if ours.is_none() {
            ours = Some(Ours::of(client, settings, config.clone()).await);
        }
        let at = pod.namespace().unwrap_or_default();
        let theirs = Theirs::of(client, &at, pod.spec.as_ref()).await;
        let meets = ours.as_ref().and_then(|ours| ours.meets(&theirs));
        // What is not known is for `weir check` to say, which somebody reads at once.
        if meets == Some(true) {
            namespaces.insert(at);
        }
    }
    Some(namespaces.iter().map(|at| of_pods(at)).collect())
}

fn runs(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

fn of_pods(namespace: &str) -> Finding {
    Finding::bad(
        format!(
            "one controller of Applications only: Argo CD runs in the namespace {namespace}, and acts on \
             Applications as this controller does"
        ),
        "give this one --gitops=false (`weir install --gitops=false`), for Rollouts alone; or scale \
         argocd-application-controller to 0",
    )
}

/// Whether there are Applications to contend for; true if that is not known.
async fn has_applications(client: &Client) -> bool {
    let kinds = Kinds::new(client.clone());
    let served = kinds.resolve("argoproj.io/v1alpha1", "Application").await;
    !matches!(served, Err(Error::UnknownKind { .. }))
}

async fn of_workload(
    kind: &str,
    controller: &impl ResourceExt,
    pod: Option<&PodSpec>,
    ours: &Ours,
    client: &Client,
) -> Option<Finding> {
    let (namespace, name) = (
        controller.namespace().unwrap_or_default(),
        controller.name_any(),
    );
    let runs = format!("Argo CD runs: there is the {kind} {name} in the namespace {namespace}");
    let apart =
        "`weir install --gitops=false`, and `weir check --gitops=false`, for Rollouts alone";
    let theirs = Theirs::of(client, &namespace, pod).await;
    match ours.meets(&theirs) {
        Some(true) => Some(Finding::bad(
            format!("one controller of Applications only: {runs}"),
            format!("{apart}; or kubectl scale {kind} {name} --namespace {namespace} --replicas 0"),
        )),
        Some(false) => None,
        None => Some(Finding::doubt(
            format!(
                "{runs}; whether it acts on the same Applications is not known, because its \
                 application.namespaces can't be read"
            ),
            format!("ask somebody who may read its ConfigMap to run `weir check`; or {apart}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(control: &str, named: Option<&[&str]>) -> Config {
        let named = named.map(|named| named.iter().map(|&one| one.to_owned()).collect());
        Config {
            control_namespace: control.to_owned(),
            application_namespaces: named,
            ..Config::default()
        }
    }

    fn ours(named: Option<&[&str]>) -> Ours {
        Ours {
            config: config("argocd", named),
            projects: Vec::new(),
            watched: None,
        }
    }

    fn meets(ours: &Ours, namespace: &str, named: Option<&str>) -> Option<bool> {
        ours.meets(&Theirs {
            namespace: namespace.to_owned(),
            named: named.map(namespaces_of),
        })
    }

    #[test]
    fn it_is_in_the_way_where_both_look_after_a_namespace() {
        for (ours_named, namespace, theirs_named, want) in [
            (None, "argocd", "", true),
            (None, "other", "", false),
            (None, "other", "argocd", true),
            (None, "other", "team-*, argo*", true),
            (None, "other", "team-*", false),
            (Some(&["other"][..]), "other", "", true),
            (Some(&["team-*"][..]), "other", "team-a", true),
            (Some(&["team-a"][..]), "other", "team-*", true),
            (Some(&["team-*"][..]), "other", "team-*", true),
            (Some(&["/^team-.+$/"][..]), "other", "/^team-.+$/", true),
            (Some(&["/^team-.+$/"][..]), "other", "team-a", true),
            (Some(&["team-a"][..]), "other", "team-b", false),
        ] {
            let met = meets(&ours(ours_named), namespace, Some(theirs_named));
            assert_eq!(met, Some(want), "{ours_named:?} {namespace} {theirs_named}");
        }
        assert_eq!(meets(&ours(None), "other", None), None);
        assert_eq!(meets(&ours(None), "argocd", None), Some(true));
    }

    #[test]
    fn projects_say_which_namespaces_are_ours_and_one_that_is_watched_is_the_only_one() {
        let mut project = AppProject::default();
        project.spec.source_namespaces = vec!["team-*".to_owned()];
        let mut ours = Ours {
            projects: vec![project],
            ..ours(None)
        };
        assert_eq!(meets(&ours, "team-a", Some("")), Some(true));
        assert_eq!(meets(&ours, "other", Some("")), Some(false));
        ours.watched = Some("team-b".to_owned());
        assert_eq!(meets(&ours, "team-a", Some("")), Some(false));
        assert_eq!(meets(&ours, "argocd", Some("")), Some(false));
        assert_eq!(meets(&ours, "argocd", Some("team-b")), Some(true));
    }

    #[tokio::test]
    async fn what_it_is_given_is_read_from_its_flag_its_variable_or_its_configmap() {
        let api = apiserver::ApiServer::builder().build();
        let namespace = serde_json::json!({"metadata": {"name": "argocd"}});
        let kind = apiserver::Gvk::new("", "v1", "Namespace");
        api.create(&kind, None, namespace).unwrap();
        let kind = apiserver::Gvk::new("", "v1", "ConfigMap");
        let map = serde_json::json!({
            "metadata": {"name": "argocd-cmd-params-cm"},
            "data": {"application.namespaces": "apps-*, team-a"},
        });
        api.create(&kind, Some("argocd"), map).unwrap();
        let from = |name: &str| {
            serde_json::json!({"name": NAMESPACES_VARIABLE, "valueFrom": {"configMapKeyRef": {
                "name": name, "key": "application.namespaces", "optional": true}}})
        };
        let value = serde_json::json!({"name": NAMESPACES_VARIABLE, "value": "b"});
        let client = api.client();
        for (words, variable, want) in [
            (&["--application-namespaces", "a"][..], value.clone(), "a"),
            (&["--application-namespaces=a"], value.clone(), "a"),
            (&["--loglevel", "info"], value, "b"),
            (&[], from("argocd-cmd-params-cm"), "apps-*,team-a"),
            (&[], from("absent"), ""),
            (&[], serde_json::json!({"name": "OTHER", "value": "c"}), ""),
        ] {
            let pod = serde_json::json!({"containers": [
                {"name": "c", "args": words, "env": [variable]}]});
            let pod: PodSpec = serde_json::from_value(pod).unwrap();
            let theirs = Theirs::of(&client, "argocd", Some(&pod)).await;
            assert_eq!(theirs.named.unwrap().join(","), want, "{words:?}");
        }
    }
}
