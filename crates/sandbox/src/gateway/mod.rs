//! A small HTTP/1.1 reverse proxy: real traffic by Service and by `HTTPRoute`.
//!
//! [`table`] is pure: from Services, EndpointSlices, Gateways and HTTPRoutes to a routing
//! [`table::Table`], and to the status of the routes. [`proxy`] carries requests to ready
//! endpoints, keeps connections, and tries another endpoint only when a connect was refused and the
//! method is idempotent: nobody has seen such a request yet. [`watch`] keeps the table in step with
//! the API server and the listeners in step with the Services.

mod listener;
mod proxy;
pub mod route;
mod status;
pub mod table;
mod watch;

pub(crate) use listener::Listeners;
pub(crate) use proxy::Proxy;
pub use watch::install;
pub(crate) use watch::run;

/// `spec.controllerName` of our GatewayClass, and the controller of every status we write.
pub const CONTROLLER: &str = "weir.dev/gateway";
/// Name of the GatewayClass, and of the one Gateway in [`NAMESPACE`].
pub const NAME: &str = "weir";
/// Namespace of the Gateway.
pub const NAMESPACE: &str = "weir-sandbox";
/// The Gateway's listener port.
pub const PORT: u16 = 8080;

pub use crate::pods::{COLOR_HEADER, HASH_HEADER, POD_HEADER};
