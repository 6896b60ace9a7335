//! The verbs on resources.

use std::sync::Arc;

use http::{Method, Response};
use jiff::SignedDuration;
use serde_json::{Value, json};
use structural::FieldError;

use super::handle::Request;
use super::negotiate::{OFFERED, Shape, media_type, read_body, read_yaml};
use super::respond::{self, List, View};
use super::route::Target;
use super::{duplicates, list, review, streams, watch};
use crate::access::{DeleteOptions, Deleted, Patch, Propagation};
use crate::clock::rfc3339;
use crate::object::{self, name};
use crate::registry::{Origin, Resource};
use crate::schema::FieldValidation;
use crate::selector::Selector;
use crate::server::ApiServer;
use crate::status::{Details, Named, Status};
use crate::strategy::{self, WriteOptions};
use crate::transport::Body;

type Answer = Result<Response<Body>, Status>;

const ENDPOINTS: &str =
    "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

/// The fields of an Eviction.
const EVICTION: [&str; 4] = ["apiVersion", "deleteOptions", "kind", "metadata"];

const NO_OBJECT: &str = "the request body must be an object";

/// The longest name of a field manager.
const MANAGER_BYTES: usize = 128;

/// Runs the verb that method and target make.
pub(super) fn run(server: &ApiServer, target: &Target, request: &Request<'_>) -> Response<Body> {
    let mut warnings = Vec::new();
    let outcome = dispatch(server, target, request, &mut warnings);
    let mut response = outcome.unwrap_or_else(|status| respond::refused(request.accept, &status));
    if let Origin::Crd {
        deprecation: Some(words),
        ..
    } = &target.resource.origin
    {
        warnings.insert(0, words.clone());
    }
    if target.resource.is("", "endpoints") {
        warnings.insert(0, ENDPOINTS.to_owned());
    }
    respond::warn(&mut response, &warnings);
    response
}

fn dispatch(
    server: &ApiServer,
    target: &Target,
    request: &Request<'_>,
    warnings: &mut Vec<String>,
) -> Answer {
    let resource = &*target.resource;
    let method = &request.parts.method;
    check_shape(target, request)?;
    if !resource.traits.listable {
        return if *method == Method::POST {
            post_review(server, target, request)
        } else {
            Err(refused(resource, "get"))
        };
    }
    let Some(name) = target.name.as_deref() else {
        return match *method {
            Method::GET if target.watch || request.query.flag("watch") => {
                watch::watch(server, target, &request.query, request.accept)
            }
            Method::GET => list::list(server, target, &request.query, request.accept),
            Method::POST if !resource.namespaced || target.namespace.is_some() => {
                create(server, target, request, warnings)
            }
            Method::DELETE
                if resource.verbs().contains(&"deletecollection")
                    && (!resource.namespaced || target.namespace.is_some()) =>
            {
                delete_collection(server, target, request)
            }
            Method::POST => Err(refused(resource, "create")),
            Method::DELETE => Err(refused(resource, "deletecollection")),
            Method::PUT => Err(refused(resource, "update")),
            _ => Err(refused(resource, "patch")),
        };
    };
    if let Some(subresource) = target.subresource.as_deref() {
        return subresource_verb(server, (target, name, subresource), request, warnings);
    }
    match *method {
        Method::GET if target.watch => watch::watch(server, target, &request.query, request.accept),
        Method::GET => get(server, target, name, request),
        Method::PUT => put(server, target, request, warnings),
        Method::PATCH => patch(server, target, request, warnings),
        Method::DELETE => delete(server, target, name, request),
        // Custom resources take the body's name; the path's is not looked at.
        Method::POST if resource.is_crd() => create(server, target, request, warnings),
        _ => Err(refused(resource, "create")),
    }
}

/// Shapes that the target can't be shown in.
fn check_shape(target: &Target, request: &Request<'_>) -> Result<(), Status> {
    match request.accept.shape {
        Shape::MetadataList if target.name.is_some() => Err(Status::no_representation(OFFERED)),
        Shape::Table => {
            let include = request.query.get("includeObject");
            if ["", "Metadata", "Object", "None"].contains(&include) {
                return Ok(());
            }
            Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {include:?}: must be 'Metadata', 'Object', 'None', or empty"
            )))
        }
        _ => Ok(()),
    }
}

