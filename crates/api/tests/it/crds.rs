//! The CustomResourceDefinitions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;
use std::collections::BTreeMap;

/// The largest annotation that client-side `kubectl apply` can store.
const MAX_ANNOTATION: usize = 256 * 1024;

fn definitions() -> BTreeMap<String, Value> {
    api::crd::all()
        .iter()
        .map(|crd| {
            (
                crd.spec.names.kind.clone(),
                serde_json::to_value(crd).unwrap(),
            )
        })
        .collect()
}

fn schema(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Visits every schema of a tree with its path.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            walk(&format!("{path}[]"), &schema[keyword], visit);
        }
    }
}

fn every_schema(mut visit: impl FnMut(&str, &Value)) {
    for (kind, definition) in definitions() {
        walk(&kind, schema(&definition), &mut visit);
    }
}

#[test]
fn schemas_are_structural() {
    let forbidden = [
        "$ref",
        "allOf",
        "anyOf",
        "definitions",
        "dependencies",
        "nullable",
        "oneOf",
        "not",
        "patternProperties",
        "title",
        "uniqueItems",
        "x-default",
        "x-values",
    ];
    every_schema(|path, schema| {
        for keyword in forbidden {
            assert!(schema.get(keyword).is_none(), "{path} has {keyword}");
        }
        let untyped = [
            "x-kubernetes-int-or-string",
            "x-kubernetes-preserve-unknown-fields",
        ]
        .iter()
        .any(|keyword| schema[keyword] == true);
        assert!(schema["type"].is_string() || untyped, "{path} has no type");
        if schema["type"] == "array" {
            assert!(schema["items"].is_object(), "{path} has no items");
        }
        let both = schema["properties"].is_object() && schema["additionalProperties"].is_object();
        assert!(!both, "{path} is both an object and a map");
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().unwrap();
            assert!(
                schema["properties"][name].is_object(),
                "{path} requires {name}"
            );
        }
    });
}

/// `kubectl explain` has something to say about every field.
#[test]
fn every_property_is_described() {
    every_schema(|path, schema| {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let description = property["description"].as_str().unwrap_or_default();
            assert!(
                description.ends_with(['.', ':']),
                "{path}.{name}: {description:?}"
            );
            assert!(!description.contains('\n'), "{path}.{name} has line breaks");
        }
    });
}

