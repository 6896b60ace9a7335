//! Paths.

use std::sync::Arc;

use super::query::decode;
use crate::registry::{Registry, Resource};

/// What a path names.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// `/healthz`, `/readyz`, `/livez`.
    Health,
    /// `/version`.
    Version,
    /// `/`.
    Index,
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`.
    Resources(String, String),
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/openapi/v3`.
    OpenApiV3Index,
    /// `/openapi/v3/…`.
    OpenApiV3(String, String),
    /// Something under a resource.
    Object(Target),
    /// A path inside a served built-in group that names nothing.
    NoSuchResource,
    /// A subresource that a custom resource has not: the handler says that the object is not found.
    NoSubresource(Arc<Resource>, String),
    /// An OpenAPI document of what is not served.
    NoDocument,
    /// Nothing at all.
    NotFound,
}

/// A collection, an object or a subresource.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) resource: Arc<Resource>,
    /// `None`: across all namespaces, or cluster scope.
    pub(crate) namespace: Option<String>,
    /// `None`: the collection.
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// The deprecated `/watch/` prefix was used.
    pub(crate) watch: bool,
}

/// Parses a path.
pub(crate) fn parse(path: &str, registry: &Registry) -> Route {
    let parts: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| decode(part, false))
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        [] => Route::Index,
        ["healthz" | "readyz" | "livez", ..] => Route::Health,
        ["version"] => Route::Version,
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["openapi", "v2"] => Route::OpenApiV2,
        ["openapi", "v3"] => Route::OpenApiV3Index,
        ["openapi", "v3", "api", version] if registry.serves("", version) => {
            Route::OpenApiV3(String::new(), (*version).to_owned())
        }
        ["openapi", "v3", "apis", group, version] if registry.serves(group, version) => {
            Route::OpenApiV3((*group).to_owned(), (*version).to_owned())
        }
        ["openapi", "v3", ..] => Route::NoDocument,
        ["apis", group] => {
            if registry.groups().iter().any(|(known, _)| known == group) {
                Route::Group((*group).to_owned())
            } else {
                Route::NotFound
            }
        }
        ["api", version, rest @ ..] => versioned("", version, rest, registry),
        ["apis", group, version, rest @ ..] => versioned(group, version, rest, registry),
        _ => Route::NotFound,
    }
}

fn versioned(group: &str, version: &str, rest: &[&str], registry: &Registry) -> Route {
    if !registry.serves(group, version) {
        return if registry.is_built_in(group) {
            Route::NoSuchResource
        } else {
            Route::NotFound
        };
    }
    let (watch, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, rest),
    };
    let missing = if registry
        .of_version(group, version)
        .any(|resource| resource.is_crd())
    {
        Route::NotFound
    } else {
        Route::NoSuchResource
    };
    let find = |plural: &str| registry.by_path(group, version, plural).cloned();
    let (resource, namespace, rest) = match rest {
        [] => return Route::Resources(group.to_owned(), version.to_owned()),
        // `namespaces/NAME/status` is the namespace's own subresource, not a resource inside it.
        ["namespaces", namespace, plural, rest @ ..]
            if !(group.is_empty() && ["status", "finalize"].contains(plural)) =>
        {
            (find(plural), Some((*namespace).to_owned()), rest)
        }
        [plural, rest @ ..] => (find(plural), None, rest),
    };
    let Some(resource) = resource else {
        return missing;
    };
    let (name, subresource) = match rest {
        [] => (None, None),
        [name] => (Some((*name).to_owned()), None),
        [name, subresource, ..] if resource.has_subresource(subresource) => {
            (Some((*name).to_owned()), Some((*subresource).to_owned()))
        }
        [name, ..] if resource.is_crd() => {
            return Route::NoSubresource(resource, (*name).to_owned());
        }
        _ => return missing,
    };
    let outside = matches!(
        (resource.namespaced, &namespace, &name),
        (true, None, Some(_)) | (false, Some(_), _)
    );
    if outside {
        return missing;
    }
    Route::Object(Target {
        resource,
        namespace,
        name,
        subresource,
        watch,
    })
}
