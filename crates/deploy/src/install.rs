use crate::settings::Settings;
use crate::{controller, rbac};
use serde_json::{Value, json};

/// The CustomResourceDefinitions, as `crds/` has them.
pub fn crds() -> Vec<Value> {
    api::crd::all()
        .iter()
        .map(|crd| serde_json::to_value(crd).expect("a definition is plain data"))
        .collect()
}

/// Whether only Applications need this CustomResourceDefinition.
pub fn is_of_gitops(definition: &Value) -> bool {
    let kind = definition["spec"]["names"]["kind"].as_str();
    matches!(kind, Some("Application" | "AppProject"))
}

/// The objects of an installation without the CustomResourceDefinitions and the namespace.
fn objects(settings: &Settings) -> Vec<Value> {
    let mut objects = rbac::objects(settings);
    objects.extend(controller::objects(settings));
    objects
}

/// All objects of an installation, in the order in which they can be applied. One of a single
/// namespace has neither the namespace nor the CustomResourceDefinitions: whoever installs it need
/// not be allowed to make those.
pub fn install(settings: &Settings) -> Vec<Value> {
    if settings.namespaced {
        return objects(settings);
    }
    let mut all = crds();
    // Without GitOps they are another's, if they are there.
    all.retain(|definition| settings.gitops || !is_of_gitops(definition));
    all.push(namespace(settings));
    all.extend(objects(settings));
    all
}

/// The namespace admits no pod with more rights than ours.
pub(crate) fn namespace(settings: &Settings) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": settings.namespace, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
        }},
    })
}

/// Objects as one YAML text: fields in alphabetical order, whatever their maps keep, and no string
/// folded, because a template must not be cut in two.
pub fn yaml(objects: &[Value]) -> String {
    let documents = objects.iter().map(|object| {
        let mut object = object.clone();
        object.sort_all_objects();
        let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
        let text = serde_saphyr::to_string_with_options(&object, options)
            .expect("JSON can be written as YAML");
        text.trim_end().to_owned() + "\n"
    });
    documents.collect::<Vec<String>>().join("---\n")
}
