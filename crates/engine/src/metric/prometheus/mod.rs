//! Queries of a Prometheus server (rollouts.md §4.9).

mod answer;
mod request;
mod signing;

use super::measurement::error;
use super::oauth2::{self, Credentials};
use super::step::Step;
use api::{Metric, PrometheusMetric};
use jiff::Timestamp;
use plan::{Answer, HttpAnswer};
use serde_json::{Value, json};

/// What a step looks at.
pub(super) struct Cx<'a> {
    pub(super) metric: &'a Metric,
    pub(super) spec: &'a PrometheusMetric,
    /// `prometheusAddress`: what the operator set for metrics without an address.
    pub(super) context: &'a Value,
    pub(super) now: Timestamp,
}

/// What was sent last; kept in the memo.
const TOKEN: &str = "token";
const TOKEN_BY_FORM: &str = "token-by-form";
const POST: &str = "post";
const GET: &str = "get";

/// An OAuth2 token if one is wanted, then the query as POST, then as GET if POST is not allowed.
pub(super) fn step(cx: &Cx<'_>, memo: &Value, answer: Option<Answer>) -> Step {
    match advance(cx, memo.clone(), answer) {
        Ok(step) => step,
        Err(message) => Step::Done(error(memo, cx.now, message)),
    }
}

fn advance(cx: &Cx<'_>, memo: Value, answer: Option<Answer>) -> Result<Step, String> {
    let token_request = |credentials| {
        let config = &cx.spec.authentication.oauth2;
        oauth2::token_request(config, cx.spec.insecure == Some(true), credentials)
    };
    let sent = memo.get("sent").and_then(Value::as_str);
    let Some(sent) = sent.map(str::to_owned) else {
        request::check(cx)?;
        return match token_request(Credentials::InHeader)? {
            Some(request) => Ok(send(memo, TOKEN, request)),
            None => query(cx, memo, POST),
        };
    };
    let Some(Answer::Http(answers)) = answer else {
        return Err("the query was interrupted".to_owned());
    };
    let answer = answers.into_iter().next();
    let answer = answer.ok_or_else(|| "the query got no answer".to_owned())?;
    if sent == TOKEN
        && oauth2::is_refusal(&answer)
        && let Some(request) = token_request(Credentials::InForm)?
    {
        return Ok(send(memo, TOKEN_BY_FORM, request));
    }
    if matches!(sent.as_str(), TOKEN | TOKEN_BY_FORM) {
        let mut memo = memo;
        memo["token"] = json!(oauth2::token(&cx.spec.authentication.oauth2, &answer)?);
        return query(cx, memo, POST);
    }
    let retried = matches!(
        answer,
        HttpAnswer::Response {
            status: 405 | 501,
            ..
        }
    );
    if sent == POST && retried {
        return query(cx, memo, GET);
    }
    let method = if sent == POST { "Post" } else { "Get" };
    answer::measure(cx, &memo, method, answer).map(Step::Done)
}

fn query(cx: &Cx<'_>, memo: Value, method: &str) -> Result<Step, String> {
    let token = memo.get("token").and_then(Value::as_str).map(str::to_owned);
    let request = request::query(cx, method == GET, token.as_deref())?;
    Ok(send(memo, method, request))
}

fn send(memo: Value, sent: &str, request: plan::HttpRequest) -> Step {
    let mut memo = memo;
    memo["sent"] = json!(sent);
    Step::Send {
        requests: vec![request],
        memo,
    }
}
