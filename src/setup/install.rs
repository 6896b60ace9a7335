//! `weir install`.

use super::check::NO_SERVER;
use super::{Finding, InstallOptions, bindings, check_flags, conflict};
use crate::act::Kinds;
use crate::error::{Error, chain, code_of, if_found};
use anyhow::{Context, Result, anyhow, bail, ensure};
use deploy::Settings;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;

const FIELD_MANAGER: &str = "weir-install";
/// Why an apply is refused that would change fields of another manager.
const OWNED_BY_ANOTHER: &str = "FieldManagerConflict";

impl InstallOptions {
    /// Applies all objects of an installation in their order, as `kubectl apply --server-side`
    /// does.
    ///
    /// # Errors
    /// When that would harm another controller, before anything is written; else at the first
    /// object that the cluster refuses; it is named.
    pub async fn apply(
        &self,
        client: &Client,
        settings: &Settings,
        out: &mut impl Write,
    ) -> Result<()> {
        check_flags(settings).map_err(|why| anyhow!(why))?;
        refuse_harm(client, settings).await?;
        let kinds = Kinds::new(client.clone());
        for object in deploy::install(settings) {
            let (kind, name) = (text(&object, "/kind"), text(&object, "/metadata/name"));
            let served = kinds.resolve(text(&object, "/apiVersion"), kind).await;
            let served = served.map_err(|error| anyhow!(lookup(&error)))?;
            let api: Api<DynamicObject> =
                Api::dynamic(client.clone(), &served.resource, &served.scope);
            let api = match text(&object, "/metadata/namespace") {
                "" => api,
                namespace => api.constrain(namespace),
            };
            let done = if kind == "Namespace" {
                make_namespace(&api, &object).await
            } else {
                self.apply_one(&api, &object).await
            };
            let done = done.with_context(|| format!("applying {kind} {name}"))?;
            writeln!(out, "{kind} {name} {done}")?;
        }
        Ok(())
    }

    async fn apply_one(&self, api: &Api<DynamicObject>, object: &Value) -> Result<String> {
        let params = PatchParams {
            force: self.force_conflicts,
            ..PatchParams::apply(FIELD_MANAGER)
        };
        let name = text(object, "/metadata/name");
        let applied = api.patch(name, &params, &Patch::Apply(object)).await;
        applied.map_err(|error| anyhow!(refusal(&error)))?;
        Ok("applied".to_owned())
    }
}

/// A text of an object; empty if there is none.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let text = object.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// Whether another controller would lose its rights, or have a second one beside it.
async fn refuse_harm(client: &Client, settings: &Settings) -> Result<()> {
    let mut refusals = match bindings::refusals(client, settings).await {
        Ok(refusals) => refusals,
        // Who may not read bindings is told so when one is to be written.
        Err(error) if code_of(&error) == Some(403) => Vec::new(),
        Err(error) => bail!("reading the ClusterRoleBindings: {}", words(&error)),
    };
    refusals.extend(conflict::refusals(client, settings).await);
    let refusals = refusals.iter().filter_map(|finding| match finding {
        Finding::Bad { what, remedy } => Some(format!("\n{what}\n-> {remedy}")),
        Finding::Good(_) | Finding::Doubt { .. } => None,
    });
    let refusals: String = refusals.collect();
    ensure!(refusals.is_empty(), "nothing is installed:{refusals}");
    Ok(())
}

/// Makes the namespace. One that is there is somebody's: what its pods may do is not ours to say.
async fn make_namespace(api: &Api<DynamicObject>, object: &Value) -> Result<String> {
    let name = text(object, "/metadata/name");
    let live = if_found(api.get(name).await);
    let live = live.map_err(|error| anyhow!(words(&error)))?;
    let Some(live) = live else {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let created = api.create(&params, &object).await;
        created.map_err(|error| anyhow!(words(&error)))?;
        return Ok("created".to_owned());
    };
    let labels = object["metadata"]["labels"].as_object();
    let lacking: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(key, value)| live.labels().get(*key).is_none_or(|there| there != value))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if lacking.is_empty() {
        return Ok("is there".to_owned());
    }
    let lacking = lacking.join(" ");
    Ok(format!(
        "is there, and is left as it is. It lacks {lacking}, with which it admits only pods without rights of \
         their own, as this controller's: kubectl label --overwrite namespace {name} {lacking}"
    ))
}

