//! Success and failure conditions (rollouts.md §4.6).

use api::{AnalysisPhase, Metric};
use expr::{Env, Program, Value, limits};
use jiff::Timestamp;

/// Whether the answer of a provider, as JSON, has no more values than a condition may deal with;
/// the error is a sentence. They would take many times the memory of the text.
pub(super) fn check_size(json: &[u8]) -> Result<(), String> {
    if limits::values_at_most(json) > limits::MEMORY {
        let most = limits::MEMORY;
        return Err(format!("the answer has more than {most} JSON values"));
    }
    Ok(())
}

/// The phase of a measurement with this result. The error is the sentence of an Error measurement.
pub(super) fn evaluate(
    metric: &Metric,
    result: &Value,
    now: Timestamp,
) -> Result<AnalysisPhase, String> {
    let env = Env::condition(result.clone(), now);
    let condition = |text: &Option<String>, name: &str| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        text.map(|text| holds(text, name, &env)).transpose()
    };
    let success = condition(&metric.success_condition, "successCondition")?;
    let failure = condition(&metric.failure_condition, "failureCondition")?;
    Ok(match (success, failure) {
        (_, Some(true)) | (Some(false), None) => AnalysisPhase::Failed,
        (Some(false), Some(false)) => AnalysisPhase::Inconclusive,
        _ => AnalysisPhase::Successful,
    })
}

fn holds(text: &str, name: &str, env: &Env) -> Result<bool, String> {
    let answer = Program::compile(text, env)
        .map_err(words)
        .and_then(|program| {
            let value = program.run(env).map_err(words)?;
            match value {
                Value::Bool(holds) => Ok(holds),
                other => Err(format!(
                    "expected bool, but got {}",
                    program.go_type(&other)
                )),
            }
        });
    answer.map_err(|error| {
        let reason = if env.result.is_empty() {
            "metric result is nil or empty: no data returned from the metric provider"
        } else {
            error.as_str()
        };
        format!("could not evaluate {name} \"{text}\": {reason}")
    })
}

/// What is wrong, without the drawing of its place: a message of a status is one line, and the
/// expression stands in it already. Nothing is changed in it, so that secrets are still found.
fn words(error: expr::Error) -> String {
    error.message
}

/// A time of a range query, from an expression.
pub(super) fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let env = Env::time(now);
    let program = Program::compile(text, &env).map_err(words)?;
    match program.run(&env).map_err(words)? {
        Value::Time(time) => Ok(time.timestamp()),
        other => Err(format!(
            "expected time.Time, but got {}",
            program.go_type(&other)
        )),
    }
}
