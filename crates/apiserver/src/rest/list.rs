//! Lists: selectors, resource version semantics, paging.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::Response;
use serde_json::{Value, json};
use structural::FieldError;

use super::negotiate::{Accept, Shape};
use super::query::Query;
use super::respond::{self, List, View};
use super::route::Target;
use crate::object::{name, namespace};
use crate::selector::Selector;
use crate::server::ApiServer;
use crate::status::{Cause, Details, Status};
use crate::strategy::to_version;
use crate::table;
use crate::transport::Body;

const INCONSISTENT: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// Position inside a paged list: after `start`, at `revision` (`None`: at head).
struct Token {
    revision: Option<u64>,
    start: (String, String),
}

/// GET of a collection.
pub(super) fn list(
    server: &ApiServer,
    target: &Target,
    query: &Query,
    accept: Accept,
) -> Result<Response<Body>, Status> {
    check_options(query)?;
    let resource = &*target.resource;
    let selector = Selector::parse(
        query.get("labelSelector"),
        query.get("fieldSelector"),
        resource,
    )?;
    let limit = usize::try_from(query.number("limit")?.unwrap_or(0)).unwrap_or(0);
    let token = Some(query.get("continue"))
        .filter(|text| !text.is_empty())
        .map(decode)
        .transpose()?;
    let (objects, revision) = read(server, target, query, token.as_ref())?;
    let mut page: Vec<Arc<Value>> = Vec::new();
    let mut rest = 0_usize;
    for object in &objects {
        let key = (namespace(object), name(object));
        let passed = token
            .as_ref()
            .is_some_and(|t| key <= (t.start.0.as_str(), t.start.1.as_str()));
        if passed || !selector.matches(object) {
            continue;
        }
        if limit > 0 && page.len() == limit {
            rest += 1;
            if !selector.matches_everything() {
                break;
            }
        } else {
            page.push(to_version(resource, Arc::clone(object)));
        }
    }
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if rest > 0
        && let Some(last) = page.last()
    {
        metadata["continue"] = json!(encode(Some(revision), namespace(last), name(last)));
        if selector.matches_everything() {
            metadata["remainingItemCount"] = json!(rest);
        }
    }
    Ok(answer(server, target, query, accept, (&page, metadata)))
}

fn answer(
    server: &ApiServer,
    target: &Target,
    query: &Query,
    accept: Accept,
    (page, metadata): (&[Arc<Value>], Value),
) -> Response<Body> {
    let resource = &*target.resource;
    match accept.shape {
        Shape::Table => {
            let view = View {
                query,
                now: server.now(),
            };
            respond::value(
                200,
                accept,
                &table::render(resource, page, &view, &metadata),
            )
        }
        Shape::Metadata | Shape::MetadataList => {
            let items: Vec<Value> = page.iter().map(|object| respond::partial(object)).collect();
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata, "items": items,
            });
            respond::value(200, accept, &list)
        }
        _ => respond::value(
            200,
            accept,
            &List {
                resource,
                metadata,
                items: page,
            },
        ),
    }
}

type Read = (Vec<Arc<Value>>, u64);

/// The objects at the revision that the options ask for.
fn read(
    server: &ApiServer,
    target: &Target,
    query: &Query,
    token: Option<&Token>,
) -> Result<Read, Status> {
    let store = server.store();
    let table = &target.resource.table;
    let of = target.namespace.as_deref();
    if let Some(token) = token {
        let Some(revision) = token.revision else {
            return Ok(store.list(table, of));
        };
        let objects = store.list_at(table, of, revision).map_err(|_| {
            let fresh = encode(None, &token.start.0, &token.start.1);
            Status::expired(INCONSISTENT).continued(fresh)
        })?;
        return Ok((objects, revision));
    }
    let asked = revision(query).map_err(|status| {
        Status::bad_request(format!("invalid resource version: {}", status.message))
    })?;
    let head = store.revision();
    if asked > head {
        return Err(too_large(asked, head));
    }
    // Without a match rule a paged list at a version is exact, an unpaged one "not older than".
    let paged = query.number("limit")?.unwrap_or(0) > 0;
    let exact = match query.get("resourceVersionMatch") {
        "Exact" => true,
        "" => paged && asked > 0,
        _ => false,
    };
    if exact {
        return Ok((store.list_at(table, of, asked)?, asked));
    }
    Ok(store.list(table, of))
}

/// `resourceVersion` as a number; absent is 0.
pub(super) fn revision(query: &Query) -> Result<u64, Status> {
    match query.get("resourceVersion") {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            let message = format!(
                "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
            );
            Status::new(500, "", message)
        }),
    }
}

pub(super) fn too_large(asked: u64, head: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {asked}, current: {head}");
    let cause = Cause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        field: String::new(),
    };
    let details = Details {
        causes: vec![cause],
        retry_after_s: Some(1),
        ..Details::default()
    };
    Status::new(504, "Timeout", message).with_details(details)
}

fn check_options(query: &Query) -> Result<(), Status> {
    let mut errors = Vec::new();
    let path = "resourceVersionMatch";
    let matching = query.get(path);
    if !matching.is_empty() {
        if query.get("resourceVersion").is_empty() {
            errors.push(FieldError::forbidden(
                path,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !query.get("continue").is_empty() {
            errors.push(FieldError::forbidden(
                path,
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if !["Exact", "NotOlderThan"].contains(&matching) {
            errors.push(FieldError::not_supported(
                path,
                matching,
                &["Exact", "NotOlderThan", ""],
            ));
        }
        if matching == "Exact" && query.get("resourceVersion") == "0" {
            errors.push(FieldError::forbidden(
                path,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if query.find("sendInitialEvents").is_some() {
        errors.push(FieldError::forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    if !query.get("continue").is_empty() && !["", "0"].contains(&query.get("resourceVersion")) {
        return Err(Status::bad_request(
            "specifying resource version is not allowed when using continue",
        ));
    }
    refuse(&errors)
}

pub(super) fn refuse(errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid_kind(
        "ListOptions",
        "meta.k8s.io",
        "",
        errors,
    ))
}

fn encode(revision: Option<u64>, namespace: &str, name: &str) -> String {
    let start = if namespace.is_empty() {
        format!("{name}\0")
    } else {
        format!("{namespace}/{name}\0")
    };
    let revision = revision.map_or_else(|| json!(-1), |revision| json!(revision));
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn decode(text: &str) -> Result<Token, Status> {
    let invalid = |why: &str| {
        Status::bad_request(format!(
            "invalid continue token: continue key is not valid: {why}"
        ))
    };
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .or_else(|_| STANDARD_NO_PAD.decode(text))
        .map_err(|error| invalid(&error.to_string()))?;
    let token: Value =
        serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))?;
    if token["v"] != "meta.k8s.io/v1" {
        let version = token["v"].as_str().unwrap_or_default();
        return Err(invalid(&format!(
            "server does not recognize this encoded version {version}"
        )));
    }
    let start = token["start"]
        .as_str()
        .unwrap_or_default()
        .trim_end_matches('\0');
    if start.is_empty() {
        return Err(invalid("encoded start is empty"));
    }
    let (namespace, name) = start.split_once('/').unwrap_or(("", start));
    let revision = match token["rv"].as_i64() {
        Some(-1) => None,
        Some(revision) if revision > 0 => Some(revision.unsigned_abs()),
        _ => {
            return Err(invalid(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        }
    };
    Ok(Token {
        revision,
        start: (namespace.to_owned(), name.to_owned()),
    })
}
