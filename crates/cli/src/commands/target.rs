//! The object that holds the pod template of a Rollout.

use crate::context::Context;
use crate::error::Error;
use api::{ObjectRef, Rollout};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// The Rollout itself, or the workload that it refers to. Read and written untyped, so that no
/// field is lost.
#[derive(Debug)]
pub(super) struct Target {
    resource: ApiResource,
    name: String,
}

impl Target {
    pub(super) fn of(rollout: &Rollout, name: &str) -> Result<Self, Error> {
        let Some(reference) = &rollout.spec.workload_ref else {
            let gvk = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout");
            return Ok(Self {
                resource: ApiResource::from_gvk(&gvk),
                name: name.to_owned(),
            });
        };
        Self::workload(reference, name)
    }

    fn workload(reference: &ObjectRef, rollout: &str) -> Result<Self, Error> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (version, kind) = (text(&reference.api_version), text(&reference.kind));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let name = text(&reference.name);
        if kind.is_empty() || version.is_empty() || name.is_empty() {
            return Err(Error::Refused(format!(
                "the pod template of rollout \"{rollout}\" can't be found: its spec.workloadRef must have \
                 apiVersion, kind and name"
            )));
        }
        let gvk = GroupVersionKind::gvk(group, version, &kind);
        Ok(Self {
            resource: ApiResource::from_gvk(&gvk),
            name,
        })
    }

    /// The kind in lower case, as messages have it.
    pub(super) fn kind(&self) -> String {
        self.resource.kind.to_lowercase()
    }

    /// The name of the object, which need not be that of the Rollout.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the pod template stands.
    pub(super) fn template_path(&self) -> &'static str {
        if self.resource.kind == "PodTemplate" {
            "/template"
        } else {
            "/spec/template"
        }
    }

    async fn api(&self, cx: &mut Context) -> Result<Api<DynamicObject>, Error> {
        let namespace = cx.namespace().await?;
        Ok(Api::namespaced_with(
            cx.client().await?,
            &namespace,
            &self.resource,
        ))
    }

    pub(super) async fn read(&self, cx: &mut Context) -> Result<DynamicObject, Error> {
        let found = self.api(cx).await?.get(&self.name).await;
        found.map_err(Error::api(format!(
            "read {} \"{}\"",
            self.kind(),
            self.name
        )))
    }

    /// Writes an object back. A conflict with another writer is an error of its own.
    pub(super) async fn write(
        &self,
        cx: &mut Context,
        object: &DynamicObject,
    ) -> Result<Result<(), kube::Error>, Error> {
        let api = self.api(cx).await?;
        let answer = api
            .replace(&self.name, &PostParams::default(), object)
            .await;
        Ok(answer.map(|_| ()))
    }

    pub(super) async fn replace_template(
        &self,
        cx: &mut Context,
        template: &Value,
    ) -> Result<(), Error> {
        let path = self.template_path();
        let operations = json!([{"op": "replace", "path": path, "value": template}]);
        let operations = serde_json::from_value(operations)
            .map_err(|error| Error::Refused(format!("the template is no JSON: {error}")))?;
        let patch = Patch::<()>::Json(operations);
        let patched = self
            .api(cx)
            .await?
            .patch(&self.name, &PatchParams::default(), &patch)
            .await;
        let what = format!("change the template of {} \"{}\"", self.kind(), self.name);
        patched.map(|_| ()).map_err(Error::api(what))
    }
}
