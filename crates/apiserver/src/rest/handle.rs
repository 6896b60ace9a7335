//! One request: route it, negotiate, run the verb.

use http::header::HOST;
use http::request::Parts;
use http::{Method, Response};
use serde_json::json;

use super::negotiate::{Accept, Shape};
use super::query::Query;
use super::route::{self, Route};
use super::{discovery, openapi, respond, verbs};
use crate::server::ApiServer;
use crate::status::Status;
use crate::transport::Body;

/// Everything a verb needs from the request line, headers and body.
pub(super) struct Request<'a> {
    pub(super) parts: &'a Parts,
    pub(super) query: Query,
    pub(super) accept: Accept,
    pub(super) body: &'a [u8],
}

/// Answers a request whose body was read.
pub(crate) fn handle(server: &ApiServer, parts: &Parts, body: &[u8]) -> Response<Body> {
    answer(server, parts, body).unwrap_or_else(|status| match Accept::parse(&parts.headers) {
        Ok(accept) => respond::refused(accept, &status),
        Err(_) => respond::failure(&status),
    })
}

fn answer(server: &ApiServer, parts: &Parts, body: &[u8]) -> Result<Response<Body>, Status> {
    let registry = server.0.registry();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let host = || {
        let header = parts
            .headers
            .get(HOST)
            .and_then(|value| value.to_str().ok());
        header
            .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
            .unwrap_or("127.0.0.1:6443")
            .to_owned()
    };
    let route = route::parse(parts.uri.path(), &registry);
    let readable =
        matches!(route, Route::Object(_)) || [Method::GET, Method::HEAD].contains(&parts.method);
    let missing = matches!(
        route,
        Route::NotFound | Route::NoDocument | Route::NoSuchResource | Route::NoSubresource(..)
    );
    if !readable && !missing {
        return Err(Status::method_not_allowed());
    }
    let accept = Accept::parse(&parts.headers);
    let discovered = |core: bool, plain: serde_json::Value| match accept {
        Ok(Accept {
            shape: Shape::Discovery,
            ..
        }) => {
            let document = discovery::aggregated(&registry, core);
            let content_type =
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
            respond::bytes(200, content_type, document.to_string())
        }
        _ => respond::json_value(200, &plain),
    };
    Ok(match route {
        Route::Health => respond::bytes(200, "text/plain; charset=utf-8", "ok"),
        Route::Version => respond::json_value(200, &discovery::version(&server.0)),
        Route::Index => respond::json_value(200, &json!({"paths": paths(&registry.groups())})),
        Route::CoreVersions => discovered(true, discovery::core_versions(&host())),
        Route::Groups => discovered(false, discovery::groups(&registry)),
        Route::Group(name) => respond::json_value(200, &discovery::group(&registry, &name)),
        Route::Resources(group, version) => {
            respond::json_value(200, &discovery::resources(&registry, &group, &version))
        }
        Route::OpenApiV2 => openapi::v2(server, &parts.headers)?,
        Route::OpenApiV3Index => openapi::v3_index(server),
        Route::OpenApiV3(group, version) => openapi::v3(server, &group, &version),
        Route::Object(target) => {
            let request = Request {
                parts,
                query,
                accept: accept?,
                body,
            };
            verbs::run(server, &target, &request)
        }
        Route::NoSuchResource => return Err(Status::no_such_resource()),
        Route::NoSubresource(resource, name) => return Err(Status::not_found(&*resource, &name)),
        Route::NoDocument => respond::bytes(404, "text/plain; charset=utf-8", ""),
        Route::NotFound => respond::page_not_found(),
    })
}

fn paths(groups: &[(String, Vec<String>)]) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in groups {
        paths.push(format!("/apis/{group}"));
        paths.extend(
            versions
                .iter()
                .map(|version| format!("/apis/{group}/{version}")),
        );
    }
    let fixed = [
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ];
    paths.extend(fixed.iter().map(|path| (*path).to_owned()));
    paths.sort();
    paths
}
