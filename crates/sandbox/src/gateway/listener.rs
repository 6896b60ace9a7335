//! Listeners of the gateway: its own, and one per port of each Service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::core::v1::Service;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::TaskTracker;

use super::proxy::{Entry, Proxy};
use super::table::Key;
use crate::addresses::Addresses;

/// Connections over all listeners; more wait in the backlog.
const MAX_CONNECTIONS: usize = 8_192;
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// See the module's documentation. Dropping it closes everything.
#[derive(Debug)]
pub(crate) struct Listeners {
    addresses: Arc<Addresses>,
    proxy: Arc<Proxy>,
    limit: Arc<Semaphore>,
    tracker: TaskTracker,
    open: Mutex<BTreeMap<(Key, i32), Open>>,
}

#[derive(Debug)]
struct Open {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listeners {
    pub(crate) fn new(addresses: Arc<Addresses>, proxy: Arc<Proxy>, tracker: TaskTracker) -> Self {
        let limit = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        Self {
            addresses,
            proxy,
            limit,
            tracker,
            open: Mutex::default(),
        }
    }

    /// Closes all listeners; their tasks end soon after.
    pub(crate) fn close(&self) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The gateway's own listener.
    pub(crate) fn open_gateway(&self, ip: IpAddr, port: u16) -> std::io::Result<SocketAddr> {
        let key = (String::new(), String::new());
        self.open(
            key,
            i32::from(port),
            SocketAddr::new(ip, port),
            Entry::Gateway,
        )
    }

    /// Where a Service's port is listened on.
    pub(crate) fn service(&self, namespace: &str, name: &str, port: i32) -> Option<SocketAddr> {
        let key = ((namespace.to_owned(), name.to_owned()), port);
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&key).map(|open| open.address)
    }

    /// Opens what the Services ask for and closes the rest. A port that can't be had is reported
    /// and left out.
    pub(super) fn follow<'a>(&self, services: impl Iterator<Item = &'a Arc<Service>>) {
        let mut wanted: BTreeSet<(Key, i32)> = BTreeSet::new();
        for service in services {
            let Some(spec) = &service.spec else { continue };
            let key = (
                service.metadata.namespace.clone().unwrap_or_default(),
                service.metadata.name.clone().unwrap_or_default(),
            );
            let selects = spec
                .selector
                .as_ref()
                .is_some_and(|selector| !selector.is_empty());
            let tcp = spec
                .ports
                .iter()
                .flatten()
                .filter(|port| selects && port.protocol.as_deref().unwrap_or("TCP") == "TCP");
            wanted.extend(tcp.map(|port| (key.clone(), port.port)));
        }
        let gone: Vec<Key> = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let is_ours = |key: &Key| key.1.is_empty();
            let gone = open
                .keys()
                .filter(|(key, port)| !is_ours(key) && !wanted.contains(&(key.clone(), *port)));
            let gone: Vec<(Key, i32)> = gone.cloned().collect();
            for key in &gone {
                open.remove(key);
            }
            gone.into_iter().map(|(key, _)| key).collect()
        };
        for (namespace, name) in gone {
            let key = (namespace, name);
            if !wanted.iter().any(|(wanted, _)| *wanted == key) {
                self.addresses.forget_service(&key.0, &key.1);
            }
        }
        for (key, port) in wanted {
            if self.service(&key.0, &key.1, port).is_none() {
                self.open_service(&key, port);
            }
        }
    }

    fn open_service(&self, key: &Key, port: i32) {
        let Ok(number) = u16::try_from(port) else {
            return;
        };
        let Some(ip) = self.addresses.service(&key.0, &key.1) else {
            tracing::warn!(
                namespace = key.0,
                service = key.1,
                "no loopback address left for the Service: delete Services or pods of this sandbox"
            );
            return;
        };
        let entry = Entry::Service(key.clone(), port);
        if let Err(error) = self.open(key.clone(), port, SocketAddr::new(ip, number), entry) {
            tracing::warn!(
                %error,
                namespace = key.0,
                service = key.1,
                port,
                "cannot listen for the Service: end what listens there, or give it another port"
            );
        }
    }

    fn open(
        &self,
        key: Key,
        port: i32,
        address: SocketAddr,
        entry: Entry,
    ) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::from_std(self.addresses.listen(address)?)?;
        let address = listener.local_addr()?;
        let shared = Shared {
            entry,
            proxy: Arc::clone(&self.proxy),
            limit: Arc::clone(&self.limit),
            tracker: self.tracker.clone(),
        };
        let task = self.tracker.spawn(serve(listener, shared)).abort_handle();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert((key, port), Open { address, task });
        Ok(address)
    }
}

/// What the connections of a listener share.
#[derive(Debug)]
struct Shared {
    entry: Entry,
    proxy: Arc<Proxy>,
    limit: Arc<Semaphore>,
    tracker: TaskTracker,
}

async fn serve(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        let permit = Arc::clone(&shared.limit).acquire_owned();
        let accepted = async {
            let permit = permit.await.ok()?;
            listener
                .accept()
                .await
                .ok()
                .map(|(stream, peer)| (stream, peer, permit))
        };
        let (stream, peer, permit) = tokio::select! {
            accepted = accepted => if let Some(accepted) = accepted {
                accepted
            } else {
                // Out of file descriptors, most likely: others have to close first.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            },
            Some(_) = connections.join_next() => continue,
        };
        let _ = stream.set_nodelay(true);
        let (entry, proxy) = (shared.entry.clone(), Arc::clone(&shared.proxy));
        connections.spawn(shared.tracker.track_future(async move {
            let service = hyper::service::service_fn(|request| async {
                Ok::<_, std::convert::Infallible>(proxy.handle(&entry, peer, request).await)
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::trace!(%error, "gateway connection ended");
            }
            drop(permit);
        }));
    }
}
