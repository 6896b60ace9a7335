//! `weir install`.

use crate::act::Kinds;
use crate::error::chain;
use anyhow::{Context, Result, anyhow};
use deploy::{Image, Settings};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;

const FIELD_MANAGER: &str = "weir-install";
/// Why an apply is refused that would change fields of another manager.
const OWNED_BY_ANOTHER: &str = "FieldManagerConflict";

/// `weir install`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct InstallOptions {
    /// Print the manifests and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// A controller of its own namespace only, with rights nowhere else
    #[arg(long)]
    pub namespaced: bool,
    /// Only objects with this value of the label argo-rollouts.argoproj.io/controller-instance-id
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,
    /// The image to run; that of this version if absent
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Force the changes against conflicts: take over fields that another manager has set, such as
    /// kubectl or Argo CD in the CustomResourceDefinitions of Argo Rollouts
    #[arg(long)]
    pub force_conflicts: bool,
}

impl InstallOptions {
    /// What the manifests are made from.
    pub fn settings(&self, namespace: Option<String>) -> Settings {
        let image = self.image.clone().map(Image);
        Settings {
            namespace: namespace.unwrap_or_else(|| Settings::NAMESPACE.to_owned()),
            namespaced: self.namespaced,
            image: image.unwrap_or_default(),
            // An empty id is none.
            instance_id: self.instance_id.clone().filter(|id| !id.is_empty()),
        }
    }

    /// Applies all objects of an installation in their order, as `kubectl apply --server-side` does.
    ///
    /// # Errors
    /// At the first object that the cluster refuses; it is named.
    pub async fn apply(
        &self,
        client: &Client,
        settings: &Settings,
        out: &mut impl Write,
    ) -> Result<()> {
        let kinds = Kinds::new(client.clone());
        let params = PatchParams {
            force: self.force_conflicts,
            ..PatchParams::apply(FIELD_MANAGER)
        };
        for object in deploy::install(settings) {
            let text = |pointer: &str| {
                let text = object.pointer(pointer).and_then(Value::as_str);
                text.unwrap_or_default().to_owned()
            };
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            let served = kinds.resolve(&text("/apiVersion"), &kind).await;
            let served = served.map_err(|error| anyhow!(error.chain()))?;
            let api: Api<DynamicObject> =
                Api::dynamic(client.clone(), &served.resource, &served.scope);
            let api = match text("/metadata/namespace") {
                namespace if namespace.is_empty() => api,
                namespace => api.constrain(&namespace),
            };
            let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
            applied
                .map_err(|error| anyhow!(refusal(&error)))
                .with_context(|| format!("applying {kind} {name}"))?;
            writeln!(out, "{kind} {name} applied")?;
        }
        Ok(())
    }
}

/// As [`InstallOptions::apply`], with no options: what belongs to another manager is left to it.
pub async fn install(client: &Client, settings: &Settings, out: &mut impl Write) -> Result<()> {
    let options = InstallOptions::default();
    options.apply(client, settings, out).await
}

/// Why an object was refused. Of a conflict the managers and the way on: the API server names each field,
/// and a definition has hundreds.
fn refusal(error: &kube::Error) -> String {
    let owners: Vec<&str> = owners(error).into_iter().collect();
    if owners.is_empty() {
        return chain(error);
    }
    format!(
        "fields of it belong to {} with other values: `weir install --force-conflicts` takes them over \
         (end what applies them first, or it takes them back)",
        owners.join(" and ")
    )
}

/// The managers of fields that an apply would have changed, in quotes, as the API server names them.
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
    use kube::core::Status;
    use kube::core::response::{StatusCause, StatusDetails};
    use serde_json::json;
    use std::io::sink;

    #[test]
    fn an_empty_instance_id_is_none() {
        for (given, want) in [("", None), ("blue", Some("blue"))] {
            let options = InstallOptions {
                instance_id: Some(given.to_owned()),
                ..InstallOptions::default()
            };
            assert_eq!(options.settings(None).instance_id.as_deref(), want);
        }
    }

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
