//! Server-side apply and strategic merge of a pod template of some 20 KB.

use std::hint::black_box;

use jiff::Timestamp;
use serde_json::{Value, json};
use structural::apply::{self, FieldSet, Request};
use structural::{Schema, builtin, patch};

fn main() {
    divan::main();
}

fn schema() -> &'static Schema {
    builtin::kind_of("apps/v1", "Deployment")
        .expect("a built-in kind")
        .schema()
}

fn deployment(image: &str) -> Value {
    let container = |index: usize| {
        let env: Value = (0..40)
            .map(|n| json!({ "name": format!("VARIABLE_{n}"), "value": "v" }))
            .collect();
        json!({ "name": format!("c{index}"), "image": image, "env": env, "ports": [{ "containerPort": 80 }] })
    };
    let containers: Value = (0..10).map(container).collect();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "d", "namespace": "n" },
        "spec": { "replicas": 1, "template": { "spec": { "containers": containers } } },
    })
}

fn request(ignored: &FieldSet) -> Request<'_> {
    Request {
        schema: schema(),
        api_version: "apps/v1",
        kind: "Deployment",
        manager: "bench",
        subresource: None,
        now: Timestamp::UNIX_EPOCH,
        ignored,
    }
}

#[divan::bench]
fn server_side_apply(bencher: divan::Bencher<'_, '_>) {
    let ignored = FieldSet::new();
    let live = apply::apply(&request(&ignored), None, &deployment("a:1"), false);
    let live = live.expect("no conflict").object;
    let config = deployment("a:2");
    bencher
        .bench_local(|| apply::apply(&request(&ignored), Some(black_box(&live)), &config, false));
}

#[divan::bench]
fn note_an_update(bencher: divan::Bencher<'_, '_>) {
    let ignored = FieldSet::new();
    let live = apply::record_update(&request(&ignored), None, deployment("a:1"));
    let new = deployment("a:2");
    bencher.bench_local(|| apply::record_update(&request(&ignored), Some(&live), new.clone()));
}

#[divan::bench]
fn strategic_merge(bencher: divan::Bencher<'_, '_>) {
    let (live, change) = (deployment("a:1"), deployment("a:2"));
    bencher.bench_local(|| patch::strategic(black_box(&live), &change, schema()));
}
