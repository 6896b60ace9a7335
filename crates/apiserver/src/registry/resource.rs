//! What the server knows about one resource in one version.

use std::sync::Arc;

use structural::Schema;

use crate::gvk::{Gvk, join_api_version};
use crate::status::Named;

/// JSON paths of the scale subresource, each starting with a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) spec_replicas: String,
    pub(crate) status_replicas: String,
    pub(crate) label_selector: Option<String>,
}

/// One column of `kubectl get`, as CRDs write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrinterColumn {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) path: String,
}

/// Where a resource comes from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    BuiltIn,
    Crd {
        schema: Arc<Schema>,
        columns: Vec<PrinterColumn>,
        selectable: Vec<String>,
        deprecation: Option<String>,
    },
}

/// When `metadata.generation` moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// Never set.
    None,
    /// 1 at creation, +1 whenever anything but metadata and status changes.
    Spec,
    /// The same, annotations count too (Deployment).
    SpecAndAnnotations,
    /// 1 at creation and for ever (PriorityClass).
    Fixed,
    /// +1 on any change outside metadata (and outside status if that is a subresource): custom
    /// resources.
    Custom,
}

/// Switches of a resource's create/update/delete strategy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traits {
    pub(crate) generation: Generation,
    /// An update without resourceVersion overwrites.
    pub(crate) unconditional_update: bool,
    /// PUT of an absent object creates it.
    pub(crate) create_on_update: bool,
    /// An immediate deletion answers with the object instead of a Status.
    pub(crate) returns_deleted: bool,
    /// `status` is kept from the body at creation (Node).
    pub(crate) status_on_create: bool,
    /// DELETE works on the collection too (not on namespaces).
    pub(crate) collection_deletable: bool,
    /// False for kinds that can only be POSTed (reviews).
    pub(crate) listable: bool,
}

/// One resource in one version.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) gvk: Gvk,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) has_status: bool,
    pub(crate) scale: Option<ScalePaths>,
    /// Subresources other than status and scale, with their kind and verbs.
    pub(crate) extra: &'static [Extra],
    /// Storage name, shared by all versions (and by both event groups).
    pub(crate) table: Arc<str>,
    /// Version the stored objects carry, `group/version`.
    pub(crate) storage: String,
    pub(crate) traits: Traits,
    pub(crate) origin: Origin,
}

/// A subresource of a built-in kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) verbs: &'static [&'static str],
}

impl Resource {
    pub(crate) fn api_version(&self) -> String {
        join_api_version(&self.gvk.group, &self.gvk.version)
    }

    pub(crate) const fn is_crd(&self) -> bool {
        matches!(self.origin, Origin::Crd { .. })
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.gvk.group == group && self.plural == plural
    }

    pub(crate) fn has_subresource(&self, name: &str) -> bool {
        match name {
            "status" => self.has_status,
            "scale" => self.scale.is_some(),
            _ => self.extra.iter().any(|extra| extra.name == name),
        }
    }

    /// Verbs in discovery order.
    pub(crate) const fn verbs(&self) -> &'static [&'static str] {
        if !self.traits.listable {
            return &["create"];
        }
        match self.origin {
            Origin::BuiltIn if !self.traits.collection_deletable => &[
                "create", "delete", "get", "list", "patch", "update", "watch",
            ],
            Origin::BuiltIn => &[
                "create",
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "update",
                "watch",
            ],
            Origin::Crd { .. } => &[
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "create",
                "update",
                "watch",
            ],
        }
    }
}

impl Named for Resource {
    fn group(&self) -> &str {
        &self.gvk.group
    }

    fn plural(&self) -> &str {
        &self.plural
    }

    fn kind(&self) -> &str {
        &self.gvk.kind
    }
}
