//! HTTP around the server: bodies, the `tower::Service`, serving on a socket, the in-process
//! client, kubeconfig.

mod body;
#[cfg(feature = "client")]
mod client;
mod config;
mod serve;
mod service;

pub use body::Body;
pub use config::kubeconfig;
