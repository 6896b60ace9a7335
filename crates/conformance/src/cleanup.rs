//! What a file leaves behind, for servers that live on: cluster-scoped objects and what lies in
//! lasting namespaces go before and after it, so that every replay starts from the same state.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use crate::{Case, File, Server};

/// How long to wait for one object to go.
const PATIENCE: Duration = Duration::from_mins(1);
/// When finalizers of the table are taken off.
const HELD: Duration = Duration::from_secs(2);

/// The objects that a file creates.
#[derive(Clone, Debug)]
pub struct Leftovers {
    /// Paths of objects that don't go with a namespace of the file, last created first.
    lasting: Vec<String>,
    /// Paths of everything else.
    contained: Vec<String>,
}

impl Leftovers {
    /// Reads them off the table.
    pub fn of(file: &File) -> Self {
        let mut paths: Vec<String> = file.cases.iter().filter_map(created).collect();
        paths.reverse();
        paths.dedup();
        let (contained, lasting) = paths.into_iter().partition(|path| {
            path.split_once("/namespaces/")
                .is_some_and(|(_, rest)| rest.contains('/') && !rest.starts_with("default/"))
        });
        Self { lasting, contained }
    }

    /// Deletes them and waits until they are gone. `Err` names what stays.
    pub async fn remove(&self, server: &impl Server) -> Result<(), String> {
        for path in &self.lasting {
            send(server, "DELETE", path, "").await?;
        }
        let start = tokio::time::Instant::now();
        let mut freed = false;
        for path in &self.lasting {
            while send(server, "GET", path, "").await? != 404 {
                if start.elapsed() > PATIENCE {
                    return Err(format!("{path} does not go"));
                }
                if start.elapsed() > HELD && !freed {
                    freed = true;
                    self.free(server).await?;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    async fn free(&self, server: &impl Server) -> Result<(), String> {
        for path in self.contained.iter().chain(&self.lasting) {
            let patch = r#"{"metadata":{"finalizers":null}}"#;
            send(server, "PATCH", path, patch).await?;
        }
        Ok(())
    }
}

/// The path of the object that a case creates.
fn created(case: &Case) -> Option<String> {
    let (method, line) = case.line();
    let (path, query) = line.split_once('?').unwrap_or((line, ""));
    if ![0, 201].contains(&case.status)
        || !["POST", "PUT", "PATCH"].contains(&method)
        || query.contains("dryRun")
        || path.contains("reviews")
    {
        return None;
    }
    if method != "POST" {
        return Some(path.to_owned());
    }
    let name = case.body.as_ref()?.pointer("/metadata/name");
    let name = name.and_then(Value::as_str)?;
    let of_object = path
        .rsplit('/')
        .next()
        .is_some_and(|last| ["binding", "eviction", "token", "finalize"].contains(&last));
    (!of_object).then(|| format!("{path}/{name}"))
}

async fn send(
    server: &impl Server,
    method: &str,
    path: &str,
    body: &'static str,
) -> Result<u16, String> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/merge-patch+json")
        .body(Bytes::from_static(body.as_bytes()))
        .map_err(|error| error.to_string())?;
    Ok(server.send(request).await?.status)
}
