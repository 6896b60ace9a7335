use super::{check_table, complaint};
use serde_json::{Value, json};

/// The spec with this pod.
fn pod(spec: Value) -> Value {
    json!({"template": {"spec": spec}})
}

/// The spec with one container that has these fields.
fn container(fields: Value) -> Value {
    let mut container = json!({"name": "web", "image": "web:1"});
    super::merge(&mut container, &fields);
    pod(json!({"containers": [container]}))
}

#[test]
fn labels_and_annotations() {
    check_table([
        (
            json!({"template": {"metadata": {"labels": {"app": "other"}}}}),
            "spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: `selector` does \
             not match template `labels`",
        ),
        (
            json!({"template": {"metadata": {"labels": {"tier": "a b"}}}}),
            "spec.template.metadata.labels: Invalid value: \"a b\": a valid label must be an empty \
             string or consist of alphanumeric characters, '-', '_' or '.', and must start and end \
             with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
             used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
        (
            json!({"template": {"metadata": {"annotations": {"/note": "x"}}}}),
            "spec.template.metadata.annotations: Invalid value: \"/note\": prefix part must be \
             non-empty",
        ),
        (
            json!({"template": {"metadata": {"annotations": {"Example.com/Note": "a b"}}}}),
            "",
        ),
    ]);
}

#[test]
fn containers_have_names_and_images() {
    let two = |second: &str| {
        pod(json!({"containers": [
            {"name": "web", "image": "web:1"}, {"name": second, "image": "web:1"},
        ]}))
    };
    check_table([
        (
            pod(json!({"containers": []})),
            "spec.template.spec.containers: Required value",
        ),
        (
            json!({"template": {"spec": null}}),
            "spec.template.spec.containers: Required value",
        ),
        (
            pod(json!({"containers": [{"image": "web:1"}]})),
            "spec.template.spec.containers[0].name: Required value",
        ),
        (
            pod(json!({"containers": [{"name": "web", "image": ""}]})),
            "spec.template.spec.containers[0].image: Required value",
        ),
        (
            two("web"),
            "spec.template.spec.containers[1].name: Duplicate value: \"web\"",
        ),
        (
            two("a.b"),
            "spec.template.spec.containers[1].name: Invalid value: \"a.b\": must not contain dots",
        ),
        (
            two("Web"),
            "spec.template.spec.containers[1].name: Invalid value: \"Web\": a lowercase RFC 1123 \
             label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
             validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ),
        (
            container(json!({"imagePullPolicy": "Sometimes"})),
            "spec.template.spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": \
             supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ),
    ]);
}

#[test]
fn init_containers_share_the_names_and_have_no_probes() {
    let init = |container: Value| pod(json!({"initContainers": [container]}));
    let probe = json!({"tcpSocket": {"port": 80}});
    check_table([
        (
            init(json!({"name": "web", "image": "x"})),
            "spec.template.spec.initContainers[0].name: Duplicate value: \"web\"",
        ),
        (
            init(json!({"name": "init"})),
            "spec.template.spec.initContainers[0].image: Required value",
        ),
        (
            init(json!({"name": "init", "image": "x", "readinessProbe": probe})),
            "spec.template.spec.initContainers[0].readinessProbe: Forbidden: may not be set for \
             init containers without restartPolicy=Always",
        ),
        (
            init(json!({
                "name": "init", "image": "x", "restartPolicy": "Always", "readinessProbe": probe,
            })),
            "",
        ),
    ]);
}

#[test]
fn ports() {
    let port = |port: Value| container(json!({"ports": [port]}));
    check_table([
        (
            port(json!({"name": "http"})),
            "spec.template.spec.containers[0].ports[0].containerPort: Required value",
        ),
        (
            port(json!({"containerPort": 70000})),
            "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 70000: must \
             be between 1 and 65535, inclusive",
        ),
        (
            port(json!({"containerPort": 80, "hostPort": -1})),
            "spec.template.spec.containers[0].ports[0].hostPort: Invalid value: -1: must be \
             between 1 and 65535, inclusive",
        ),
        (
            port(json!({"containerPort": "80"})),
            "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: \"80\": must \
             be an integer",
        ),
        (
            port(json!({"containerPort": 80, "protocol": "HTTP"})),
            "spec.template.spec.containers[0].ports[0].protocol: Unsupported value: \"HTTP\": \
             supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
        (
            container(json!({"ports": [
                {"name": "http", "containerPort": 80}, {"name": "http", "containerPort": 81},
            ]})),
            "spec.template.spec.containers[0].ports[1].name: Duplicate value: \"http\"",
        ),
        (
            port(json!({"name": "http", "containerPort": 80, "protocol": "UDP"})),
            "",
        ),
    ]);
}

#[test]
fn names_of_ports() {
    for (name, words) in [
        ("a-name-that-is-long", "must be no more than 15 characters"),
        ("80", "must contain at least one letter (a-z)"),
        ("a--b", "must not contain consecutive hyphens"),
        ("-a", "must not begin or end with a hyphen"),
        (
            "Web",
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
    ] {
        let spec = container(json!({"ports": [{"name": name, "containerPort": 80}]}));
        assert_eq!(
            complaint(&spec),
            format!(
                "spec.template.spec.containers[0].ports[0].name: Invalid value: \"{name}\": {words}"
            )
        );
    }
}

#[test]
fn environment_and_mounts() {
    let web = "spec.template.spec.containers[0]";
    for (fields, words) in [
        (
            json!({"env": [{"value": "x"}]}),
            "env[0].name: Required value",
        ),
        (
            json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {}}}]}),
            "env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {}}]}),
            "env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, \
             `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {}, "secretKeyRef": {}}}]}),
            "env[0].valueFrom: Invalid value: \"\": may not have more than one field specified at \
             a time",
        ),
        (
            json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}),
            "volumeMounts[0].name: Not found: \"data\"",
        ),
    ] {
        assert_eq!(complaint(&container(fields)), format!("{web}.{words}"));
    }
}

