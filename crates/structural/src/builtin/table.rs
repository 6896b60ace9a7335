//! Loading the generated table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::schema::Schema;

/// The definition of `metadata`.
pub const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

static TABLE: LazyLock<BTreeMap<String, Schema>> = LazyLock::new(|| {
    let table: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("../generated/types.json"))
            .expect("the generated table is valid JSON (tests/it/builtin.rs)");
    table
        .into_iter()
        .map(|(name, schema)| (name, Schema::from_table(&schema)))
        .collect()
});

/// The schema of a built-in type by its OpenAPI name, such as `io.k8s.api.core.v1.PodSpec`.
pub fn definition(name: &str) -> Option<&'static Schema> {
    TABLE.get(name)
}

/// The names of all definitions, sorted.
pub fn definition_names() -> impl Iterator<Item = &'static str> {
    TABLE.keys().map(String::as_str)
}

/// A definition with its name as the table holds it.
pub(crate) fn definition_entry(name: &str) -> Option<(&'static str, &'static Schema)> {
    TABLE
        .get_key_value(name)
        .map(|(name, schema)| (name.as_str(), schema))
}
