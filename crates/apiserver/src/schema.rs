//! Schemas at work: one face for built-in kinds (`structural::builtin`) and for custom resources
//! (their own schema).

use serde_json::Value;
use structural::builtin::{self, Kind};
use structural::{FieldError, Schema, schema};

use crate::registry::{Origin, Resource};

/// How strictly unknown fields are taken (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

impl Resource {
    /// The built-in kind behind this resource, if it is one and the table knows it.
    pub(crate) fn built_in(&self) -> Option<&'static Kind> {
        match self.origin {
            Origin::BuiltIn => builtin::kind(&self.gvk.group, &self.gvk.version, &self.gvk.kind),
            Origin::Crd { .. } => None,
        }
    }

    /// Its schema; `None` for kinds whose bodies are taken as they come (reviews).
    pub(crate) fn schema(&self) -> Option<&Schema> {
        match &self.origin {
            Origin::BuiltIn => self.built_in().map(Kind::schema),
            Origin::Crd { schema, .. } => Some(schema),
        }
    }

    /// Why the JSON does not fit the kind's types at all (built-in kinds decode into structs).
    pub(crate) fn decode_error(&self, object: &Value) -> Option<String> {
        builtin::decode_error(self.built_in()?, object)
    }

    /// Removes unknown fields and returns their paths.
    pub(crate) fn prune(&self, object: &mut Value) -> Vec<String> {
        let Some(schema) = self.schema() else {
            return Vec::new();
        };
        let mut unknown = schema::prune(schema, object);
        if self.is_crd() {
            unknown.extend(schema::prune_metadata(schema, object));
        }
        unknown
    }

    /// Fills in defaults.
    pub(crate) fn default(&self, object: &mut Value) {
        match &self.origin {
            Origin::Crd { schema, .. } => schema::default(schema, object),
            Origin::BuiltIn => {
                if let Some(kind) = self.built_in() {
                    builtin::default(kind, object);
                }
            }
        }
    }

    /// Metadata and content, at creation and on update.
    pub(crate) fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = builtin::validate_metadata(object, self.namespaced);
        match (&self.origin, self.built_in()) {
            (Origin::Crd { schema, .. }, _) => errors.extend(schema::validate(schema, object, old)),
            (Origin::BuiltIn, Some(kind)) => {
                errors.extend(builtin::validate(kind, object));
                if let Some(old) = old {
                    errors.extend(builtin::validate_update(kind, object, old));
                }
            }
            (Origin::BuiltIn, None) => {}
        }
        errors
    }
}
