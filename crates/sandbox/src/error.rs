//! Why a sandbox can't start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The step that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every block of loopback addresses is claimed, or this machine has none beyond 127.0.0.1.
    #[error(
        "no free block of loopback addresses in 127.64.0.0 to 127.255.255.255: end another sandbox of \
         this machine, or use Linux, where they are all there"
    )]
    Addresses(#[source] std::io::Error),
    #[error("cannot listen on {address}: end what listens there, or choose another port")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot make the certificate of the API server")]
    Tls(#[from] apiserver::tls::TlsError),
    #[error(
        "cannot write the kubeconfig {}: name a file in a folder that is there and that can be written to",
        path.display()
    )]
    Kubeconfig {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The API server refused an object that the sandbox needs.
    #[error("cannot install {what}, which every sandbox needs")]
    Install {
        what: String,
        #[source]
        source: apiserver::Status,
    },
}

/// Of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
