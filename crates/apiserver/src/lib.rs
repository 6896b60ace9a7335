//! The embedded Kubernetes API server: a `tower::Service` over an MVCC store.
//!
//! It knows nothing of any product: built-in kinds are a table, CRDs reach it as data. Time and
//! randomness come from the builder, so the same requests give the same answers, uids included.
//!
//! Ways in, all with the same semantics:
//! - [`ApiServer::get`], `list`, `create`, `update`, `patch`, `delete`, `changes_since`:
//!   synchronous, for actors in the same process (cluster controllers, the simulator);
//! - [`ApiServer::handle`] and the `tower::Service` impl: one HTTP request, any body type;
//! - `ApiServer::client` (feature `client`): a `kube::Client` in the same process;
//! - [`ApiServer::serve`]: HTTP/1.1 and h2, with TLS for `kubectl` (see [`tls`]).
//!
//! Code map: `route` (path → request), `rest` (request → answer), `strategy` (create/update/delete
//! rules), `store` (MVCC), `watch` (replay), `registry` (what is served), `table` (`kubectl get`
//! columns).

mod access;
mod clock;
mod gvk;
mod object;
mod registry;
mod rest;
mod schema;
mod selector;
mod server;
mod status;
mod store;
mod strategy;
mod table;
pub mod tls;
mod transport;
mod wire;

pub use access::{Change, DeleteOptions, Deleted, Patch, PatchOptions, Propagation};
pub use clock::{Clock, ManualClock, SystemClock, TokioClock};
pub use gvk::Gvk;
pub use server::{ApiServer, Builder};
pub use status::{Cause, Details, Status};
pub use store::{ChangeKind, Compacted, Event, Snapshot, Store, Stored};
pub use transport::{Body, kubeconfig};
