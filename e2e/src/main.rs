//! `weir-e2e`: suites that run against a real cluster.
//!
//! `weir-e2e SUITE --kubeconfig FILE` prints one line per failure and ends with
//! `N passed, N failed`; the exit code says whether anything failed. A suite is a file in `suite/`
//! and a row in its list.

#![allow(clippy::print_stdout, reason = "a runner's output is its purpose")]

mod args;
mod context;
mod ground;
mod report;
mod suite;

use std::process::ExitCode;

use anyhow::Result;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(report) => {
            println!("{report}");
            ExitCode::from(u8::from(!report.is_good()))
        }
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<report::Report> {
    // One provider of cryptography for every TLS connection of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let args = args::parse();
    let context = context::Context::connect(&args).await?;
    args.suite.run(&context).await
}
