//! The request table of the embedded API server, replayed against a real one whose controllers run.

use std::path::Path;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use conformance::{Answer, Leftovers, Replay, Server, Which, read_table, record};
use http::Request;
use http_body_util::BodyExt as _;
use kube::Client;

use crate::context::Context;
use crate::report::Report;

struct Real(Client);

impl Server for Real {
    async fn send(&self, request: Request<Bytes>) -> Result<Answer, String> {
        let response = self.0.send(request.map(kube::client::Body::from)).await;
        let (parts, body) = response.map_err(|error| error.to_string())?.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }
}

/// Each file starts and ends without anything that it makes.
pub(super) async fn run(context: &Context) -> Result<Report> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/apiserver/tests/conformance");
    let server = Real(context.client.clone());
    let mut report = Report::default();
    let wanted = |name: &str| name.contains(&context.args.only);
    for file in read_table(&folder)? {
        let name = file.name();
        if !wanted(&name) {
            continue;
        }
        let leftovers = Leftovers::of(&file);
        let clean = || async {
            let removed = leftovers.remove(&server).await;
            removed.map_err(|why| anyhow!("{name}: {why}"))
        };
        clean().await?;
        if context.args.record {
            let count = record(&file, &server).await?;
            println!("{name}: {count} recorded");
        } else {
            let mut replay = Replay::new(&server, Which::Real);
            for case in &file.cases {
                match replay.check(case).await {
                    Ok(()) => report.pass(),
                    Err(difference) => report.fail(&format_args!("{name}: {difference}")),
                }
            }
        }
        clean().await?;
    }
    Ok(report)
}
