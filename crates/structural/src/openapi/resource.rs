//! What a document describes.

use crate::builtin::Kind;
use crate::schema::Schema;

/// One served resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub list_kind: String,
    /// The resource in paths.
    pub plural: &'a str,
    pub namespaced: bool,
    /// Subresources that hold a document: `status`, `scale`.
    pub subresources: Vec<&'a str>,
    pub schema: &'a Schema,
    /// The name of its definition.
    pub definition: String,
    /// Whether a custom resource definition stands behind it.
    pub custom: bool,
}

impl<'a> Resource<'a> {
    /// A custom resource; `schema` is the one of its version.
    pub fn custom(
        (group, version, kind): (&'a str, &'a str, &'a str),
        (plural, namespaced): (&'a str, bool),
        schema: &'a Schema,
    ) -> Self {
        let reversed: Vec<_> = group.rsplit('.').collect();
        Self {
            group,
            version,
            kind,
            list_kind: format!("{kind}List"),
            plural,
            namespaced,
            subresources: Vec::new(),
            schema,
            definition: format!("{}.{version}.{kind}", reversed.join(".")),
            custom: true,
        }
    }

    /// The path of the group and version: `/apis/apps/v1`, `/api/v1`.
    pub fn root(&self) -> String {
        format!("/{}", document_path(self.group, self.version))
    }
}

impl From<&'static Kind> for Resource<'static> {
    fn from(kind: &'static Kind) -> Self {
        Self {
            group: kind.group,
            version: kind.version,
            kind: kind.kind,
            list_kind: format!("{}List", kind.kind),
            plural: kind.plural,
            namespaced: kind.namespaced,
            subresources: kind.subresources.to_vec(),
            schema: kind.schema(),
            definition: kind.definition.to_owned(),
            custom: false,
        }
    }
}

/// The path of a document below `/openapi/v3/`: `apis/apps/v1`, or `api/v1` for the core group.
pub fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}
