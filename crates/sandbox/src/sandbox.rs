//! Start and end of a sandbox.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apiserver::{ApiServer, tls::Identity};
use cluster::Cluster;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::addresses::Addresses;
use crate::gateway::{self, Listeners, Proxy};
use crate::pods::{Facts, Machine};
use crate::{Error, Result};

/// Name of cluster, user and context in the kubeconfig.
const NAME: &str = "weir-sandbox";
/// The longest sleep between two looks at the cluster: a clock that jumps costs no more.
const MAX_SLEEP: Duration = Duration::from_mins(1);

/// Memory for the history of objects, bytes: minutes of a busy cluster, so that no watch that is
/// being read falls behind.
const HISTORY_BYTES: usize = 128 * 1024 * 1024;
/// How long Events are kept, seconds: the real API server's default.
const EVENT_TTL_S: i64 = 3_600;

/// Settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port of the API server on 127.0.0.1; 0 = any.
    pub port: u16,
    /// Port of the gateway on its own address.
    pub gateway_port: u16,
    /// Where to write a kubeconfig for `kubectl`; its folder must be there.
    pub kubeconfig: Option<PathBuf>,
    /// Seed of uids and generated names.
    pub seed: u64,
    pub nodes: Vec<String>,
    /// Record Events of the cluster's controllers.
    pub events: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            gateway_port: gateway::PORT,
            kubeconfig: None,
            seed: u64::from(std::process::id()),
            nodes: vec!["weir-1".to_owned()],
            events: true,
        }
    }
}

/// A running cluster. Dropping it ends all of it.
#[derive(Debug)]
pub struct Sandbox {
    api: ApiServer,
    address: SocketAddr,
    gateway: SocketAddr,
    kubeconfig: String,
    kubeconfig_path: Option<PathBuf>,
    listeners: Arc<Listeners>,
    tasks: JoinSet<()>,
    /// Every task that holds a socket of a pod or of the gateway.
    tracker: TaskTracker,
}

impl Sandbox {
    /// Brings the cluster up; it takes requests when this returns. Needs a tokio runtime with IO
    /// and time.
    pub async fn start(options: Options) -> Result<Self> {
        let addresses = Arc::new(Addresses::claim()?);
        let api = ApiServer::builder()
            .seed(options.seed)
            .history_bytes(HISTORY_BYTES)
            .build();
        gateway::install(&api)?;

        let wanted = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), options.port);
        let listen = |address| move |source| Error::Listen { address, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen(wanted))?;
        let address = listener.local_addr().map_err(listen(wanted))?;
        let identity = Identity::generate(&["127.0.0.1", "localhost", "kubernetes.default.svc"])?;
        let tls = identity.server_config()?;
        let token = format!("weir-{:016x}", options.seed);
        let server = format!("https://{address}");
        let kubeconfig = apiserver::kubeconfig(NAME, &server, &identity.ca_pem, &token);
        if let Some(path) = &options.kubeconfig {
            write_private(path, &kubeconfig).map_err(|source| Error::Kubeconfig {
                path: path.clone(),
                source,
            })?;
        }

        let proxy = Arc::new(Proxy::new(Arc::clone(&addresses)));
        let tracker = TaskTracker::new();
        let listeners = Listeners::new(Arc::clone(&addresses), Arc::clone(&proxy), tracker.clone());
        let listeners = Arc::new(listeners);
        let wanted = SocketAddr::new(addresses.gateway(), options.gateway_port);
        let gateway = listeners
            .open_gateway(wanted.ip(), wanted.port())
            .map_err(listen(wanted))?;

        let mut tasks = JoinSet::new();
        let serving = api.clone().serve(listener, Some(tls));
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the api server's listener broke");
            }
        });
        tasks.spawn(gateway::run(
            api.clone(),
            proxy,
            Arc::clone(&listeners),
            gateway,
        ));
        let facts = Facts::default();
        let machine = Machine::new(addresses, facts.clone(), tracker.clone());
        let cluster = Cluster::new(cluster::Options {
            nodes: options.nodes,
            events: options.events,
            event_ttl_s: Some(EVENT_TTL_S),
            runtime: Box::new(machine),
        });
        tasks.spawn(drive(cluster, api.clone(), facts));
        let kubeconfig_path = options.kubeconfig;
        Ok(Self {
            api,
            address,
            gateway,
            kubeconfig,
            kubeconfig_path,
            listeners,
            tasks,
            tracker,
        })
    }

    /// The API server, for in-process clients.
    pub fn api(&self) -> &ApiServer {
        &self.api
    }

    /// Where the API server listens (TLS).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The kubeconfig as text.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// The file it was written to.
    pub fn kubeconfig_path(&self) -> Option<&Path> {
        self.kubeconfig_path.as_deref()
    }

    /// Where the gateway listens: it routes by the `Host` header.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// Where a port of a Service is listened on; `None` until the gateway has seen the Service.
    pub fn service(&self, namespace: &str, name: &str, port: i32) -> Option<SocketAddr> {
        self.listeners.service(namespace, name, port)
    }

    /// Ends all tasks and waits until they have ended: afterwards no socket of this sandbox is
    /// open.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.listeners.close();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Steps the cluster whenever an object changed, a pod has news, or its time has come.
async fn drive(mut cluster: Cluster, api: ApiServer, facts: Facts) {
    loop {
        let next = cluster.tick(&api);
        let sleep = next.map_or(MAX_SLEEP, |next| {
            let left = next.duration_since(api.now());
            Duration::try_from(left)
                .unwrap_or(Duration::ZERO)
                .min(MAX_SLEEP)
        });
        tokio::select! {
            _ = api.changed(cluster.revision()) => {}
            () = facts.arrived() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// A file that only its owner reads: it holds a token.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