/// Unsupported verbs: built-in kinds have no such route, custom ones say so themselves.
fn refused(resource: &Resource, verb: &str) -> Status {
    if !resource.is_crd() {
        return Status::method_not_allowed();
    }
    let message = format!(
        "{verb} is not supported on resources of kind {:?}",
        resource.qualified()
    );
    Status::new(405, "MethodNotAllowed", message).with_details(Details {
        group: resource.group().to_owned(),
        kind: resource.plural().to_owned(),
        ..Details::default()
    })
}

fn scope(target: &Target) -> strategy::Target<'_> {
    strategy::Target::new(
        &target.resource,
        target.namespace.as_deref().unwrap_or_default(),
        target.name.as_deref().unwrap_or_default(),
        target.subresource.as_deref(),
    )
}

fn show(
    server: &ApiServer,
    target: &Target,
    request: &Request<'_>,
    code: u16,
    found: &Arc<Value>,
) -> Response<Body> {
    let view = View {
        query: &request.query,
        now: server.now(),
    };
    respond::object(code, request.accept, &target.resource, found, &view)
}

fn get(server: &ApiServer, target: &Target, name: &str, request: &Request<'_>) -> Answer {
    let resource = &target.resource;
    let asked = list::revision(&request.query)?;
    let head = server.revision();
    if asked > head {
        return Err(list::too_large(asked, head));
    }
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let found = server.0.find(resource, namespace, name);
    let found = found.ok_or_else(|| Status::not_found(&**resource, name))?;
    let found = strategy::to_version(resource, found);
    Ok(show(server, target, request, 200, &found))
}

fn create(
    server: &ApiServer,
    target: &Target,
    request: &Request<'_>,
    warnings: &mut Vec<String>,
) -> Answer {
    let mut options = write_options(request, "CreateOptions")?;
    let body = read_body(
        &request.parts.headers,
        request.body,
        &target.resource.gvk.kind,
    )?;
    note_duplicates(request, &mut options);
    let created = strategy::create(&server.0, &scope(target), body, &mut options);
    warnings.append(&mut options.warnings);
    Ok(show(server, target, request, 201, &created?))
}

fn note_duplicates(request: &Request<'_>, options: &mut WriteOptions) {
    if options.validation != FieldValidation::Ignore {
        options.duplicates = duplicates::find(request.body);
    }
}

fn put(
    server: &ApiServer,
    target: &Target,
    request: &Request<'_>,
    warnings: &mut Vec<String>,
) -> Answer {
    let mut options = write_options(request, "UpdateOptions")?;
    let body = read_body(
        &request.parts.headers,
        request.body,
        &target.resource.gvk.kind,
    )?;
    note_duplicates(request, &mut options);
    let written = strategy::put(&server.0, &scope(target), body, &mut options);
    warnings.append(&mut options.warnings);
    let written = written?;
    Ok(show(
        server,
        target,
        request,
        if written.created { 201 } else { 200 },
        &written.object,
    ))
}

fn patch(
    server: &ApiServer,
    target: &Target,
    request: &Request<'_>,
    warnings: &mut Vec<String>,
) -> Answer {
    let mut options = write_options(request, "PatchOptions")?;
    let change = read_patch(target, request)?;
    if options.validation == FieldValidation::Strict
        && let Some(path) = duplicates::find(request.body).first()
    {
        let body = String::from_utf8_lossy(request.body);
        let error = FieldError::invalid("patch", &*body, format!("duplicate field {path:?}"));
        return Err(Status::invalid_kind("", "", "", &[error]));
    }
    let applies = matches!(change, Patch::Apply(_));
    if !applies && request.query.find("force").is_some() {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(Status::invalid_kind(
            "PatchOptions",
            "meta.k8s.io",
            "",
            &[error],
        ));
    }
    options.force = applies && request.query.flag("force");
    let written = strategy::patch(&server.0, &scope(target), &change, &mut options)?;
    warnings.append(&mut options.warnings);
    Ok(show(
        server,
        target,
        request,
        if written.created { 201 } else { 200 },
        &written.object,
    ))
}

