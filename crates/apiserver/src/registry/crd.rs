//! CustomResourceDefinitions → served resources; naming, defaulting and status of the definitions
//! themselves.

use std::sync::Arc;

use serde_json::{Value, json};
use structural::{FieldError, Schema};

use super::resource::{Generation, Origin, PrinterColumn, Resource, ScalePaths, Traits};
use crate::gvk::{Gvk, join_api_version};

/// Storage name of the definitions.
pub(crate) const TABLE: &str = "apiextensions.k8s.io/customresourcedefinitions";
/// Held by a definition until its instances are gone.
pub(crate) const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn strings(value: &Value, pointer: &str) -> Vec<String> {
    let items = value.pointer(pointer).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The resources that a stored definition serves, one per served version. A version whose schema
/// does not parse (which validation of the definition excludes) is left out.
pub(crate) fn resources(definition: &Value) -> Vec<Resource> {
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let group = text(spec, "/group");
    let storage = versions
        .iter()
        .find(|version| version["storage"] == true)
        .map_or_else(String::new, |version| {
            join_api_version(group, text(version, "/name"))
        });
    versions
        .iter()
        .filter(|version| version["served"] == true)
        .filter_map(|version| resource(spec, version, &storage))
        .collect()
}

fn resource(spec: &Value, version: &Value, storage: &str) -> Option<Resource> {
    let group = text(spec, "/group");
    let plural = text(spec, "/names/plural");
    let empty = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let document = version.pointer(SCHEMA).unwrap_or(&empty);
    let schema = Schema::parse(document, "").ok()?;
    let gvk = Gvk::new(group, text(version, "/name"), text(spec, "/names/kind"));
    let deprecation =
        (version["deprecated"] == true).then(|| match version["deprecationWarning"].as_str() {
            Some(words) => words.to_owned(),
            None => format!("{} {} is deprecated", gvk.api_version(), gvk.kind),
        });
    Some(Resource {
        plural: plural.to_owned(),
        singular: text(spec, "/names/singular").to_owned(),
        list_kind: text(spec, "/names/listKind").to_owned(),
        short_names: strings(spec, "/names/shortNames"),
        categories: strings(spec, "/names/categories"),
        namespaced: text(spec, "/scope") == "Namespaced",
        has_status: version
            .pointer("/subresources/status")
            .is_some_and(Value::is_object),
        scale: version.pointer("/subresources/scale").and_then(scale_paths),
        extra: &[],
        table: Arc::from(format!("{group}/{plural}")),
        storage: storage.to_owned(),
        traits: Traits {
            generation: Generation::Custom,
            unconditional_update: false,
            create_on_update: false,
            returns_deleted: false,
            status_on_create: false,
            collection_deletable: true,
            listable: true,
        },
        origin: Origin::Crd {
            schema: Arc::new(schema),
            columns: columns(version),
            selectable: version["selectableFields"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|field| field["jsonPath"].as_str())
                .map(|path| path.trim_start_matches('.').to_owned())
                .collect(),
            deprecation,
        },
        gvk,
    })
}

fn scale_paths(scale: &Value) -> Option<ScalePaths> {
    Some(ScalePaths {
        spec_replicas: scale["specReplicasPath"].as_str()?.to_owned(),
        status_replicas: scale["statusReplicasPath"].as_str()?.to_owned(),
        label_selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
    })
}

const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

fn columns(version: &Value) -> Vec<PrinterColumn> {
    let column = |value: &Value| {
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        PrinterColumn {
            name: field("name"),
            kind: field("type"),
            format: field("format"),
            description: field("description"),
            priority: value["priority"].as_i64().unwrap_or(0),
            path: field("jsonPath"),
        }
    };
    match version["additionalPrinterColumns"].as_array() {
        Some(columns) if !columns.is_empty() => columns.iter().map(column).collect(),
        _ => vec![PrinterColumn {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: CREATED.to_owned(),
            priority: 0,
            path: ".metadata.creationTimestamp".to_owned(),
        }],
    }
}

/// Fills in what the API defaults: singular, listKind, conversion strategy.
pub(crate) fn default(definition: &mut Value) {
    let spec = &mut definition["spec"];
    if !spec.is_object() {
        return;
    }
    let kind = text(spec, "/names/kind").to_owned();
    if spec["names"].is_object() && !kind.is_empty() {
        if text(spec, "/names/singular").is_empty() {
            spec["names"]["singular"] = json!(kind.to_lowercase());
        }
        if text(spec, "/names/listKind").is_empty() {
            spec["names"]["listKind"] = json!(format!("{kind}List"));
        }
    }
    if spec.get("conversion").is_none_or(Value::is_null) {
        spec["conversion"] = json!({"strategy": "None"});
    }
}

/// What a definition must satisfy, in the words of apiextensions' validation. What an `old` one had
/// already is judged less strictly.
pub(crate) fn validate(definition: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let spec = &definition["spec"];
    let (group, plural) = (text(spec, "/group"), text(spec, "/names/plural"));
    let mut errors = Vec::new();
    let name = text(definition, "/metadata/name");
    if name != format!("{plural}.{group}") {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", name, detail));
    }
    for (value, path) in [
        (group, "spec.group"),
        (text(spec, "/scope"), "spec.scope"),
        (plural, "spec.names.plural"),
        (text(spec, "/names/kind"), "spec.names.kind"),
    ] {
        if value.is_empty() {
            errors.push(FieldError::required(path, ""));
        }
    }
    if !["", "Cluster", "Namespaced"].contains(&text(spec, "/scope")) {
        let allowed = ["Cluster", "Namespaced"];
        errors.push(FieldError::not_supported(
            "spec.scope",
            text(spec, "/scope"),
            &allowed,
        ));
    }
    errors.extend(validate_versions(spec, old));
    errors
}

const SCHEMA: &str = "/schema/openAPIV3Schema";

fn schema_path(version: usize) -> String {
    format!("spec.versions[{version}].schema.openAPIV3Schema")
}

/// The schema that all versions have, which the API server takes for that of the definition.
fn common_schema(versions: &[Value]) -> Option<&Value> {
    let schema = versions.first()?.pointer(SCHEMA)?;
    let mut others = versions.iter();
    others
        .all(|version| version.pointer(SCHEMA) == Some(schema))
        .then_some(schema)
}

fn schema_errors(schema: &Value, path: &str, unchanged: bool) -> Vec<FieldError> {
    match Schema::parse(schema, path) {
        Ok(schema) => schema.broken_rules(path, unchanged),
        Err(errors) => errors,
    }
}

/// What is told to who installs a definition. Each of its CEL rules that can't be evaluated here
/// gets a warning, that nobody relies on it; definitions in use would be no good otherwise.
pub(crate) fn warnings(definition: &Value) -> Vec<String> {
    let versions = definition["spec"]["versions"].as_array();
    let versions = versions.into_iter().flatten().enumerate();
    let sentences = versions.filter_map(|(index, version)| {
        let at = schema_path(index);
        let schema = version.pointer(SCHEMA)?;
        Some(Schema::parse(schema, &at).ok()?.unsupported_rules(&at))
    });
    sentences.flatten().collect()
}

fn validate_versions(spec: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let before = |name: &str| {
        let versions = old?.pointer("/spec/versions")?.as_array()?;
        versions
            .iter()
            .find(|version| version["name"] == name)?
            .pointer(SCHEMA)
    };
    let common = common_schema(versions);
    let mut names: Vec<&str> = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = text(version, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        if names.contains(&name) {
            let detail = "must contain unique version names";
            errors.push(FieldError::invalid(
                "spec.versions",
                spec["versions"].clone(),
                detail,
            ));
        }
        names.push(name);
        match version.pointer(SCHEMA) {
            None => errors.push(FieldError::required(schema_path(index), "")),
            Some(_) if common.is_some() => {}
            Some(schema) => {
                let unchanged = before(name) == Some(schema);
                errors.extend(schema_errors(schema, &schema_path(index), unchanged));
            }
        }
    }
    if versions
        .iter()
        .filter(|version| version["storage"] == true)
        .count()
        != 1
    {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(
            "spec.versions",
            spec["versions"].clone(),
            detail,
        ));
    }
    if let Some(schema) = common {
        let path = "spec.validation.openAPIV3Schema";
        let unchanged = versions
            .iter()
            .all(|version| before(text(version, "/name")) == Some(schema));
        errors.extend(schema_errors(schema, path, unchanged));
    }
    errors
}

