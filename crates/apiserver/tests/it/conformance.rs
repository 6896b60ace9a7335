//! The table of requests (`tests/conformance/*.yaml`) on the embedded server, each file on a fresh
//! one, with the cluster's controllers taking every step they can between two requests.

use std::sync::Mutex;

use apiserver::ApiServer;
use bytes::Bytes;
use cluster::{Cluster, Options};
use conformance::{Answer, Replay, Server, Which, read_table};
use http::Request;
use http_body_util::{BodyExt as _, Full};

struct Embedded {
    server: ApiServer,
    cluster: Mutex<Cluster>,
}

impl Embedded {
    /// Without nodes, as the real control plane of the e2e runs: pods are made and stay pending.
    fn start() -> Self {
        let options = Options {
            nodes: Vec::new(),
            ..Options::default()
        };
        let embedded = Self {
            server: ApiServer::builder().build(),
            cluster: Mutex::new(Cluster::new(options)),
        };
        embedded.settle();
        embedded
    }

    fn settle(&self) {
        self.cluster.lock().unwrap().tick(&self.server);
    }
}

impl Server for Embedded {
    async fn send(&self, request: Request<Bytes>) -> Result<Answer, String> {
        self.settle();
        let response = self.server.handle(request.map(Full::new)).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_of_the_table_is_answered_as_a_kube_apiserver_does() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let (mut total, mut failures) = (0, Vec::new());
    for file in read_table(&folder).unwrap() {
        let embedded = Embedded::start();
        let mut replay = Replay::new(&embedded, Which::Embedded);
        for case in &file.cases {
            total += 1;
            if let Err(difference) = replay.check(case).await {
                failures.push(format!("{}: {}\n{difference}", file.name(), case.name));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {total} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(total >= 600, "the table has {total} requests");
}