fn read_patch(target: &Target, request: &Request<'_>) -> Result<Patch, Status> {
    use structural::patch::{
        APPLY_PATCH, CUSTOM_TYPES, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, unsupported_media_type,
    };
    let custom = target.resource.is_crd();
    let make: fn(Value) -> Patch = match media_type(&request.parts.headers) {
        JSON_PATCH => Patch::Json,
        MERGE_PATCH => Patch::Merge,
        STRATEGIC_PATCH if !custom => Patch::Strategic,
        APPLY_PATCH => Patch::Apply,
        _ => {
            if !custom {
                return Err(Status::unsupported_patch());
            }
            return Err(Status::new(
                415,
                "UnsupportedMediaType",
                unsupported_media_type(&CUSTOM_TYPES),
            ));
        }
    };
    let value = if media_type(&request.parts.headers) == APPLY_PATCH {
        read_yaml(request.body)
            .map_err(|why| Status::bad_request(format!("error decoding YAML: {why}")))?
    } else {
        serde_json::from_slice(request.body)
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?
    };
    Ok(make(value))
}

fn delete(server: &ApiServer, target: &Target, name: &str, request: &Request<'_>) -> Answer {
    let options = delete_options(request)?;
    let deleted = strategy::delete(&server.0, &scope(target), &options)?;
    let resource = &target.resource;
    if deleted.gone && !resource.traits.returns_deleted {
        return Ok(respond::json_value(
            200,
            &deletion(resource, name, &deleted),
        ));
    }
    Ok(show(server, target, request, 200, &deleted.object))
}

fn deletion(resource: &Resource, name: &str, deleted: &Deleted) -> Value {
    let details = Details {
        name: name.to_owned(),
        group: resource.group().to_owned(),
        kind: resource.plural().to_owned(),
        uid: object::uid(&deleted.object).to_owned(),
        ..Details::default()
    };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

fn delete_collection(server: &ApiServer, target: &Target, request: &Request<'_>) -> Answer {
    let options = delete_options(request)?;
    let query = &request.query;
    let resource = &*target.resource;
    let selector = Selector::parse(
        query.get("labelSelector"),
        query.get("fieldSelector"),
        resource,
    )?;
    let all = target.namespace.is_none();
    let items = strategy::delete_collection(&server.0, &scope(target), all, &selector, &options)?;
    let metadata = json!({"resourceVersion": server.revision().to_string()});
    Ok(respond::value(
        200,
        request.accept,
        &List {
            resource,
            metadata,
            items: &items,
        },
    ))
}

fn subresource_verb(
    server: &ApiServer,
    (target, name, subresource): (&Target, &str, &str),
    request: &Request<'_>,
    warnings: &mut Vec<String>,
) -> Answer {
    let resource = &*target.resource;
    let method = &request.parts.method;
    match (subresource, method) {
        ("eviction", &Method::POST) => evict(server, target, request, warnings),
        ("binding", &Method::POST) => bind(server, &scope(target), request),
        ("token", &Method::POST) => token(server, target, name, request),
        ("eviction" | "binding" | "token", _) => Err(refused(resource, "get")),
        (stream, _) if streams::STREAMS.contains(&stream) => {
            streams::answer(server, (target, name, stream), &request.query)
        }
        ("scale", &Method::GET) => {
            let namespace = target.namespace.as_deref().unwrap_or_default();
            let found = server.0.find(resource, namespace, name);
            let found = found.ok_or_else(|| Status::not_found(resource, name))?;
            let scale = Arc::new(strategy::get_scale(resource, &found)?);
            Ok(show(server, target, request, 200, &scale))
        }
        ("finalize", &Method::PUT) => put(server, target, request, warnings),
        ("finalize", _) => Err(refused(resource, "get")),
        (_, &Method::GET) => get(server, target, name, request),
        (_, &Method::PUT) => put(server, target, request, warnings),
        (_, &Method::PATCH) => patch(server, target, request, warnings),
        _ => Err(refused(resource, "create")),
    }
}

fn success() -> Response<Body> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    respond::json_value(201, &body)
}