#[test]
fn volumes() {
    let with = |mounts: Value| {
        pod(json!({
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [{"name": "web", "image": "web:1", "volumeMounts": mounts}],
        }))
    };
    let mount = json!({"name": "data", "mountPath": "/data"});
    check_table([
        (with(json!([mount])), ""),
        (
            with(json!([{"name": "data"}])),
            "spec.template.spec.containers[0].volumeMounts[0].mountPath: Required value",
        ),
        (
            with(json!([mount, mount])),
            "spec.template.spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/data\": \
             must be unique",
        ),
        (
            pod(json!({"volumes": [{"name": "a"}, {"name": "a"}]})),
            "spec.template.spec.volumes[1].name: Duplicate value: \"a\"",
        ),
    ]);
}

#[test]
fn probes() {
    let web = "spec.template.spec.containers[0]";
    let get = json!({"path": "/health", "port": 8080});
    for (fields, words) in [
        (
            json!({"readinessProbe": {"periodSeconds": 5}}),
            "readinessProbe: Required value: must specify a handler type",
        ),
        (
            json!({"readinessProbe": {"httpGet": get, "tcpSocket": {"port": 80}}}),
            "readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ),
        (
            json!({"livenessProbe": {"httpGet": get, "successThreshold": 2}}),
            "livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            json!({"readinessProbe": {"httpGet": get, "periodSeconds": -5}}),
            "readinessProbe.periodSeconds: Invalid value: -5: must be greater than or equal to 0",
        ),
        (
            json!({"readinessProbe": {"httpGet": {"path": "/"}}}),
            "readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            json!({"startupProbe": {"exec": {}}}),
            "startupProbe.exec.command: Required value",
        ),
    ] {
        assert_eq!(complaint(&container(fields)), format!("{web}.{words}"));
    }
    let probe = json!({"httpGet": get, "initialDelaySeconds": 10, "periodSeconds": 5});
    check_table([
        (container(json!({"readinessProbe": probe})), ""),
        (
            container(json!({"readinessProbe": {"grpc": {"port": 9}, "successThreshold": 2}})),
            "",
        ),
    ]);
}

#[test]
fn resources() {
    let web = "spec.template.spec.containers[0].resources";
    for (resources, words) in [
        (
            json!({"requests": {"cpu": "2"}, "limits": {"cpu": "500m"}}),
            "requests: Invalid value: \"2\": must be less than or equal to cpu limit of 500m",
        ),
        (
            json!({"limits": {"memory": "-1Gi"}}),
            "limits.memory: Invalid value: \"-1Gi\": must be greater than or equal to 0",
        ),
        (
            json!({"requests": {"memory": "lots"}}),
            "requests.memory: Invalid value: \"lots\": quantities must match the regular \
             expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ] {
        let spec = container(json!({"resources": resources}));
        assert_eq!(complaint(&spec), format!("{web}.{words}"));
    }
    let fine = json!({"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": "1000m"}});
    check_table([(container(json!({"resources": fine})), "")]);
}

#[test]
fn settings_of_the_pod() {
    check_table([
        (
            pod(json!({"restartPolicy": "Never"})),
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \
             \"Always\"",
        ),
        (
            pod(json!({"dnsPolicy": "Mine"})),
            "spec.template.spec.dnsPolicy: Unsupported value: \"Mine\": supported values: \
             \"ClusterFirst\", \"ClusterFirstWithHostNet\", \"Default\", \"None\"",
        ),
        (
            pod(json!({"activeDeadlineSeconds": 5})),
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in \
             ReplicaSet is not Supported",
        ),
        (
            pod(json!({"terminationGracePeriodSeconds": -1})),
            "spec.template.spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater \
             than or equal to 0",
        ),
        (
            pod(json!({"restartPolicy": "Always", "serviceAccountName": "web"})),
            "",
        ),
    ]);
}

/// What has the wrong type is told, and never read as absent.
#[test]
fn wrong_types() {
    check_table([
        (
            pod(json!({"containers": "web"})),
            "spec.template.spec.containers: Invalid value: \"web\": must be a list",
        ),
        (
            pod(json!({"containers": ["web"]})),
            "spec.template.spec.containers[0]: Invalid value: \"web\": must be an object",
        ),
        (
            container(json!({"image": {"name": "web"}})),
            "spec.template.spec.containers[0].image: Invalid value: must be a string",
        ),
    ]);
    let odd = complaint(&container(
        json!({"securityContext": {"privileged": "yes"}}),
    ));
    assert!(odd.starts_with("spec.template: Invalid value: "), "{odd}");
}

/// A newer API server knows fields that this code does not.
#[test]
fn unknown_fields_are_no_mistake() {
    check_table([(container(json!({"futureField": {"x": 1}})), "")]);
}