/// As [`InstallOptions::apply`], with no options: what belongs to another manager is left to it.
pub async fn install(client: &Client, settings: &Settings, out: &mut impl Write) -> Result<()> {
    let options = InstallOptions::default();
    options.apply(client, settings, out).await
}

/// Why an object was refused. Of a conflict the managers and the way on: the API server names each
/// field, and a definition has hundreds.
fn refusal(error: &kube::Error) -> String {
    let owners: Vec<&str> = owners(error).into_iter().collect();
    if owners.is_empty() {
        return words(error);
    }
    format!(
        "fields of it belong to {} with other values: `weir install --force-conflicts` takes them over \
         (end what applies them first, or it takes them back)",
        owners.join(" and ")
    )
}

/// Why a request failed, and what to do about it where the API server's words do not say so.
fn words(error: &kube::Error) -> String {
    let why = chain(error);
    match code_of(error) {
        Some(403) => format!(
            "{why}; ask somebody who has the rights to run this, or to apply what `weir install --dry-run` prints"
        ),
        Some(_) => why,
        None => format!("{why}; {NO_SERVER}"),
    }
}

/// Why a kind was not found.
fn lookup(error: &Error) -> String {
    let (why, remedy) = (error.chain(), error.remedy());
    match (error.code(), remedy) {
        (_, "") => why,
        (None, _) => format!("{why}; {NO_SERVER}"),
        (Some(_), remedy) => format!("{why}; {remedy}"),
    }
}

