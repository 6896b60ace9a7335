//! Tasks of the repository: `cargo xtask --help`.

#![allow(clippy::print_stderr, reason = "a task's output is its purpose")]

mod bench;
mod crds;
mod deploy;
mod sim;
mod tidy;
mod timeline;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the repository")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure the controller with many Rollouts on a real control plane (needs Go and root)
    Bench(bench::Args),
    /// Write the CustomResourceDefinitions of crates/api to crds/
    Crds(crds::Args),
    /// Write the generated files of deploy/
    Deploy(deploy::Args),
    /// Play scenarios against the planner, with everything that can go wrong
    Sim(sim::Args),
    /// Play a timeline scenario, and say how it differs from a recording
    Timeline(timeline::Args),
    /// Check crate edges, purity, files, the code map, fuzz targets, the CRDs and deploy/
    Tidy,
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Bench(args) => bench::run(&args),
        Task::Crds(args) => crds::run(&args),
        Task::Deploy(args) => deploy::run(&args),
        Task::Sim(args) => sim::run(&args),
        Task::Timeline(args) => timeline::run(&args),
        Task::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
