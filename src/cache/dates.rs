//! Times of Rollouts, in whole seconds.
//!
//! Kubernetes writes them so, and so does the text that a packed object is. What a user writes by
//! hand, `restartAt` above all, may have fractions, and is stored with them: they are left out when
//! the object is taken over, so that a plan does not depend on whether it was packed in between.
//! Pods are dated by whole seconds as well.

use api::Rollout;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Leaves out the fractions of all times of a Rollout.
pub(super) fn whole_seconds(rollout: &mut Rollout) {
    rollout.spec.restart_at.iter_mut().for_each(whole);
    if let Some(status) = &mut rollout.status {
        status.times_mut().for_each(whole);
    }
}

fn whole(time: &mut Time) {
    if let Ok(seconds) = Timestamp::from_second(time.0.as_second()) {
        time.0 = seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::slim::slim;
    use crate::cache::stored::Stored;
    use serde_json::{Map, Value, json};

    /// A value of a schema in which every field is set, and every time has fractions.
    fn full(schema: &Value) -> Value {
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return json!("25%");
        }
        match schema["type"].as_str().unwrap_or_default() {
            "string" if schema["format"] == "date-time" => json!("2026-01-01T10:00:00.123456789Z"),
            "string" => json!("text"),
            "boolean" => json!(true),
            "integer" => json!(7),
            "number" => json!(0.5),
            "array" => json!([full(&schema["items"])]),
            _ => {
                let fields = schema["properties"].as_object().into_iter().flatten();
                let mut all: Map<String, Value> = fields
                    .map(|(field, schema)| (field.clone(), full(schema)))
                    .collect();
                if schema["additionalProperties"].is_object() {
                    let value = full(&schema["additionalProperties"]);
                    all.insert("key".to_owned(), value);
                }
                Value::Object(all)
            }
        }
    }

    #[test]
    fn no_field_of_a_rollout_is_changed_by_packing() {
        let definitions = deploy::crds();
        let definition = definitions
            .iter()
            .find(|one| one["spec"]["names"]["kind"] == "Rollout");
        let schema = &definition.unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut object = full(schema);
        object["metadata"] = json!({"name": "app", "namespace": "ns", "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z"});
        // Words of sets that the definition leaves open.
        object["status"]["pauseConditions"][0]["reason"] = json!("CanaryPauseStep");
        object["status"]["canary"]["stepPluginStatuses"][0]["operation"] = json!("Run");
        let Stored::Read { object, .. } = Stored::<Rollout>::read(&object.to_string()) else {
            panic!("what does not fit is left out");
        };
        let rollout = slim(object);
        let status = rollout.status.as_ref().unwrap();
        assert!(rollout.spec.restart_at.is_some() && status.aborted_at.is_some());
        assert!(!status.conditions.is_empty() && !status.pause_conditions.is_empty());
        assert!(!status.canary.step_plugin_statuses.is_empty() && status.duration.is_some());
        let packed = serde_json::to_string(&rollout).unwrap();
        let unpacked: Rollout = serde_json::from_str(&packed).unwrap();
        assert_eq!(unpacked.metadata, rollout.metadata);
        assert_eq!(unpacked.spec, rollout.spec);
        assert_eq!(unpacked.status, rollout.status);
    }

    #[test]
    fn a_time_keeps_its_second() {
        let mut rollout = Rollout::default();
        rollout.spec.restart_at = Some(Time("2026-01-01T10:00:00.999Z".parse().unwrap()));
        whole_seconds(&mut rollout);
        let restart_at = rollout.spec.restart_at.unwrap().0;
        assert_eq!(restart_at.to_string(), "2026-01-01T10:00:00Z");
    }
}
