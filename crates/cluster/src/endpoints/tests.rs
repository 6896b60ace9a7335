use super::*;

fn service() -> Service {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "s", "labels": { "team": "a" } },
        "spec": { "selector": { "app": "web" }, "ports": [{ "name": "http", "port": 80, "targetPort": "web" }] },
    }))
    .unwrap()
}

fn pod(n: usize, port: i32) -> Arc<Pod> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": { "name": format!("p{n:03}"), "namespace": "default", "uid": format!("u{n:03}") },
            "spec": { "nodeName": "n1", "containers": [{ "name": "a", "ports": [{ "name": "web", "containerPort": port }] }] },
            "status": { "phase": "Running", "podIP": format!("10.0.{}.{}", n / 250, n % 250),
                        "conditions": [{ "type": "Ready", "status": "True" }] },
        }))
        .unwrap(),
    )
}

fn run(pods: &[Arc<Pod>], slices: &[Arc<EndpointSlice>]) -> Vec<Write> {
    let service = service();
    let view = View {
        service: &service,
        pods,
        slices,
        endpoints: None,
    };
    let step = step(&view, Timestamp::UNIX_EPOCH);
    let of_slices = |write: &Write| match write {
        Write::Create { kind, .. } | Write::Update { kind, .. } => *kind == Kind::ENDPOINT_SLICE,
        _ => true,
    };
    step.writes.into_iter().filter(of_slices).collect()
}

/// The slices as they are after the writes.
fn carried_out(writes: &[Write], live: &[Arc<EndpointSlice>]) -> Vec<Arc<EndpointSlice>> {
    let mut slices = live.to_vec();
    for (n, write) in writes.iter().enumerate() {
        match write {
            Write::Create { object, .. } => {
                let mut slice: EndpointSlice = serde_json::from_value(object.clone()).unwrap();
                slice.metadata.name = Some(format!("web-{}{n}", live.len()));
                slices.push(Arc::new(slice));
            }
            Write::Update { object, .. } => {
                let slice: EndpointSlice = serde_json::from_value(object.clone()).unwrap();
                let at = slices
                    .iter()
                    .position(|s| s.metadata.name == slice.metadata.name)
                    .unwrap();
                slices[at] = Arc::new(slice);
            }
            Write::Delete { target, .. } => {
                slices.retain(|slice| slice.metadata.name.as_ref() != Some(&target.name));
            }
            other => panic!("{other:?}"),
        }
    }
    slices
}

#[test]
fn slices_are_split_labelled_and_owned() {
    let pods: Vec<_> = (0..250).map(|n| pod(n, 8080)).collect();
    let writes = run(&pods, &[]);
    let slices = carried_out(&writes, &[]);
    let sizes: Vec<_> = slices.iter().map(|slice| slice.endpoints.len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    let labels = slices[0].metadata.labels.as_ref().unwrap();
    assert_eq!(
        (labels["team"].as_str(), labels[SERVICE_LABEL].as_str()),
        ("a", "web")
    );
    assert_eq!(slices[0].ports.as_ref().unwrap()[0].port, Some(8080));
    assert!(run(&pods, &slices).is_empty(), "at rest");
}

#[test]
fn only_the_slice_that_changes_is_written() {
    let mut pods: Vec<_> = (0..150).map(|n| pod(n, 8080)).collect();
    let slices = carried_out(&run(&pods, &[]), &[]);
    pods.remove(3);
    let writes = run(&pods, &slices);
    assert_eq!(writes.len(), 1);
    pods.push(pod(500, 8080));
    let writes = run(&pods, &slices);
    assert_eq!(
        writes.len(),
        1,
        "the newcomer takes the place that became free"
    );
}

#[test]
fn named_ports_that_differ_make_slices_of_their_own() {
    let slices = carried_out(&run(&[pod(0, 8080), pod(1, 9090)], &[]), &[]);
    let ports: Vec<_> = slices
        .iter()
        .map(|slice| slice.ports.as_ref().unwrap()[0].port)
        .collect();
    assert_eq!(ports, [Some(8080), Some(9090)]);
}

#[test]
fn terminating_and_finished_pods() {
    let mut terminating = Arc::unwrap_or_clone(pod(0, 8080));
    terminating.metadata.deletion_timestamp = Some(meta::time(Timestamp::UNIX_EPOCH));
    let mut finished = Arc::unwrap_or_clone(pod(1, 8080));
    finished.status.as_mut().unwrap().phase = Some("Succeeded".to_owned());
    let slices = carried_out(&run(&[Arc::new(terminating), Arc::new(finished)], &[]), &[]);
    assert_eq!(slices[0].endpoints.len(), 1);
    let conditions = slices[0].endpoints[0].conditions.as_ref().unwrap();
    assert_eq!(
        (conditions.ready, conditions.serving, conditions.terminating),
        (Some(false), Some(true), Some(true))
    );
}

#[test]
fn a_service_without_pods_has_one_empty_slice() {
    let slices = carried_out(&run(&[], &[]), &[]);
    assert_eq!((slices.len(), slices[0].endpoints.len()), (1, 0));
    assert!(run(&[], &slices).is_empty());
    let filled = carried_out(&run(&[pod(0, 8080)], &slices), &slices);
    assert_eq!(filled.len(), 1, "{filled:#?}");
}

/// The Endpoints that a step makes.
fn made(service: &Service, pods: &[Arc<Pod>]) -> Endpoints {
    let view = View {
        service,
        pods,
        slices: &[],
        endpoints: None,
    };
    let step = step(&view, Timestamp::UNIX_EPOCH);
    let object = step.writes.into_iter().find_map(|write| match write {
        Write::Create { kind, object } if kind == Kind::ENDPOINTS => Some(object),
        _ => None,
    });
    serde_json::from_value(object.unwrap()).unwrap()
}

#[test]
fn a_pod_without_the_named_port_is_in_no_subset() {
    let other: Pod = serde_json::from_value(json!({
        "metadata": { "name": "other", "uid": "other" },
        "spec": { "containers": [{ "name": "a" }] },
        "status": { "phase": "Running", "podIP": "10.0.9.9",
                    "conditions": [{ "type": "Ready", "status": "True" }] },
    }))
    .unwrap();
    let other = Arc::new(other);
    let endpoints = made(&service(), &[pod(0, 8080), Arc::clone(&other)]);
    let subsets = endpoints.subsets.unwrap();
    assert_eq!(subsets.len(), 1);
    assert_eq!(subsets[0].addresses.as_ref().unwrap().len(), 1);
    assert!(made(&service(), &[Arc::clone(&other)]).subsets.is_none());
    let mut headless = service();
    let spec = headless.spec.as_mut().unwrap();
    spec.ports = None;
    spec.cluster_ip = Some("None".to_owned());
    let subsets = made(&headless, &[other]).subsets.unwrap();
    assert!(subsets[0].ports.is_none(), "no ports are listed");
    assert_eq!(subsets[0].addresses.as_ref().unwrap()[0].ip, "10.0.9.9");
}

#[test]
fn what_a_service_leaves_behind_goes_unless_somebody_else_made_it() {
    let mut endpoints = made(&service(), &[pod(0, 8080)]);
    let step = leftover(&endpoints).unwrap();
    let [Write::Delete { target, .. }] = &step.writes[..] else {
        panic!("{step:?}");
    };
    assert_eq!(
        (&target.kind, target.name.as_str()),
        (&Kind::ENDPOINTS, "web")
    );
    endpoints.metadata.labels = None;
    assert_eq!(leftover(&endpoints), None);
}
