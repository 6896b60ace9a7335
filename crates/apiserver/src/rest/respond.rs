//! Answers: an object or list in the negotiated shape, a Status, plain text.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue, WARNING};
use http::{Response, StatusCode};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::negotiate::{Accept, Shape};
use super::query::Query;
use crate::registry::Resource;
use crate::status::Status;
use crate::table;
use crate::transport::Body;

/// Characters of all warnings together, as in the real one: what is above is left out.
const MAX_WARNINGS: usize = 4_096;

/// A response with these bytes.
pub(crate) fn bytes(
    code: u16,
    content_type: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        "cache-control",
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

/// JSON, or YAML if that was negotiated.
pub(crate) fn value(code: u16, accept: Accept, value: &impl Serialize) -> Response<Body> {
    if accept.yaml {
        return match serde_saphyr::to_string(value) {
            Ok(text) => bytes(code, "application/yaml", text),
            Err(error) => failure(&Status::internal(error.to_string())),
        };
    }
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            bytes(code, "application/json", body)
        }
        Err(error) => failure(&Status::internal(error.to_string())),
    }
}

/// A refused request in the negotiated language.
pub(crate) fn refused(accept: Accept, status: &Status) -> Response<Body> {
    if accept.yaml {
        value(status.code, accept, &status.to_value())
    } else {
        failure(status)
    }
}

/// A refused request, as JSON.
pub(crate) fn failure(status: &Status) -> Response<Body> {
    let mut response = json_value(status.code, &status.to_value());
    if let Some(retry_s) = status
        .details
        .as_ref()
        .and_then(|details| details.retry_after_s)
    {
        response
            .headers_mut()
            .insert("retry-after", HeaderValue::from(retry_s));
    }
    response
}

pub(crate) fn json_value(code: u16, body: &Value) -> Response<Body> {
    value(
        code,
        Accept {
            yaml: false,
            shape: Shape::Whole,
        },
        body,
    )
}

/// A path that is nothing at all.
pub(crate) fn page_not_found() -> Response<Body> {
    let mut response = bytes(404, "text/plain; charset=utf-8", "404 page not found\n");
    response.headers_mut().insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Adds `Warning: 299` headers, as many as a client can be expected to read.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    let mut length = 0;
    for warning in warnings {
        length += warning.chars().count();
        if length > MAX_WARNINGS {
            return;
        }
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// One object of `resource` in the negotiated shape.
pub(crate) fn object(
    code: u16,
    accept: Accept,
    resource: &Resource,
    found: &Arc<Value>,
    view: &View<'_>,
) -> Response<Body> {
    match accept.shape {
        Shape::Table if found["kind"] == resource.gvk.kind.as_str() => {
            let rows = std::slice::from_ref(found);
            let revision = crate::object::resource_version(found);
            value(
                code,
                accept,
                &table::render(resource, rows, view, &json!({"resourceVersion": revision})),
            )
        }
        Shape::Table if found["kind"] == "Scale" => {
            value(code, accept, &table::render_scale(resource, found, view))
        }
        Shape::Metadata | Shape::MetadataList => value(code, accept, &partial(found)),
        _ => value(code, accept, &**found),
    }
}

/// What table rendering needs besides the objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) query: &'a Query,
    pub(crate) now: jiff::Timestamp,
}

/// The object reduced to its metadata.
pub(crate) fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// A list that borrows its items. Items of built-in kinds do not repeat kind and version.
pub(crate) struct List<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) metadata: Value,
    pub(crate) items: &'a [Arc<Value>],
}

struct Item<'a>(&'a Value);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("kind", &self.resource.list_kind)?;
        map.serialize_entry("apiVersion", &self.resource.api_version())?;
        map.serialize_entry("metadata", &self.metadata)?;
        if self.resource.is_crd() {
            map.serialize_entry("items", &Whole(self.items))?;
        } else {
            map.serialize_entry("items", &Bare(self.items))?;
        }
        map.end()
    }
}

struct Whole<'a>(&'a [Arc<Value>]);
struct Bare<'a>(&'a [Arc<Value>]);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|item| &**item))
    }
}

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|item| Item(item)))
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(fields) = self.0.as_object() else {
            return self.0.serialize(serializer);
        };
        let kept = fields
            .iter()
            .filter(|(key, _)| *key != "kind" && *key != "apiVersion");
        serializer.collect_map(kept)
    }
}
