//! Watches: exact replay from a resource version, then live.
//!
//! A watcher holds only a revision. It asks the store for every event after it, tells those that
//! concern it, and waits for the head to move; nothing is pushed at it, so nothing can be lost
//! between a list and its watch. A revision that the store has compacted ends the stream with an
//! honest 410.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use structural::FieldError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::list::{refuse, revision};
use super::negotiate::{Accept, Shape};
use super::query::Query;
use super::respond::{self, View};
use super::route::Target;
use crate::object::{namespace, set_meta};
use crate::registry::Resource;
use crate::selector::Selector;
use crate::server::ApiServer;
use crate::status::Status;
use crate::store::{ChangeKind, Event};
use crate::strategy::to_version;
use crate::table;
use crate::transport::Body;

/// Between bookmarks, as the real watch cache sends them.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);
/// Events taken from the store at a time.
const BATCH: usize = 1_000;
/// Shortest watch when the client names no timeout; the longest is twice that.
const MIN_TIMEOUT_S: u32 = 1_800;
const INITIAL_END: &str = "k8s.io/initial-events-end";

struct Watch {
    server: ApiServer,
    resource: Arc<Resource>,
    namespace: Option<String>,
    selector: Selector,
    query: Query,
    shape: Shape,
    /// Everything up to here has been told.
    revision: u64,
    first: Option<Vec<u8>>,
    bookmarks: Option<Instant>,
    deadline: Instant,
    head: watch::Receiver<u64>,
    headers_sent: bool,
    over: bool,
}

/// Opens a watch on a collection (or on one object by name).
pub(super) fn watch(
    server: &ApiServer,
    target: &Target,
    query: &Query,
    accept: Accept,
) -> Result<Response<Body>, Status> {
    check_options(query)?;
    let resource = Arc::clone(&target.resource);
    let mut fields = query.get("fieldSelector").to_owned();
    if let Some(name) = &target.name {
        fields = format!("metadata.name={name}");
    }
    let selector = Selector::parse(query.get("labelSelector"), &fields, &resource)?;
    let from = revision(query)?;
    let timeout_s = match query.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => u64::try_from(seconds).unwrap_or(1),
        _ => u64::from(MIN_TIMEOUT_S + server.0.random_below(MIN_TIMEOUT_S)),
    };
    let now = Instant::now();
    let bookmarks = query
        .flag("allowWatchBookmarks")
        .then(|| now + BOOKMARK_EVERY);
    let mut watch = Watch {
        head: server.store().subscribe(),
        server: server.clone(),
        resource,
        namespace: target.namespace.clone(),
        selector,
        query: query.clone(),
        shape: accept.shape,
        revision: from,
        first: None,
        bookmarks,
        // A far deadline may be beyond what the clock can show; a year is for ever.
        deadline: now + Duration::from_secs(timeout_s.min(31_536_000)),
        headers_sent: false,
        over: false,
    };
    let initial = match query.find("sendInitialEvents") {
        Some(_) => query.flag("sendInitialEvents"),
        None => from == 0,
    };
    if initial {
        watch.start_with_state();
    } else if from == 0 {
        watch.revision = server.store().revision();
    }
    let chunks = futures::stream::unfold(watch, |mut watch| async move {
        let chunk = watch.next().await?;
        Some((Bytes::from(chunk), watch))
    });
    let mut response = respond::bytes(200, "application/json", Bytes::new());
    *response.body_mut() = Body::stream(chunks);
    Ok(response)
}

fn check_options(query: &Query) -> Result<(), Status> {
    let mut errors = Vec::new();
    let path = "resourceVersionMatch";
    let matching = query.get(path);
    let initial = query.find("sendInitialEvents").is_some();
    if !query.get("continue").is_empty() {
        let why = "continue is forbidden for watch";
        errors.push(FieldError::forbidden("continue", why));
    }
    if initial && matching != "NotOlderThan" {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(path, why));
    }
    if !matching.is_empty() {
        if !initial {
            let why =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(path, why));
        }
        if matching != "NotOlderThan" {
            errors.push(FieldError::not_supported(path, matching, &["NotOlderThan"]));
        }
        if !query.get("continue").is_empty() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(FieldError::forbidden(path, why));
        }
    }
    refuse(&errors)
}

impl Watch {
    /// Tells the present state as ADDED events before anything else.
    fn start_with_state(&mut self) {
        let (objects, head) = self
            .server
            .store()
            .list(&self.resource.table, self.namespace.as_deref());
        let mut first = Vec::new();
        for object in objects {
            if self.selector.matches(&object) {
                self.write(&mut first, "ADDED", &object);
            }
        }
        self.revision = head;
        if self.query.flag("sendInitialEvents") && self.query.flag("allowWatchBookmarks") {
            self.write_bookmark(&mut first, true);
        }
        self.first = Some(first).filter(|first| !first.is_empty());
    }

