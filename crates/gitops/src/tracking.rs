//! Which Application an object belongs to: the tracking annotation (gitops.md items 3, 31).

use crate::ResourceId;
use crate::resource::annotation;
use serde_json::Value;

pub use api::constants::gitops::TRACKING_ID_ANNOTATION as TRACKING_ANNOTATION;

/// The instance name of an Application: its name inside the control namespace,
/// `<namespace>_<name>` elsewhere.
pub fn instance_name(app_namespace: &str, app_name: &str, control_namespace: &str) -> String {
    if app_namespace == control_namespace || app_namespace.is_empty() {
        app_name.to_owned()
    } else {
        format!("{app_namespace}_{app_name}")
    }
}

/// The tracking id of `id` as a part of `app`. Cluster-scoped objects carry the namespace that the
/// Application deploys to, so `fallback_namespace` fills an empty one.
pub fn tracking_id(app: &str, id: &ResourceId, fallback_namespace: &str) -> String {
    let namespace = if id.namespace.is_empty() {
        fallback_namespace
    } else {
        &id.namespace
    };
    format!("{app}:{}/{}:{namespace}/{}", id.group, id.kind, id.name)
}

/// Whether an object can belong to an Application. A CustomResourceDefinition can't: with it would
/// go all objects of its kind, whoever made them.
pub fn is_tracked(id: &ResourceId) -> bool {
    !id.is("apiextensions.k8s.io", "CustomResourceDefinition")
}

/// The Application that a live object says it belongs to, if its id is about the object itself: an
/// annotation that was copied along with the object from elsewhere counts for nothing.
pub fn owner(object: &Value) -> Option<&str> {
    let text = annotation(object, TRACKING_ANNOTATION)?;
    owner_by_id(&ResourceId::of(object), text)
}

/// The same of an object of which the id is known and its tracking id.
pub fn owner_by_id<'t>(id: &ResourceId, tracking_id: &'t str) -> Option<&'t str> {
    let (app, rest) = tracking_id.split_once(':')?;
    let (kind, name) = rest.split_once(':')?;
    let (group, kind) = kind.split_once('/')?;
    let (namespace, name) = name.split_once('/')?;
    let own = is_tracked(id)
        && id.group == group
        && id.kind == kind
        && id.name == name
        && (id.namespace.is_empty() || id.namespace == namespace);
    own.then_some(app)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_names_app_kind_and_object() {
        let id = ResourceId::new("apps", "Deployment", "production", "backend");
        assert_eq!(
            tracking_id("shop", &id, "x"),
            "shop:apps/Deployment:production/backend"
        );
        let id = ResourceId::new("", "Namespace", "", "production");
        assert_eq!(
            tracking_id("shop", &id, "production"),
            "shop:/Namespace:production/production"
        );
    }

    #[test]
    fn a_copied_annotation_does_not_count() {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "a", "namespace": "n",
            "annotations": {TRACKING_ANNOTATION: "shop:/ConfigMap:n/a"}}});
        assert_eq!(owner(&object), Some("shop"));
        object["metadata"]["name"] = json!("copy");
        assert_eq!(owner(&object), None);
        object["metadata"]["annotations"][TRACKING_ANNOTATION] = json!("garbage");
        assert_eq!(owner(&object), None);
    }

    #[test]
    fn a_definition_belongs_to_no_application_whatever_it_says() {
        let kind = "CustomResourceDefinition";
        let group = "apiextensions.k8s.io";
        let id = ResourceId::new(group, kind, "", "things.example.com");
        let object = json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {
            "name": id.name, "annotations": {TRACKING_ANNOTATION: tracking_id("shop", &id, "n")}}});
        assert_eq!(owner(&object), None);
        assert!(!is_tracked(&id));
        assert!(is_tracked(&ResourceId::new(
            "example.com",
            "Thing",
            "",
            "t"
        )));
    }

    #[test]
    fn apps_outside_the_control_namespace_carry_their_own() {
        assert_eq!(instance_name("argocd", "shop", "argocd"), "shop");
        assert_eq!(instance_name("team", "shop", "argocd"), "team_shop");
    }
}