fn evict(
    server: &ApiServer,
    target: &Target,
    request: &Request<'_>,
    warnings: &mut Vec<String>,
) -> Answer {
    let body = read_body(&request.parts.headers, request.body, "Eviction")?;
    if name(&body) != target.name.as_deref().unwrap_or_default() {
        let message = "name in URL does not match name in Eviction object";
        return Err(Status::bad_request(message));
    }
    if request.query.get("fieldValidation") != "Ignore" {
        let fields = body.as_object().into_iter().flat_map(serde_json::Map::keys);
        let unknown = fields.filter(|field| !EVICTION.contains(&field.as_str()));
        warnings.extend(unknown.map(|field| format!("unknown field {field:?}")));
    }
    let mut options = parse_delete_options(&body["deleteOptions"])?;
    options.dry_run |= dry_run(request, "CreateOptions")?;
    strategy::evict(&server.0, &scope(target), &options)?;
    Ok(success())
}

fn bind(server: &ApiServer, target: &strategy::Target<'_>, request: &Request<'_>) -> Answer {
    let body = read_body(&request.parts.headers, request.body, "Binding")?;
    let options = write_options(request, "CreateOptions")?;
    strategy::bind(&server.0, target, &body, &options)?;
    Ok(success())
}

fn token(server: &ApiServer, target: &Target, name: &str, request: &Request<'_>) -> Answer {
    let body = read_body(&request.parts.headers, request.body, "TokenRequest")?;
    if !body.is_object() {
        return Err(Status::bad_request(NO_OBJECT));
    }
    let namespace = target.namespace.as_deref().unwrap_or_default();
    review::check_token(&body, namespace, name)?;
    let account = server.0.find(&target.resource, namespace, name);
    let account = account.ok_or_else(|| Status::not_found(&*target.resource, name))?;
    let lifetime_s = review::lifetime_s(&body)?;
    let now = server.now();
    let expires = now
        .checked_add(SignedDuration::from_secs(lifetime_s))
        .unwrap_or(now);
    let (now, expires) = (rfc3339(now), rfc3339(expires));
    let answer = review::token(body, &account, lifetime_s, (now.as_str(), expires.as_str()));
    Ok(respond::value(201, request.accept, &answer))
}

fn post_review(server: &ApiServer, target: &Target, request: &Request<'_>) -> Answer {
    let body = read_body(
        &request.parts.headers,
        request.body,
        &target.resource.gvk.kind,
    )?;
    if !body.is_object() {
        return Err(Status::bad_request(NO_OBJECT));
    }
    if target.resource.is("", "bindings") {
        let registry = server.0.registry();
        let pods = registry
            .by_path("", "v1", "pods")
            .cloned()
            .ok_or_else(Status::no_such_resource)?;
        let pod = Target {
            resource: pods,
            name: Some(name(&body).to_owned()),
            ..target.clone()
        };
        return bind(server, &scope(&pod), request);
    }
    review::check(&target.resource, &body)?;
    let now = rfc3339(server.now());
    let answer = review::answer(&target.resource, &body, &now);
    Ok(respond::value(201, request.accept, &answer))
}