    /// The next bytes to send; `None` ends the stream.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            if self.over {
                return None;
            }
            let chunk = self.replay();
            if !chunk.is_empty() {
                return Some(chunk);
            }
            if self.revision < self.server.store().revision() {
                continue;
            }
            if self.resource.is_crd()
                && self
                    .server
                    .0
                    .registry()
                    .by_kind(&self.resource.gvk)
                    .is_none()
            {
                return None;
            }
            let bookmark = self.bookmarks.unwrap_or(self.deadline + BOOKMARK_EVERY);
            let seen = self.revision;
            let moved = tokio::select! {
                biased;
                moved = self.head.wait_for(|head| *head > seen) => moved.is_ok(),
                () = sleep_until(self.deadline) => return None,
                () = sleep_until(bookmark) => true,
            };
            if !moved {
                return None;
            }
            if self.bookmarks.is_some_and(|at| at <= Instant::now()) {
                self.bookmarks = Some(Instant::now() + BOOKMARK_EVERY);
                // Events that came in the same moment go first: a bookmark covers what was told.
                let mut chunk = self.replay();
                if !self.over {
                    self.write_bookmark(&mut chunk, false);
                }
                return Some(chunk);
            }
        }
    }

    /// Encodes what happened since, and moves the revision past it.
    fn replay(&mut self) -> Vec<u8> {
        let mut chunk = Vec::new();
        match self.server.store().events_since(self.revision, BATCH) {
            Err(compacted) => {
                let status = Status::from(compacted).to_value();
                write_line(&mut chunk, "ERROR", &status);
                self.over = true;
            }
            Ok(events) => {
                for event in &events {
                    if event.revision > self.revision {
                        self.tell(&mut chunk, event);
                        self.revision = event.revision;
                    }
                }
            }
        }
        chunk
    }

    /// An object that begins to match is ADDED, one that ceases to is DELETED (in its last matching
    /// state).
    fn tell(&mut self, chunk: &mut Vec<u8>, event: &Event) {
        if *event.table != *self.resource.table {
            return;
        }
        if self
            .namespace
            .as_deref()
            .is_some_and(|of| of != namespace(&event.object))
        {
            return;
        }
        let before = event
            .previous
            .as_ref()
            .filter(|previous| self.selector.matches(previous))
            .cloned();
        let after = event.kind != ChangeKind::Deleted && self.selector.matches(&event.object);
        match (before, after) {
            (None, true) => self.write(chunk, "ADDED", &event.object),
            (Some(_), true) => self.write(chunk, "MODIFIED", &event.object),
            (Some(_), false) if event.kind == ChangeKind::Deleted => {
                self.write(chunk, "DELETED", &event.object);
            }
            (Some(previous), false) => {
                let mut last = Value::clone(&previous);
                set_meta(
                    &mut last,
                    "resourceVersion",
                    json!(event.revision.to_string()),
                );
                self.write(chunk, "DELETED", &Arc::new(last));
            }
            (None, false) => {}
        }
    }

    fn write(&mut self, chunk: &mut Vec<u8>, kind: &str, object: &Arc<Value>) {
        let object = to_version(&self.resource, Arc::clone(object));
        match self.shape {
            Shape::Table => {
                let view = View {
                    query: &self.query,
                    now: self.server.now(),
                };
                let metadata = json!({"resourceVersion": crate::object::resource_version(&object)});
                let rows = std::slice::from_ref(&object);
                let mut rendered = table::render(&self.resource, rows, &view, &metadata);
                if self.headers_sent {
                    rendered["columnDefinitions"] = Value::Null;
                }
                self.headers_sent = true;
                write_line(chunk, kind, &rendered);
            }
            Shape::Metadata | Shape::MetadataList => {
                write_line(chunk, kind, &respond::partial(&object));
            }
            _ => write_line(chunk, kind, &object),
        }
    }

    fn write_bookmark(&mut self, chunk: &mut Vec<u8>, initial_end: bool) {
        let (kind, version) = match self.shape {
            Shape::Metadata | Shape::MetadataList => (
                "PartialObjectMetadata".to_owned(),
                "meta.k8s.io/v1".to_owned(),
            ),
            _ => (self.resource.gvk.kind.clone(), self.resource.api_version()),
        };
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if initial_end {
            metadata["annotations"] = json!({INITIAL_END: "true"});
        }
        write_line(
            chunk,
            "BOOKMARK",
            &json!({"kind": kind, "apiVersion": version, "metadata": metadata}),
        );
    }
}

fn write_line(chunk: &mut Vec<u8>, kind: &str, object: &Value) {
    chunk.extend_from_slice(b"{\"type\":\"");
    chunk.extend_from_slice(kind.as_bytes());
    chunk.extend_from_slice(b"\",\"object\":");
    // Writing JSON values into memory cannot fail.
    let _ = serde_json::to_writer(&mut *chunk, object);
    chunk.extend_from_slice(b"}\n");
}
