//! Success and failure conditions (rollouts.md §4.6).

use api::{AnalysisPhase, Metric};
use expr::{Env, Program, Value};
use gocompat::number;
use jiff::Timestamp;

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
        .map_err(|error| error.to_string())
        .and_then(|program| {
            let value = program.run(env).map_err(|error| error.to_string())?;
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
        format!(
            "could not evaluate {name} {}: {reason}",
            number::quote(text)
        )
    })
}

/// A time of a range query, from an expression.
pub(super) fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let env = Env::time(now);
    let program = Program::compile(text, &env).map_err(|error| error.to_string())?;
    match program.run(&env).map_err(|error| error.to_string())? {
        Value::Time(time) => Ok(time.timestamp()),
        other => Err(format!(
            "expected time.Time, but got {}",
            program.go_type(&other)
        )),
    }
}
