//! The planner against a world of maps: recorded timelines, golden vectors, crashes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers may fail loudly; clippy exempts only the tests themselves"
)]

mod abort_delay;
mod aborted_sizes;
mod aborted_weights;
mod adversity;
mod analyses;
mod background;
mod bad_input;
mod bytes;
mod combinations;
mod compare;
mod crash;
mod deadlines;
mod differences;
mod differing_routers;
mod edited_totals;
mod experiment_services;
mod experiment_shares;
mod experiments;
mod explain;
mod explain_analyses;
mod explain_causes;
mod explain_more;
mod fixture;
mod halts;
mod header_routes;
mod image_change;
mod lab;
mod led_to_all;
mod lost_runs;
mod lost_status;
mod operations;
mod outcomes;
mod paused_sizes;
mod ping_pong;
mod refusals;
mod requests;
mod route_record;
mod router_changes;
mod routers;
mod rules;
mod seed;
mod service_order;
mod single_pods;
mod status_writes;
mod swarm;
mod third_revision;
mod timelines;
mod turned_weights;
mod vectors;
mod ways_back;
mod workloads;
mod world;