/// The managers of fields that an apply would have changed, in quotes, as the API server names
/// them.
fn owners(error: &kube::Error) -> BTreeSet<&str> {
    let kube::Error::Api(status) = error else {
        return BTreeSet::new();
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == OWNED_BY_ANOTHER)
        .map(|cause| {
            let text = cause.message.as_str();
            let text = text.strip_prefix("conflict with ").unwrap_or(text);
            // What follows is the version and the time of its last write.
            text.split_once(" using ").map_or(text, |(owner, _)| owner)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use apiserver::ApiServer;
    use k8s_openapi::api::core::v1::Namespace;
    use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
    use kube::core::Status;
    use kube::core::response::{StatusCause, StatusDetails};
    use serde_json::json;
    use std::io::sink;

    #[tokio::test]
    async fn what_another_manager_owns_is_taken_over_only_by_who_asks_for_it() {
        let client = ApiServer::builder().build().client();
        let mut theirs = deploy::crds().swap_remove(0);
        theirs["spec"]["names"]["shortNames"] = json!(["roll"]);
        let object: DynamicObject = serde_json::from_value(theirs).unwrap();
        let name = object.metadata.name.clone().unwrap();
        let kinds = Kinds::new(client.clone());
        let kind = "CustomResourceDefinition";
        let served = kinds
            .resolve("apiextensions.k8s.io/v1", kind)
            .await
            .unwrap();
        let api: Api<DynamicObject> = Api::dynamic(client.clone(), &served.resource, &served.scope);
        let params = PatchParams::apply("argocd-controller");
        api.patch(&name, &params, &Patch::Apply(&object))
            .await
            .unwrap();

        let settings = Settings::default();
        let refused = install(&client, &settings, &mut sink()).await.unwrap_err();
        let told = format!("{refused:#}");
        for word in [
            kind,
            name.as_str(),
            "\"argocd-controller\"",
            "--force-conflicts",
        ] {
            assert!(told.contains(word), "{word}: {told}");
        }
        let options = InstallOptions {
            force_conflicts: true,
            ..InstallOptions::default()
        };
        options
            .apply(&client, &settings, &mut sink())
            .await
            .unwrap();
        let live = api.get(&name).await.unwrap();
        assert_eq!(live.data["spec"]["names"]["shortNames"], json!(["ro"]));
    }

    /// An installation with an instance id of its own.
    fn apart(namespace: &str) -> Settings {
        Settings {
            namespace: namespace.to_owned(),
            instance_id: Some(namespace.to_owned()),
            ..Settings::default()
        }
    }

    async fn installed(client: &Client, settings: &Settings) -> String {
        let mut told = Vec::new();
        install(client, settings, &mut told).await.unwrap();
        String::from_utf8(told).unwrap()
    }

    #[tokio::test]
    async fn only_a_namespace_that_it_makes_itself_is_labelled() {
        const LABEL: &str = "pod-security.kubernetes.io/enforce";
        let client = ApiServer::builder().build().client();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let theirs = json!({"metadata": {"name": "theirs", "labels": {"team": "a"}}});
        let theirs = serde_json::from_value(theirs).unwrap();
        let params = PostParams::default();
        namespaces.create(&params, &theirs).await.unwrap();
        let told = installed(&client, &apart("theirs")).await;
        for words in [
            "Namespace theirs is there, and is left as it is",
            "namespace theirs pod-security.kubernetes.io/enforce=restricted\n",
        ] {
            assert!(told.contains(words), "{told}");
        }
        let live = namespaces.get("theirs").await.unwrap();
        assert_eq!(live.labels().get(LABEL), None);
        assert_eq!(live.labels()["team"], "a");

        let told = installed(&client, &apart("ours")).await;
        assert!(told.contains("Namespace ours created\n"), "{told}");
        let live = namespaces.get("ours").await.unwrap();
        assert_eq!(live.labels()[LABEL], "restricted");
        let told = installed(&client, &apart("ours")).await;
        assert!(told.contains("Namespace ours is there\n"), "{told}");

        // Each has its rights.
        let bindings: Api<ClusterRoleBinding> = Api::all(client);
        for namespace in ["theirs", "ours"] {
            let binding = bindings.get(&format!("weir:{namespace}")).await.unwrap();
            let subjects = binding.subjects.unwrap();
            assert_eq!(subjects[0].namespace.as_deref(), Some(namespace));
        }
    }

    #[tokio::test]
    async fn a_second_controller_of_the_same_objects_is_not_installed() {
        let client = ApiServer::builder().build().client();
        installed(&client, &Settings::default()).await;
        let second = Settings {
            namespace: "second".to_owned(),
            ..Settings::default()
        };
        for namespaced in [false, true] {
            let second = Settings {
                namespaced,
                ..second.clone()
            };
            let refused = install(&client, &second, &mut sink()).await.unwrap_err();
            let told = format!("{refused:#}");
            for words in [
                "nothing is installed",
                "Deployment weir in the namespace argo-rollouts",
                "--instance-id",
            ] {
                assert!(told.contains(words), "{words}: {told}");
            }
        }
        let namespaces: Api<Namespace> = Api::all(client);
        assert!(namespaces.get_opt("second").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_cluster_that_does_not_answer_is_told_with_what_to_do() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            let refused = std::io::Error::other("connection refused");
            Err::<http::Response<kube::client::Body>, _>(refused)
        });
        let client = Client::new(service, "default");
        let refused = install(&client, &Settings::default(), &mut sink()).await;
        let told = format!("{:#}", refused.unwrap_err());
        assert!(
            told.contains("connection refused") && told.contains("--kubeconfig"),
            "{told}"
        );
    }

    #[test]
    fn a_conflict_names_each_manager_once_and_other_refusals_are_told_as_they_are() {
        let cause = |reason: &str, manager: &str| StatusCause {
            reason: reason.to_owned(),
            message: format!("conflict with {manager}"),
            field: ".spec".to_owned(),
        };
        let answer = |causes: Vec<StatusCause>| {
            let details = StatusDetails {
                name: "rollouts.argoproj.io".to_owned(),
                group: "apiextensions.k8s.io".to_owned(),
                kind: "customresourcedefinitions".to_owned(),
                uid: String::new(),
                causes,
                retry_after_seconds: 0,
            };
            let status = Status::failure("Apply failed", "Conflict").with_code(409);
            kube::Error::Api(status.with_details(details).boxed())
        };
        let kubectl = "\"kubectl\" using apiextensions.k8s.io/v1 at 2026-01-01T00:00:00Z";
        let conflict = answer(vec![
            cause(OWNED_BY_ANOTHER, kubectl),
            cause(OWNED_BY_ANOTHER, "\"argocd-controller\""),
            cause(OWNED_BY_ANOTHER, kubectl),
        ]);
        assert_eq!(
            owners(&conflict),
            BTreeSet::from(["\"argocd-controller\"", "\"kubectl\""])
        );
        let other = answer(vec![cause("FieldValueInvalid", "nobody")]);
        assert_eq!(refusal(&other), "Apply failed");
    }
}
