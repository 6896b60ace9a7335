//! Streams into containers and through them: logs, `exec`, `attach`, `port-forward` and proxies.
//!
//! None is opened, as there are no kubelets behind this server. What a real one refuses before it
//! asks a kubelet is refused in its words.

use http::Response;
use serde_json::Value;

use super::query::Query;
use super::respond;
use super::route::Target;
use crate::object::{items, text};
use crate::server::ApiServer;
use crate::status::Status;
use crate::transport::Body;

/// The subresources that need a running container.
pub(super) const STREAMS: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// Answers a request for one of [`STREAMS`] of the object of this name.
pub(super) fn answer(
    server: &ApiServer,
    (target, name, stream): (&Target, &str, &str),
    query: &Query,
) -> Result<Response<Body>, Status> {
    let resource = &*target.resource;
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let found = server.0.find(resource, namespace, name);
    let found = found.ok_or_else(|| Status::not_found(resource, name))?;
    if resource.is("", "pods") && stream != "proxy" {
        if stream != "portforward" {
            check_container(&found, name, query.get("container"))?;
        }
        if text(&found, "/spec/nodeName").is_empty() {
            if stream == "log" {
                return Ok(respond::bytes(204, "text/plain", ""));
            }
            let message = format!("pod {name} does not have a host assigned");
            return Err(Status::bad_request(message));
        }
    }
    let plural = resource.plural.as_str();
    let message =
        format!("this API server has no kubelets behind it: {plural}/{stream} is not implemented");
    Err(Status::new(501, "NotImplemented", message))
}

/// Whether it is clear which container is meant.
fn check_container(pod: &Value, name: &str, container: &str) -> Result<(), Status> {
    let lists = [
        "/spec/initContainers",
        "/spec/containers",
        "/spec/ephemeralContainers",
    ];
    let all = lists.iter().flat_map(|list| items(pod, list));
    let names: Vec<&str> = all.map(|container| text(container, "/name")).collect();
    let is_clear = if container.is_empty() {
        items(pod, "/spec/containers").len() == 1
    } else {
        names.contains(&container)
    };
    if is_clear {
        return Ok(());
    }
    Err(Status::bad_request(if container.is_empty() {
        let names = names.join(" ");
        format!("a container name must be specified for pod {name}, choose one of: [{names}]")
    } else {
        format!("container {container} is not valid for pod {name}")
    }))
}
