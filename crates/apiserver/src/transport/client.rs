//! A `kube::Client` in the same process.

use crate::server::ApiServer;

impl ApiServer {
    /// A client that calls this server without a socket, with default namespace `default`. Needs a
    /// running tokio runtime (kube puts a buffer task in front of the service). It does not retry.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }
}
