//! One table of requests (`tests/conformance/*.yaml`) pins what the server answers.
//!
//! Each file is a sequence on a fresh server. An answer is compared whole after masking what differs from run to run (uids,
//! times, resource versions, managed fields); `only` narrows it to some pointers, `ignore` takes some out. `keep`
//! remembers a value for later requests (`$name`). The same files are meant to be replayed against a real kube-apiserver.

use std::collections::BTreeMap;

use apiserver::ApiServer;
use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    send: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    #[serde(default)]
    keep: BTreeMap<String, String>,
    #[serde(default)]
    ignore: Vec<String>,
    only: Option<Vec<String>>,
    status: u16,
    #[serde(default)]
    warnings: Vec<String>,
    answer: Value,
}

const MASKS: [(&str, &str); 6] = [
    ("uid", "UID"),
    ("resourceVersion", "RV"),
    ("creationTimestamp", "TIME"),
    ("deletionTimestamp", "TIME"),
    ("lastTransitionTime", "TIME"),
    ("continue", "CONTINUE"),
];

fn mask(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(mask).collect(),
        Value::Object(fields) => {
            let masked = |(key, value): (String, Value)| {
                let token = MASKS
                    .iter()
                    .find(|(name, _)| *name == key)
                    .map(|(_, token)| *token);
                match token {
                    Some(token) if value.as_str().is_some_and(|text| !text.is_empty()) => {
                        (key, json!(token))
                    }
                    _ => (key, mask(value)),
                }
            };
            fields
                .into_iter()
                .filter(|(key, _)| key != "managedFields")
                .map(masked)
                .collect::<Map<_, _>>()
                .into()
        }
        other => other,
    }
}

fn drop_at(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    if let Some(Value::Object(fields)) = value.pointer_mut(parent) {
        fields.remove(last);
    }
}

struct Replay {
    server: ApiServer,
    kept: BTreeMap<String, String>,
}

impl Replay {
    fn fill(&self, text: &str) -> String {
        self.kept
            .iter()
            .fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("${name}"), value)
            })
    }

    async fn send(&self, case: &Case) -> (u16, Vec<String>, Value) {
        let line = self.fill(&case.send);
        let (method, path) = line.split_once(' ').unwrap();
        let body = match &case.body {
            None => String::new(),
            Some(Value::String(text)) => self.fill(text),
            Some(value) => self.fill(&value.to_string()),
        };
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in &case.headers {
            request = request.header(name, value);
        }
        if case.body.is_some() && !case.headers.contains_key("content-type") {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(bytes::Bytes::from(body))).unwrap();
        let response = self.server.handle(request).await;
        let status = response.status().as_u16();
        let header = |name: &str| {
            let values = response.headers().get_all(name).iter();
            values
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let (warnings, content_type) = (header("warning"), header("content-type").concat());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let answer = if path.contains("watch=") && status == 200 {
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .collect()
        } else if content_type.contains("json") {
            serde_json::from_str(&text).unwrap()
        } else {
            json!(text)
        };
        (status, warnings, answer)
    }

    async fn check(&mut self, case: &Case) -> Result<(), String> {
        let (status, warnings, answer) = self.send(case).await;
        for (name, pointer) in &case.keep {
            let value = answer
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default();
            self.kept.insert(name.clone(), value.to_owned());
        }
        let mut answer = mask(answer);
        for pointer in &case.ignore {
            drop_at(&mut answer, pointer);
        }
        if let Some(only) = &case.only {
            let pick = |pointer: &String| {
                (
                    pointer.clone(),
                    answer.pointer(pointer).cloned().unwrap_or(Value::Null),
                )
            };
            answer = only.iter().map(pick).collect::<Map<_, _>>().into();
        }
        let want: Value = serde_json::from_str(&self.fill(&case.answer.to_string())).unwrap();
        if (status, &warnings, &answer) == (case.status, &case.warnings, &want) {
            return Ok(());
        }
        Err(format!(
            "{}: {}\n want {} {:?} {:#}\n have {status} {warnings:?} {answer:#}\n",
            case.name, case.send, case.status, case.warnings, want
        ))
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_of_the_table_is_answered_as_a_kube_apiserver_does() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let (mut total, mut failures) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let cases: Vec<Case> = serde_saphyr::from_str(&text).unwrap();
        let mut replay = Replay {
            server: ApiServer::builder().build(),
            kept: BTreeMap::new(),
        };
        for case in &cases {
            total += 1;
            if let Err(failure) = replay.check(case).await {
                failures.push(format!(
                    "{}: {failure}",
                    file.file_name().unwrap().to_string_lossy()
                ));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {total} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(total >= 120, "the table has {total} requests");
}
