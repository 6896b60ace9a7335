use super::*;
use serde_json::{Value, json};

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A template that is already in canonical form comes out as it went in.
fn assert_canonical(text: &str, hash: &str) {
    assert_eq!(canonical_template(&read(text)), text);
    assert_eq!(pod_template_hash(&read(text), None), hash);
}

#[test]
fn empty_template_has_known_hashes() {
    let template = json!({});
    assert_eq!(
        canonical_template(&template),
        r#"{"metadata":{},"spec":{"containers":null}}"#
    );
    assert_eq!(pod_template_hash(&template, None), "658c46c486");
    assert_eq!(pod_template_hash(&template, Some(0)), "6f9d9db974");
    assert_eq!(pod_template_hash(&template, Some(1)), "6746d5bbc");
}

#[test]
fn templates_have_the_hashes_of_the_spec() {
    let foo = r#"{"metadata":{"labels":{"app":"foo"}},"spec":{"containers":[{"name":"foo","image":"nginx","resources":{}}]}}"#;
    assert_canonical(foo, "658c55b968");
    assert_eq!(pod_template_hash(&read(foo), Some(1)), "9d99bff77");
    assert_canonical(
        r#"{"metadata":{"labels":{"app":"canary-scaledowndelay"}},"spec":{"containers":[{"name":"canary-scaledowndelay","image":"nginx:1.19-alpine","ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],"resources":{"requests":{"cpu":"5m","memory":"16Mi"}}}]}}"#,
        "674d8cf959",
    );
    assert_canonical(
        r#"{"metadata":{"labels":{"app":"dynamic-stable-scale"}},"spec":{"containers":[{"name":"dynamic-stable-scale","image":"nginx:1.19-alpine","ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],"resources":{"requests":{"cpu":"5m","memory":"16Mi"}}}],"readinessGates":[{"conditionType":"argoproj.io/e2e-readiness"}]}}"#,
        "6b56c8cdb4",
    );
    assert_canonical(
        r#"{"metadata":{"labels":{"a":"1","b":"2"},"annotations":{"x":"\u003c\u0026\u003e\u2028é"}},"spec":{"volumes":[{"name":"v","emptyDir":{}},{"name":"p","projected":{"sources":[{"configMap":{"name":"cm"}}]}}],"containers":[{"name":"c","image":"nginx:1.19-alpine","args":["a\u003cb","c\u0026d"],"ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],"env":[{"name":"A"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],"resources":{"limits":{"cpu":"2","memory":"1G","nvidia.com/gpu":"1"},"requests":{"cpu":"500m","memory":"1Gi"}},"volumeMounts":[{"name":"v","mountPath":"/v"}],"readinessProbe":{"httpGet":{"path":"/","port":80},"initialDelaySeconds":10,"periodSeconds":30}}],"terminationGracePeriodSeconds":0,"securityContext":{},"affinity":{}}}"#,
        "db485d744",
    );
}

#[test]
fn order_spelling_and_unknown_fields_do_not_matter() {
    let plain = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}]}});
    let noisy = json!({
        "spec": {
            "hostNetwork": false,
            "containers": [{
                "resources": {"limits": {"memory": "1024Mi", "cpu": 0.5}},
                "name": "c", "stdin": false, "ports": [], "sparkle": 3, "env": null,
            }],
        },
        "metadata": {"creationTimestamp": null, "labels": {}},
    });
    assert_eq!(canonical_template(&plain), canonical_template(&noisy));
}

#[test]
fn wrong_types_count_as_absent() {
    let wrong = json!({"metadata": 3, "spec": {"containers": "none", "priority": "high"}});
    assert_eq!(
        canonical_template(&wrong),
        r#"{"metadata":{},"spec":{"containers":null}}"#
    );
}

fn assert_steps(text: &str, hash: &str) {
    assert_eq!(canonical_steps(Some(&read(text))), text);
    assert_eq!(step_hash(Some(&read(text))), hash);
}

#[test]
fn steps_have_the_hashes_of_the_spec() {
    assert_eq!(step_hash(None), "5ffbfbbd64");
    assert_steps("[]", "5f8cb5778f");
    assert_steps(r#"[{"setWeight":20},{"pause":{}}]"#, "54649b9f5c");
    assert_steps(
        r#"[{"setWeight":10},{"pause":{"duration":"30s"}},{"pause":{"duration":30}}]"#,
        "69c8758685",
    );
    assert_steps(
        r#"[{"setCanaryScale":{"replicas":3}},{"setCanaryScale":{"weight":25}},{"setCanaryScale":{"matchTrafficWeight":true}}]"#,
        "55f7f75868",
    );
    assert_steps(
        r#"[{"analysis":{"templates":[{"templateName":"a"}],"args":[{"name":"x","value":"true"}]}},{"experiment":{"templates":[{"name":"b","specRef":"stable","metadata":{}}],"analysisRunMetadata":{}}}]"#,
        "7fb7745c48",
    );
    assert_steps(
        r#"[{"setHeaderRoute":{"name":"h","match":[{"headerName":"X","headerValue":{"exact":"true"}}]}},{"setMirrorRoute":{"name":"m","match":[{"path":{"prefix":"/"}}],"percentage":10}},{"plugin":{"name":"a/b","config":{"a":"\u003cb\u003e","z":1}}}]"#,
        "69595584b8",
    );
}
