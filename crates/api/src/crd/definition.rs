//! The definition of each kind: names, scope, columns, subresources (rollouts.md §1.1).

use super::lean::lean_schema;
use crate::constants::{GROUP, VERSION};
use crate::{
    AnalysisRun, AnalysisTemplate, AppProject, Application, ClusterAnalysisTemplate, Experiment,
    Rollout,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceValidation,
    JSONSchemaProps, ValidationRule,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResourceExt;
use kube_core::Resource;
use schemars::JsonSchema;

/// Every definition, in the order of the table in rollouts.md §1.1, then those of gitops.md.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        rollout(),
        with_schema::<AnalysisTemplate>(AnalysisTemplate::crd()),
        define::<ClusterAnalysisTemplate>("Cluster", &["cat"], vec![age()]),
        define::<AnalysisRun>("Namespaced", &["ar"], vec![status(), age()]),
        define::<Experiment>("Namespaced", &["exp"], vec![status(), age()]),
        define::<Application>("Namespaced", &["app", "apps"], application_columns()),
        define::<AppProject>("Namespaced", &["appproj", "appprojs"], vec![age()]),
    ]
}

/// The selector of a Rollout can't change (§1.1): the ReplicaSets of old revisions have it.
fn rollout() -> CustomResourceDefinition {
    let mut crd = with_schema::<Rollout>(Rollout::crd());
    let selector = crd
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut())
        .filter_map(|schema| schema.properties.as_mut()?.get_mut("spec"))
        .find_map(|spec| spec.properties.as_mut()?.get_mut("selector"))
        .expect("the type Rollout has spec.selector");
    selector.x_kubernetes_validations = Some(vec![ValidationRule {
        rule: "self == oldSelf".to_owned(),
        message: Some(".spec.selector is immutable".to_owned()),
        ..ValidationRule::default()
    }]);
    crd
}

fn application_columns() -> Vec<CustomResourceColumnDefinition> {
    let revision = CustomResourceColumnDefinition {
        priority: Some(10),
        ..column(
            "Revision",
            ".status.sync.revision",
            "Revision of the manifests",
        )
    };
    vec![
        column(
            "Sync Status",
            ".status.sync.status",
            "Whether the cluster looks like the manifests",
        ),
        column(
            "Health Status",
            ".status.health.status",
            "Whether what runs is well",
        ),
        revision,
        age(),
    ]
}

fn status() -> CustomResourceColumnDefinition {
    column("Status", ".status.phase", "How it stands")
}

fn age() -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        type_: "date".to_owned(),
        ..column("Age", ".metadata.creationTimestamp", "Time since creation")
    }
}

fn column(name: &str, json_path: &str, description: &str) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: "string".to_owned(),
        json_path: json_path.to_owned(),
        description: Some(description.to_owned()),
        ..CustomResourceColumnDefinition::default()
    }
}

/// A definition without any subresource.
fn define<K>(
    scope: &str,
    short_names: &[&str],
    columns: Vec<CustomResourceColumnDefinition>,
) -> CustomResourceDefinition
where
    K: Resource<DynamicType = ()> + JsonSchema,
{
    let kind = K::kind(&()).into_owned();
    let plural = K::plural(&()).into_owned();
    with_schema::<K>(CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{plural}.{GROUP}")),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: GROUP.to_owned(),
            names: CustomResourceDefinitionNames {
                singular: Some(kind.to_lowercase()),
                short_names: Some(short_names.iter().map(|&name| name.to_owned()).collect()),
                kind,
                plural,
                ..CustomResourceDefinitionNames::default()
            },
            scope: scope.to_owned(),
            versions: vec![CustomResourceDefinitionVersion {
                name: VERSION.to_owned(),
                served: true,
                storage: true,
                additional_printer_columns: Some(columns),
                ..CustomResourceDefinitionVersion::default()
            }],
            ..CustomResourceDefinitionSpec::default()
        },
        ..CustomResourceDefinition::default()
    })
}

fn with_schema<K: JsonSchema>(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let names = &mut crd.spec.names;
    names.list_kind = Some(format!("{}List", names.kind));
    let schema: JSONSchemaProps = serde_json::from_value(lean_schema::<K>())
        .expect("a lean schema is made of what JSONSchemaProps has");
    for version in &mut crd.spec.versions {
        version.schema = Some(CustomResourceValidation {
            open_api_v3_schema: Some(schema.clone()),
        });
    }
    crd
}
