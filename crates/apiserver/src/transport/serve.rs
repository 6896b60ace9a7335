//! Serving on a TCP listener: HTTP/1.1 and h2, plain or over TLS.

use std::io;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::ApiServer;

impl ApiServer {
    /// Serves until the future is dropped. `tls` as [`crate::tls::Identity::server_config`] makes
    /// it; `None` is plain HTTP (h2 with prior knowledge). A connection that fails ends alone; only
    /// a broken listener ends the server.
    pub async fn serve(self, listener: TcpListener, tls: Option<ServerConfig>) -> io::Result<()> {
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) if is_transient(&error) => continue,
                    Err(error) => return Err(error),
                },
                Some(_) = connections.join_next() => continue,
            };
            let _ = stream.set_nodelay(true);
            let (server, acceptor) = (self.clone(), acceptor.clone());
            connections.spawn(async move {
                match acceptor {
                    None => connection(server, stream).await,
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => connection(server, stream).await,
                        Err(error) => tracing::debug!(%error, "tls handshake failed"),
                    },
                }
            });
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    server: ApiServer,
    stream: S,
) {
    let service = service_fn(move |request| {
        let server = server.clone();
        async move { Ok::<_, std::convert::Infallible>(server.handle(request).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(%error, "connection ended");
    }
}
