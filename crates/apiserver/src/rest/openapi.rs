//! OpenAPI documents, made by `structural::openapi` from what is served, kept until a CRD changes.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, Response};
use structural::builtin;
use structural::openapi::{self, Resource as Described};

use super::respond;
use crate::registry::{Registry, Resource};
use crate::server::ApiServer;
use crate::status::Status;
use crate::transport::Body;
use crate::wire::openapi as wire;

/// Serialised documents of one registry epoch, by path.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    epoch: u64,
    documents: BTreeMap<String, Bytes>,
}

fn cache<'a>(server: &'a ApiServer, registry: &Registry) -> MutexGuard<'a, Cache> {
    let mut cache = server
        .0
        .openapi
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if cache.epoch != registry.epoch {
        *cache = Cache {
            epoch: registry.epoch,
            documents: BTreeMap::new(),
        };
    }
    cache
}

fn kept(
    server: &ApiServer,
    path: &str,
    make: impl FnOnce(&Registry) -> serde_json::Value,
) -> Response<Body> {
    let make = |registry: &Registry| Bytes::from(make(registry).to_string());
    respond::bytes(200, "application/json", kept_bytes(server, path, make))
}

fn kept_bytes(server: &ApiServer, path: &str, make: impl FnOnce(&Registry) -> Bytes) -> Bytes {
    let registry = server.0.registry();
    let mut cache = cache(server, &registry);
    let kept = cache.documents.entry(path.to_owned());
    kept.or_insert_with(|| make(&registry)).clone()
}

/// The described resources of one version: built-in kinds with all their companions, custom ones by
/// their schema.
fn described<'a>(registry: &'a Registry, group: &str, version: &str) -> Vec<Described<'a>> {
    let mut list: Vec<Described<'a>> = builtin::KINDS
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
        .map(Described::from)
        .collect();
    list.extend(
        registry
            .of_version(group, version)
            .filter(|r| r.is_crd())
            .filter_map(|r| custom(r)),
    );
    list
}

fn custom(resource: &Resource) -> Option<Described<'_>> {
    let gvk = &resource.gvk;
    let mut described = Described::custom(
        (&gvk.group, &gvk.version, &gvk.kind),
        (&resource.plural, resource.namespaced),
        resource.schema()?,
    );
    described.list_kind.clone_from(&resource.list_kind);
    described.subresources = ["status", "scale"]
        .into_iter()
        .filter(|name| resource.has_subresource(name))
        .collect();
    Some(described)
}

fn versions(registry: &Registry) -> Vec<(String, String)> {
    let groups = registry.groups().into_iter().flat_map(|(group, versions)| {
        versions
            .into_iter()
            .map(move |version| (group.clone(), version))
    });
    std::iter::once((String::new(), "v1".to_owned()))
        .chain(groups)
        .collect()
}

/// `/openapi/v2`, as JSON, or in protobuf for clients that ask for nothing else.
pub(super) fn v2(server: &ApiServer, headers: &HeaderMap) -> Result<Response<Body>, Status> {
    let accepts = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("*/*");
    if accepts.contains(wire::ASKED) {
        let make = |registry: &Registry| Bytes::from(wire::encode(&document(registry)));
        let document = kept_bytes(server, "v2.protobuf", make);
        return Ok(respond::bytes(200, wire::ANSWERED, document));
    }
    if !accepts.contains("json") && !accepts.contains("*/*") {
        return Err(Status::not_acceptable("application/json"));
    }
    Ok(kept(server, "v2", document))
}

fn document(registry: &Registry) -> serde_json::Value {
    let all = versions(registry);
    let resources: Vec<_> = all
        .iter()
        .flat_map(|(group, version)| described(registry, group, version))
        .collect();
    openapi::v2(&resources)
}

/// `/openapi/v3`.
pub(super) fn v3_index(server: &ApiServer) -> Response<Body> {
    kept(server, "v3", |registry| {
        let documents: Vec<_> = versions(registry)
            .into_iter()
            .map(|(group, version)| {
                let document = openapi::v3(&described(registry, &group, &version));
                (group, version, document)
            })
            .collect();
        openapi::index(
            documents
                .iter()
                .map(|(g, v, document)| (g.as_str(), v.as_str(), document)),
        )
    })
}

/// `/openapi/v3/apis/GROUP/VERSION`.
pub(super) fn v3(server: &ApiServer, group: &str, version: &str) -> Response<Body> {
    kept(
        server,
        &openapi::document_path(group, version),
        |registry| openapi::v3(&described(registry, group, version)),
    )
}
