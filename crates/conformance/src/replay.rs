//! Sends the cases of a file in order and tells what differs.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use serde_json::{Map, Value, json};

use crate::mask::mask;
use crate::{Case, Expected, diff, pointer};

/// How long a case that awaits somebody is repeated.
const PATIENCE: Duration = Duration::from_secs(40);
/// The same for one whose answer is not known yet.
const PATIENCE_UNRECORDED: Duration = Duration::from_secs(3);
/// Between two of its requests.
const PAUSE: Duration = Duration::from_millis(100);

/// Which answers of the table count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// A kube-apiserver.
    Real,
    /// The one of this repository.
    Embedded,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// An API server.
pub trait Server {
    /// One request. An `Err` is a transport's: no answer came.
    fn send(&self, request: Request<Bytes>) -> impl Future<Output = Result<Answer, String>> + Send;
}

/// One case that was answered differently.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Its request as it was sent.
    pub send: String,
    /// `-` what was wanted, `+` what came.
    pub lines: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.send)?;
        self.lines
            .iter()
            .try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// The replay of one file on one server.
#[derive(Debug)]
pub struct Replay<'a, S> {
    server: &'a S,
    which: Which,
    kept: BTreeMap<String, String>,
}

impl<'a, S: Server> Replay<'a, S> {
    /// Nothing is kept yet.
    pub fn new(server: &'a S, which: Which) -> Self {
        Self {
            server,
            which,
            kept: BTreeMap::new(),
        }
    }

    /// Sends one case; repeats it while it awaits somebody.
    pub async fn check(&mut self, case: &Case) -> Result<(), Difference> {
        let lines = match self.settle(case).await {
            Ok((_, lines)) => lines,
            Err(why) => vec![format!("+ {why}")],
        };
        if lines.is_empty() {
            return Ok(());
        }
        Err(Difference {
            name: case.name.clone(),
            send: self.fill(&case.send),
            lines,
        })
    }

    /// The last answer, masked and narrowed, and where it differs.
    pub(crate) async fn settle(&mut self, case: &Case) -> Result<(Expected, Vec<String>), String> {
        let start = tokio::time::Instant::now();
        let patience = match case.status {
            0 => PATIENCE_UNRECORDED,
            _ => PATIENCE,
        };
        loop {
            let have = self.observe(case).await?;
            let lines = differing(&self.wanted(case), &have);
            let patient = case.awaits.is_some() && start.elapsed() < patience;
            if lines.is_empty() || !patient {
                return Ok((have, lines));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn wanted(&self, case: &Case) -> Expected {
        let want = case.expected(self.which);
        let text = self.fill(&want.answer.to_string());
        Expected {
            answer: serde_json::from_str(&text).unwrap_or(want.answer),
            ..want
        }
    }

    /// Sends a case once and keeps what it keeps; the answer is masked and narrowed.
    async fn observe(&mut self, case: &Case) -> Result<Expected, String> {
        let request = self.request(case)?;
        let answer = self.server.send(request).await?;
        let value = decode(case, &answer)?;
        for (name, at) in &case.keep {
            let value = pointer::find(&value, at).unwrap_or(&Value::Null);
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            self.kept.insert(name.clone(), text);
        }
        let content_type = case
            .content_type
            .is_some()
            .then(|| all(&answer, "content-type").concat());
        Ok(Expected {
            status: answer.status,
            warnings: all(&answer, "warning"),
            content_type,
            answer: narrow(case, mask(value, case.managed)),
        })
    }

    fn request(&self, case: &Case) -> Result<Request<Bytes>, String> {
        let line = self.fill(&case.send);
        let (method, path) = line.split_once(' ').unwrap_or(("GET", &line));
        let body = match &case.body {
            None => String::new(),
            Some(Value::String(text)) => self.fill(text),
            Some(value) => self.fill(&value.to_string()),
        };
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &case.headers {
            request = request.header(name, value);
        }
        if case.body.is_some() && !case.headers.contains_key("content-type") {
            request = request.header("content-type", "application/json");
        }
        request
            .body(Bytes::from(body))
            .map_err(|error| error.to_string())
    }

    /// Longer names first: `$rv2` is not `$rv` and a 2.
    fn fill(&self, text: &str) -> String {
        let mut names: Vec<_> = self.kept.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names
            .into_iter()
            .fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("${name}"), value)
            })
    }
}

fn differing(want: &Expected, have: &Expected) -> Vec<String> {
    let value = |expected: &Expected| {
        json!({
            "status": expected.status, "warnings": expected.warnings,
            "content_type": expected.content_type, "answer": expected.answer,
        })
    };
    diff::lines(&value(want), &value(have))
}

fn all(answer: &Answer, name: &str) -> Vec<String> {
    let values = answer.headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect()
}

fn decode(case: &Case, answer: &Answer) -> Result<Value, String> {
    let content_type = all(answer, "content-type").concat();
    let Ok(text) = std::str::from_utf8(&answer.body) else {
        return Ok(json!(format!("{content_type}, binary")));
    };
    let parse = |text: &str| {
        serde_json::from_str::<Value>(text).map_err(|error| format!("{error} in {text:?}"))
    };
    if !content_type.contains("json") {
        return Ok(json!(text));
    }
    let watches = case.send.contains("watch=") || case.send.contains("/watch/");
    if watches && answer.status == 200 {
        return text.lines().map(parse).collect();
    }
    parse(text)
}

fn narrow(case: &Case, mut answer: Value) -> Value {
    for at in &case.ignore {
        pointer::remove(&mut answer, at);
    }
    let Some(only) = &case.only else {
        return answer;
    };
    let pick = |at: &String| {
        let value = pointer::find(&answer, at).cloned();
        (at.clone(), value.unwrap_or(Value::Null))
    };
    only.iter().map(pick).collect::<Map<_, _>>().into()
}