/// `fieldManager`, `dryRun` and `fieldValidation`.
fn write_options(request: &Request<'_>, kind: &str) -> Result<WriteOptions, Status> {
    let query = &request.query;
    let given = query.get("fieldManager");
    let agent = request
        .parts
        .headers
        .get(http::header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let agent = agent
        .and_then(|agent| agent.split('/').next())
        .unwrap_or_default();
    if given.len() > MANAGER_BYTES {
        let error = FieldError::too_long("fieldManager", MANAGER_BYTES);
        return Err(Status::invalid_kind(kind, "meta.k8s.io", "", &[error]));
    }
    let validation = match query.get("fieldValidation") {
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        "" | "Warn" => FieldValidation::Warn,
        other => {
            let allowed = ["", "Ignore", "Strict", "Warn"];
            let error = FieldError::not_supported("fieldValidation", other, &allowed);
            return Err(Status::invalid_kind(kind, "meta.k8s.io", "", &[error]));
        }
    };
    Ok(WriteOptions {
        manager: if given.is_empty() {
            agent.to_owned()
        } else {
            given.to_owned()
        },
        manager_given: !given.is_empty(),
        dry_run: dry_run(request, kind)?,
        validation,
        ..WriteOptions::default()
    })
}

fn dry_run(request: &Request<'_>, kind: &str) -> Result<bool, Status> {
    let values: Vec<&str> = request
        .query
        .all("dryRun")
        .filter(|value| !value.is_empty())
        .collect();
    if values.iter().any(|value| *value != "All") {
        let error = FieldError::not_supported("dryRun", json!(values), &["All"]);
        return Err(Status::invalid_kind(kind, "meta.k8s.io", "", &[error]));
    }
    Ok(!values.is_empty())
}

/// From the body, or from the query if there is none.
fn delete_options(request: &Request<'_>) -> Result<DeleteOptions, Status> {
    let mut options = if request.body.is_empty() {
        let query = &request.query;
        let mut options = DeleteOptions {
            grace_s: query.number("gracePeriodSeconds")?,
            propagation: propagation(query.get("propagationPolicy"))?,
            ..DeleteOptions::default()
        };
        if query.find("orphanDependents").is_some() {
            one_of_two(options.propagation, query.get("propagationPolicy"))?;
            options.propagation = Some(orphaning(query.flag("orphanDependents")));
        }
        options
    } else {
        let body = read_body(&request.parts.headers, request.body, "DeleteOptions")
            .map_err(|status| Status::new(500, "", status.message))?;
        if !["", "DeleteOptions"].contains(&object::text(&body, "/kind")) {
            return Err(Status::new(
                500,
                "",
                "decoded object cannot be converted to DeleteOptions",
            ));
        }
        parse_delete_options(&body)?
    };
    options.dry_run |= dry_run(request, "DeleteOptions")?;
    Ok(options)
}

/// The old and the new way of saying it exclude each other.
fn one_of_two(chosen: Option<Propagation>, text: &str) -> Result<(), Status> {
    if chosen.is_none() {
        return Ok(());
    }
    let detail = "orphanDependents and deletionPropagation cannot be both set";
    let error = FieldError::invalid("propagationPolicy", text, detail);
    let (kind, group) = ("DeleteOptions", "meta.k8s.io");
    Err(Status::invalid_kind(kind, group, "", &[error]))
}

const fn orphaning(orphan: bool) -> Propagation {
    if orphan {
        Propagation::Orphan
    } else {
        Propagation::Background
    }
}

fn parse_delete_options(body: &Value) -> Result<DeleteOptions, Status> {
    let precondition = |field: &str| {
        let value = body
            .pointer("/preconditions")
            .and_then(|preconditions| preconditions.get(field));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let mut chosen = propagation(object::text(body, "/propagationPolicy"))?;
    if let Some(orphan) = body.get("orphanDependents").and_then(Value::as_bool) {
        one_of_two(chosen, object::text(body, "/propagationPolicy"))?;
        chosen = Some(orphaning(orphan));
    }
    Ok(DeleteOptions {
        grace_s: body.get("gracePeriodSeconds").and_then(Value::as_i64),
        propagation: chosen,
        uid: precondition("uid"),
        resource_version: precondition("resourceVersion"),
        dry_run: object::items(body, "/dryRun")
            .iter()
            .any(|value| value == "All"),
    })
}

fn propagation(text: &str) -> Result<Option<Propagation>, Status> {
    Ok(Some(match text {
        "" => return Ok(None),
        "Orphan" => Propagation::Orphan,
        "Background" => Propagation::Background,
        "Foreground" => Propagation::Foreground,
        other => {
            let allowed = ["Foreground", "Background", "Orphan", "nil"];
            let error = FieldError::not_supported("propagationPolicy", other, &allowed);
            return Err(Status::invalid_kind(
                "DeleteOptions",
                "meta.k8s.io",
                "",
                &[error],
            ));
        }
    }))
}