/// The status of a definition that is accepted and served: what the naming and establishing
/// controllers write.
pub(crate) fn establish(definition: &mut Value, now: &str) {
    let stored = definition["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|version| version["storage"] == true)
        .map(|version| version["name"].clone());
    let names = definition["spec"]["names"].clone();
    let old = definition["status"].clone();
    let condition = |kind: &str, reason: &str, message: &str| {
        let known = old["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|c| c["type"] == kind);
        let since = known
            .filter(|condition| condition["status"] == "True")
            .map_or_else(
                || json!(now),
                |condition| condition["lastTransitionTime"].clone(),
            );
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since,
        })
    };
    let mut conditions = vec![
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition(
            "Established",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
    ];
    let ours = ["NamesAccepted", "Established"];
    let others = old["conditions"].as_array().into_iter().flatten();
    conditions.extend(
        others
            .filter(|c| !ours.contains(&c["type"].as_str().unwrap_or_default()))
            .cloned(),
    );
    let mut versions = strings(&old, "/storedVersions");
    if let Some(stored) = stored.as_ref().and_then(Value::as_str)
        && !versions.iter().any(|known| known == stored)
    {
        versions.push(stored.to_owned());
    }
    definition["status"] =
        json!({"conditions": conditions, "acceptedNames": names, "storedVersions": versions});
}

/// Orders versions as apimachinery does: v10 > v2 > v1 > v1beta2 > v1beta1 > v1alpha1 > anything
/// else by name.
pub(crate) fn version_priority(version: &str) -> (u8, u64, u64, String) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major: u64 = rest[..digits].parse().ok()?;
        let (rank, minor) = match &rest[digits..] {
            "" => (3, 0),
            beta if beta.starts_with("beta") => (2, beta[4..].parse().ok()?),
            alpha if alpha.starts_with("alpha") => (1, alpha[5..].parse().ok()?),
            _ => return None,
        };
        Some((rank, major, minor, String::new()))
    };
    parse().unwrap_or_else(|| (0, 0, 0, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_stable_before_beta_before_alpha() {
        let mut versions = ["v1alpha1", "v2", "foo", "v1", "v1beta1", "v10", "v1beta2"];
        versions.sort_by_key(|version| std::cmp::Reverse(version_priority(version)));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]
        );
    }
}
