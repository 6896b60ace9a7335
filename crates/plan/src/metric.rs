//! Measurements as tasks of the shell: the requests that one needs, the answers to them, and values
//! that are in no log.

use crate::ObjectKey;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// A value that can be used and compared but not printed: `Debug`, `Display` and `Serialize` all
/// give `*****`. Holds whatever may contain a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that has to send it.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("*****")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("*****")
    }
}

impl<T> Serialize for Redacted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("*****")
    }
}

/// Which measurement a task or an answer is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TaskId {
    /// `metadata.uid` of the AnalysisRun.
    pub run_uid: String,
    pub metric: String,
    /// How many measurements of the metric came before, errors included. Makes asking twice
    /// for the same measurement recognisable.
    pub ordinal: u64,
}

/// One measurement to take, complete: whoever carries it out needs nothing else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricTask {
    pub id: TaskId,
    /// The AnalysisRun, for logs and for waking its plan when the answer is there.
    pub run: ObjectKey,
    /// The metric as JSON with all arguments filled in, secret ones too.
    pub metric: Redacted<Value>,
    /// What the provider needs to know of the cluster, e.g. the pods of each arm for the
    /// provider `pods`. Provider-specific; JSON so that this crate knows no provider. What the
    /// operator set may hold a password.
    pub context: Redacted<Value>,
}

/// An HTTP request that a provider wants made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpRequest {
    pub method: &'static str,
    pub url: Redacted<String>,
    pub headers: Vec<(String, Redacted<String>)>,
    pub body: Option<Redacted<Vec<u8>>>,
    pub timeout_s: u32,
    /// Skip TLS verification (`insecure: true`).
    pub insecure: bool,
    /// Larger answers are cut off with an error.
    pub max_bytes: usize,
}

/// What came of one [`HttpRequest`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum HttpAnswer {
    Response {
        status: u16,
        body: Vec<u8>,
    },
    /// No response: refused, timed out, too large. A plain sentence.
    Failed {
        error: String,
    },
}

/// What a provider gets when it is asked to go on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Answer {
    /// One per request, in order.
    Http(Vec<HttpAnswer>),
    /// The time it wanted to wait for has come.
    Woken,
}
