//! What a write is aimed at and how it is to be done.

use std::sync::Arc;

use serde_json::Value;

use crate::access::PatchOptions;
use crate::registry::Resource;
use crate::schema::FieldValidation;

/// The object (or subresource of it) that a write is aimed at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) resource: &'a Resource,
    /// Empty in cluster scope.
    pub(crate) namespace: &'a str,
    /// Empty when creating in a collection.
    pub(crate) name: &'a str,
    pub(crate) subresource: Option<&'a str>,
}

impl<'a> Target<'a> {
    pub(crate) const fn new(
        resource: &'a Resource,
        namespace: &'a str,
        name: &'a str,
        subresource: Option<&'a str>,
    ) -> Self {
        Self {
            resource,
            namespace,
            name,
            subresource,
        }
    }
}

/// How to write.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteOptions {
    /// Manager recorded in `managedFields`.
    pub(crate) manager: String,
    /// True if the request named the manager itself (apply requires it).
    pub(crate) manager_given: bool,
    pub(crate) force: bool,
    /// The object comes out of server-side apply: ownership is worked out.
    pub(crate) applied: bool,
    pub(crate) dry_run: bool,
    pub(crate) validation: FieldValidation,
    /// Fields that the body has twice.
    pub(crate) duplicates: Vec<String>,
    /// Told with the answer: unknown and duplicate fields, rules that nobody evaluates.
    pub(crate) warnings: Vec<String>,
}

impl WriteOptions {
    pub(crate) fn manager(name: &str) -> Self {
        Self {
            manager: name.to_owned(),
            manager_given: true,
            ..Self::default()
        }
    }

    pub(crate) fn from_patch(options: &PatchOptions, fallback: &str) -> Self {
        let given = !options.field_manager.is_empty();
        Self {
            manager: if given {
                options.field_manager.clone()
            } else {
                fallback.to_owned()
            },
            manager_given: given,
            force: options.force,
            dry_run: options.dry_run,
            ..Self::default()
        }
    }
}

/// The outcome of a write that may create.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) object: Arc<Value>,
    pub(crate) created: bool,
}
