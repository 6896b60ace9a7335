//! `weir install`.

use crate::act::Kinds;
use crate::error::chain;
use anyhow::{Context, Result, anyhow};
use deploy::{Image, Settings};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::Value;
use std::io::Write;

const FIELD_MANAGER: &str = "weir-install";

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
}

/// Applies all objects of an installation in their order, as `kubectl apply --server-side` does.
///
/// # Errors
/// At the first object that the cluster refuses; it is named.
pub async fn install(client: &Client, settings: &Settings, out: &mut impl Write) -> Result<()> {
    let kinds = Kinds::new(client.clone());
    let params = PatchParams::apply(FIELD_MANAGER);
    for object in deploy::install(settings) {
        let text = |pointer: &str| {
            let text = object.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        let served = kinds.resolve(&text("/apiVersion"), &kind).await;
        let served = served.map_err(|error| anyhow!(error.chain()))?;
        let api: Api<DynamicObject> = Api::dynamic(client.clone(), &served.resource, &served.scope);
        let api = match text("/metadata/namespace") {
            namespace if namespace.is_empty() => api,
            namespace => api.constrain(&namespace),
        };
        let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
        applied
            .map_err(|error| anyhow!(chain(&error)))
            .with_context(|| format!("applying {kind} {name}"))?;
        writeln!(out, "{kind} {name} applied")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
