//! A JSON document from a web server (rollouts.md §4.9).

mod answer;
mod request;

use super::measurement::error;
use super::oauth2::{self, Credentials};
use super::step::Step;
use api::{Metric, WebMetric};
use jiff::Timestamp;
use plan::{Answer, HttpRequest};
use serde_json::{Value, json};

/// What a step looks at.
pub(super) struct Cx<'a> {
    pub(super) metric: &'a Metric,
    pub(super) spec: &'a WebMetric,
    pub(super) now: Timestamp,
}

/// What was sent last; kept in the memo.
const TOKEN: &str = "token";
const TOKEN_BY_FORM: &str = "token-by-form";
const DOCUMENT: &str = "document";

/// An OAuth2 token if one is wanted, then the document.
pub(super) fn step(cx: &Cx<'_>, memo: &Value, answer: Option<Answer>) -> Step {
    match advance(cx, memo, answer) {
        Ok(step) => step,
        Err(message) => Step::Done(error(memo, cx.now, message)),
    }
}

fn advance(cx: &Cx<'_>, memo: &Value, answer: Option<Answer>) -> Result<Step, String> {
    let token_request = |credentials| {
        let config = &cx.spec.authentication.oauth2;
        oauth2::token_request(config, cx.spec.insecure == Some(true), credentials)
    };
    let Some(sent) = memo.get("sent").and_then(Value::as_str) else {
        // The settings are looked at before anything is sent.
        answer::path(cx.spec)?;
        let document = request::document(cx.spec, None)?;
        return match token_request(Credentials::InHeader)? {
            Some(request) => Ok(send(memo, TOKEN, request)),
            None => Ok(send(memo, DOCUMENT, document)),
        };
    };
    let Some(Answer::Http(answers)) = answer else {
        return Err("the request was interrupted".to_owned());
    };
    let answer = answers.into_iter().next();
    let answer = answer.ok_or_else(|| "the request got no answer".to_owned())?;
    if sent == TOKEN
        && oauth2::is_refusal(&answer)
        && let Some(request) = token_request(Credentials::InForm)?
    {
        return Ok(send(memo, TOKEN_BY_FORM, request));
    }
    if matches!(sent, TOKEN | TOKEN_BY_FORM) {
        let token = oauth2::token(&cx.spec.authentication.oauth2, &answer)?;
        let document = request::document(cx.spec, Some(&token))?;
        return Ok(send(memo, DOCUMENT, document));
    }
    answer::measure(cx, memo, answer).map(Step::Done)
}

fn send(memo: &Value, sent: &str, request: HttpRequest) -> Step {
    let mut memo = memo.clone();
    memo["sent"] = json!(sent);
    Step::Send {
        requests: vec![request],
        memo,
    }
}