/// Only those defaults that the peer has and that matter (rollouts.md §1.1).
#[test]
fn defaults_are_those_that_matter() {
    let mut found = Vec::new();
    every_schema(|path, schema| {
        if let Some(default) = schema.get("default") {
            let path = path.replace("spec.metrics[].provider.", "…");
            found.push(format!("{path}={}", default.as_str().unwrap()));
        }
    });
    found.retain(|entry| entry.starts_with("Rollout.") || entry.starts_with("AnalysisRun."));
    insta::assert_snapshot!(found.join("\n"), @r"
    AnalysisRun.…datadog.apiVersion=v1
    AnalysisRun.…datadog.interval=5m
    AnalysisRun.…datadog.requestTimeout=10s
    Rollout.spec.template.spec.containers[].ports[].protocol=TCP
    Rollout.spec.template.spec.initContainers[].ports[].protocol=TCP
    ");
}

#[test]
fn definitions_can_be_applied_by_the_client() {
    for (kind, definition) in definitions() {
        let size = definition.to_string().len();
        assert!(size < MAX_ANNOTATION, "{kind}: {size} bytes");
    }
}

/// One definition as one line.
fn row(crd: &CustomResourceDefinition) -> String {
    let (names, version) = (&crd.spec.names, &crd.spec.versions[0]);
    let columns: Vec<_> = version
        .additional_printer_columns
        .iter()
        .flatten()
        .map(|column| format!("{}={}@{}", column.name, column.type_, column.json_path))
        .collect();
    let subresources = version.subresources.as_ref().map_or_else(
        || "-".to_owned(),
        |subresources| {
            let scale = subresources.scale.as_ref().unwrap();
            assert!(subresources.status.is_some());
            format!(
                "status, scale {} {} {}",
                scale.spec_replicas_path,
                scale.status_replicas_path,
                scale.label_selector_path.as_deref().unwrap_or_default()
            )
        },
    );
    format!(
        "{} {}/{} {:?} {} | {subresources} | {}",
        names.kind,
        names.plural,
        names.singular.as_deref().unwrap_or_default(),
        names.short_names.as_deref().unwrap_or_default(),
        crd.spec.scope,
        columns.join(", ")
    )
}

#[test]
fn names_scopes_subresources_and_columns_are_those_of_the_table() {
    let table: Vec<_> = api::crd::all().iter().map(row).collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    Rollout rollouts/rollout ["ro"] Namespaced | status, scale .spec.replicas .status.HPAReplicas .status.selector | Desired=integer@.spec.replicas, Current=integer@.status.replicas, Up-to-date=integer@.status.updatedReplicas, Available=integer@.status.availableReplicas, Age=date@.metadata.creationTimestamp
    AnalysisTemplate analysistemplates/analysistemplate ["at"] Namespaced | - | Age=date@.metadata.creationTimestamp
    ClusterAnalysisTemplate clusteranalysistemplates/clusteranalysistemplate ["cat"] Cluster | - | Age=date@.metadata.creationTimestamp
    AnalysisRun analysisruns/analysisrun ["ar"] Namespaced | - | Status=string@.status.phase, Age=date@.metadata.creationTimestamp
    Experiment experiments/experiment ["exp"] Namespaced | - | Status=string@.status.phase, Age=date@.metadata.creationTimestamp
    Application applications/application ["app", "apps"] Namespaced | - | Sync Status=string@.status.sync.status, Health Status=string@.status.health.status, Revision=string@.status.sync.revision, Age=date@.metadata.creationTimestamp
    AppProject appprojects/appproject ["appproj", "appprojs"] Namespaced | - | Age=date@.metadata.creationTimestamp
    "#);
}

/// The `required` lists of a kind by path.
fn required(kind: &str) -> BTreeMap<String, String> {
    let mut required = BTreeMap::new();
    walk("", schema(&definitions()[kind]), &mut |path, schema| {
        if let Some(names) = schema["required"].as_array() {
            let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            required.insert(path.to_owned(), names.join(","));
        }
    });
    required
}

#[track_caller]
fn requires(required: &BTreeMap<String, String>, base: &str, fields: &[(&str, &str)]) {
    for (path, names) in fields {
        let path = format!("{base}{path}");
        assert_eq!(
            required.get(&path).map(String::as_str),
            Some(*names),
            "{path}"
        );
    }
}

#[test]
fn required_fields_of_a_rollout_are_those_of_the_table() {
    let required = required("Rollout");
    requires(
        &required,
        ".spec.strategy",
        &[
            (".blueGreen", "activeService"),
            (
                ".blueGreen.antiAffinity.preferredDuringSchedulingIgnoredDuringExecution",
                "weight",
            ),
            (".canary.analysis.args[]", "name"),
            (".canary.analysis.args[].valueFrom.fieldRef", "fieldPath"),
            (".canary.analysis.dryRun[]", "metricName"),
            (
                ".canary.analysis.measurementRetention[]",
                "metricName,limit",
            ),
            (".canary.pingPong", "pingService,pongService"),
            (".canary.replicaProgressThreshold", "type,value"),
        ],
    );
    requires(
        &required,
        ".spec.strategy.canary.steps[]",
        &[
            (".experiment", "templates"),
            (".experiment.templates[]", "name,specRef"),
            (".experiment.analyses[]", "name,templateName"),
            (".plugin", "name"),
            (".setHeaderRoute.match[]", "headerName,headerValue"),
            (".setMirrorRoute", "name"),
        ],
    );
    requires(
        &required,
        ".spec.strategy.canary.trafficRouting",
        &[
            (".alb", "servicePort"),
            (".alb.stickinessConfig", "enabled,durationSeconds"),
            (".ambassador", "mappings"),
            (".apisix.route", "name"),
            (
                ".appMesh.virtualNodeGroup",
                "canaryVirtualNodeRef,stableVirtualNodeRef",
            ),
            (".appMesh.virtualNodeGroup.canaryVirtualNodeRef", "name"),
            (".appMesh.virtualNodeGroup.stableVirtualNodeRef", "name"),
            (
                ".istio.destinationRule",
                "name,canarySubsetName,stableSubsetName",
            ),
            (".istio.virtualService", "name"),
            (".istio.virtualServices[]", "name"),
            (".managedRoutes[]", "name"),
            (".traefik", "weightedTraefikServiceName"),
        ],
    );
    let condition = "type,status,lastUpdateTime,lastTransitionTime,reason,message";
    requires(&required, ".status", &[(".conditions[]", condition)]);
    for path in [
        ".spec",
        ".spec.strategy",
        ".spec.strategy.canary.steps[].setHeaderRoute",
    ] {
        assert_eq!(required.get(path), None, "{path}");
    }
}

#[test]
fn required_fields_of_analyses_and_experiments_are_those_of_the_table() {
    let run = required("AnalysisRun");
    requires(
        &run,
        "",
        &[
            (".spec", "metrics"),
            (".spec.args[]", "name"),
            (".spec.dryRun[]", "metricName"),
            (".spec.measurementRetention[]", "metricName,limit"),
            (".spec.metrics[]", "name,provider"),
            (".status", "phase"),
        ],
    );
    let kayenta = "address,application,canaryConfigName,metricsAccountName,\
                   configurationAccountName,storageAccountName,threshold,scopes";
    requires(
        &run,
        ".spec.metrics[].provider",
        &[
            (".web", "url"),
            (".newRelic", "query"),
            (".cloudWatch", "metricDataQueries"),
            (".kayenta", kayenta),
        ],
    );
    requires(
        &required("Experiment"),
        ".spec",
        &[
            ("", "templates"),
            (".templates[]", "name,selector,template"),
        ],
    );
}

#[test]
fn only_the_selector_of_a_rollout_can_not_change() {
    let mut rules = Vec::new();
    every_schema(|path, schema| {
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            rules.push(format!("{path}: {rule}"));
        }
    });
    assert_eq!(
        rules,
        [
            r#"Rollout.spec.selector: {"message":".spec.selector is immutable","rule":"self == oldSelf"}"#
        ]
    );
}
