//! What the process tells of itself: `/metrics`, `/healthz`, `/readyz`.
//!
//! Names and labels of metrics are the peers' where they have one (rollouts.md §9.1, and Argo CD's
//! for Applications); [`docs/metrics.md`](../../../docs/metrics.md) lists all. What happened is
//! counted in [`Metrics`], and only after the status that records it is stored. What is, is read
//! out of the caches when somebody asks ([`objects`]): there is nothing to keep, and nothing to
//! forget.

mod analyses;
mod ended;
mod families;
mod family;
mod health;
pub mod objects;
mod page;
mod process;
mod queue;
mod requests;
mod series;
mod server;
mod state;

pub use families::{Metrics, Subject};
pub use health::{Health, View};
pub use page::Page;
pub use queue::QueueMetrics;
pub use requests::{REQUEST_MAX, observed};
pub use server::{Endpoints, Served, serve};
pub use state::{Monitor, Watched};
