use super::{check_table, valid};
use api::Rollout;
use serde_json::json;

/// The acceptance Rollout verbatim: no selector and no template.
#[test]
fn the_rollout_without_a_selector_is_told_so() {
    let rollout: Rollout = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "backend"},
        "spec": {
            "replicas": 5,
            "strategy": {"canary": {"steps": [
                {"setWeight": 20}, {"pause": {"duration": "5m"}},
                {"setWeight": 40}, {"pause": {"duration": "5m"}},
                {"setWeight": 60}, {"pause": {"duration": "5m"}},
                {"setWeight": 80}, {"pause": {"duration": "5m"}},
            ]}},
        },
    }))
    .unwrap();
    let error = crate::validate::spec(&rollout).unwrap();
    assert_eq!(
        error.to_string(),
        "spec.selector: Required value: Rollout has missing field '.spec.selector'"
    );
    assert_eq!(error.path, "spec.selector");
}

/// A patch that Kustomize merged without knowing the merge key leaves a container without an
/// image.
#[test]
fn a_container_that_lost_its_image_is_refused() {
    check_table([(
        json!({"template": {"spec": {"containers": [
            {"name": "backend", "resources": {"limits": {"cpu": "500m"}}},
        ]}}}),
        "spec.template.spec.containers[0].image: Required value",
    )]);
}

#[test]
fn a_valid_rollout_is_valid() {
    let rollout: Rollout = serde_json::from_value(valid()).unwrap();
    assert_eq!(crate::validate::spec(&rollout), None);
    assert_eq!(crate::validate::stored(&rollout), None);
}
