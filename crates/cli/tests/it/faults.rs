//! An API server that fails now and then.

use crate::world::World;
use cli::{Captured, Context};
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower::BoxError;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nobody listens.
    Refused,
    /// The server answers with this code.
    Answer(u16),
    /// The server begins to answer, and ends with an event with this code.
    Event(u16),
}

/// How often something has happened.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    /// Counts; the first one is 1.
    pub(crate) fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn so_far(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl World {
    /// A CLI whose requests (`METHOD URI`) fail as `fault` says.
    pub(crate) fn faulty(
        &self,
        fault: impl Fn(&str) -> Option<Fault> + Send + 'static,
    ) -> (Context, Captured) {
        let inner = self.api.client();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fault = fault(&format!("{} {}", request.method(), request.uri()));
            let inner = inner.clone();
            async move {
                match fault {
                    Some(fault) => fault.answer(),
                    None => Ok(inner.send(request).await?),
                }
            }
        });
        Self::cli_with(kube::Client::new(service, "default"))
    }
}

impl Fault {
    fn answer(self) -> Result<Response<Body>, BoxError> {
        let status = |code: u16| {
            json!({
                "apiVersion": "v1", "kind": "Status", "status": "Failure",
                "code": code, "reason": "Fault", "message": format!("fault {code}"),
            })
        };
        match self {
            Self::Refused => {
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused").into())
            }
            Self::Answer(code) => respond(code, &status(code)),
            Self::Event(code) => respond(200, &json!({"type": "ERROR", "object": status(code)})),
        }
    }
}

fn respond(code: u16, body: &Value) -> Result<Response<Body>, BoxError> {
    let body = Body::from(format!("{body}\n").into_bytes());
    Ok(Response::builder().status(code).body(body)?)
}
