//! The server value, its builder, and what a fresh cluster holds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::clock::{Clock, SystemClock, rfc3339};
use crate::gvk::Gvk;
use crate::registry::{Registry, Resource, crd};
use crate::store::{Snapshot, Store};

/// The embedded API server. Clones share everything.
#[derive(Debug, Clone)]
pub struct ApiServer(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    clock: Arc<dyn Clock>,
    rng: Mutex<ChaCha8Rng>,
    registry: RwLock<Arc<Registry>>,
    /// Serialises writers: a write reads, decides and stores as one step.
    writer: Mutex<()>,
    pub(crate) version: (u16, u16, u16),
    pub(crate) body_limit: usize,
    pub(crate) openapi: Mutex<crate::rest::openapi::Cache>,
}

/// Settings of a server.
#[derive(Debug)]
pub struct Builder {
    clock: Arc<dyn Clock>,
    seed: u64,
    version: (u16, u16, u16),
    history: usize,
    history_bytes: Option<usize>,
    body_limit: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            seed: 0,
            version: (1, 34, 4),
            history: 16_384,
            history_bytes: None,
            body_limit: 3 * 1024 * 1024,
        }
    }
}

impl Builder {
    /// The source of time; the machine's clock unless given.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Seed of uids and generated names.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The Kubernetes version that `/version` reports.
    #[must_use]
    pub const fn version(mut self, major: u16, minor: u16, patch: u16) -> Self {
        self.version = (major, minor, patch);
        self
    }

    /// How many events the store keeps; older resource versions answer 410.
    #[must_use]
    pub const fn history(mut self, events: usize) -> Self {
        self.history = events;
        self
    }

    /// About how much memory these events may take at most, bytes; unlimited unless given. A
    /// version of a pod takes 40 KB, so that a server that runs for long needs a limit.
    #[must_use]
    pub const fn history_bytes(mut self, bytes: usize) -> Self {
        self.history_bytes = Some(bytes);
        self
    }

    /// Largest accepted request body, bytes.
    #[must_use]
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Starts the server: built-in kinds, the system namespaces, the `kubernetes` Service.
    pub fn build(self) -> ApiServer {
        let store = Store::new(self.history);
        let server = ApiServer(Arc::new(Inner {
            store: match self.history_bytes {
                Some(bytes) => store.within(bytes),
                None => store,
            },
            clock: self.clock,
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(self.seed)),
            registry: RwLock::new(Arc::new(Registry::built_in())),
            writer: Mutex::new(()),
            version: self.version,
            body_limit: self.body_limit,
            openapi: Mutex::default(),
        }));
        bootstrap(&server);
        server
    }
}

impl ApiServer {
    /// Default settings: real time, seed 0.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The store underneath: revisions, raw events, compaction.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The server's clock, now.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The state of all objects, to come back to.
    pub fn snapshot(&self) -> Snapshot {
        self.0.store.snapshot()
    }

    /// Goes back to a snapshot: objects, revision and served CRDs. Open watches must be dropped by
    /// the caller.
    pub fn restore(&self, snapshot: &Snapshot) {
        let _writer = self.0.lock_writer();
        self.0.store.restore(snapshot);
        let mut registry = Registry::built_in();
        for definition in self.0.store.list(crd::TABLE, None).0 {
            registry = registry.with_crd(crate::object::name(&definition), Some(&definition));
        }
        registry.epoch = self.0.registry().epoch + 1;
        self.0.set_registry(registry);
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn now_text(&self) -> String {
        rfc3339(self.clock.now())
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_registry(&self, registry: Registry) {
        *self
            .registry
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(registry);
    }

    pub(crate) fn lock_writer(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rng(&self) -> MutexGuard<'_, ChaCha8Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A version 4 uuid from the seeded generator.
    pub(crate) fn new_uid(&self) -> String {
        let bits: u128 = self.rng().random();
        let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    /// Five characters from the alphabet of generated names, which spells no words.
    pub(crate) fn new_suffix(&self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut rng = self.rng();
        (0..5)
            .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
            .collect()
    }

    /// A number in `0..below`.
    pub(crate) fn random_below(&self, below: u32) -> u32 {
        self.rng().random_range(0..below.max(1))
    }

    /// A stored object in the version of `resource`.
    pub(crate) fn find(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        self.store.get(&resource.table, namespace, name)
    }
}

fn bootstrap(server: &ApiServer) {
    let cluster_scoped = |group: &str, kind: &str, body: Value| {
        let version = "v1";
        let created = server.create(&Gvk::new(group, version, kind), None, body);
        debug_assert!(created.is_ok(), "bootstrap object refused: {created:?}");
    };
    for name in ["kube-system", "kube-public", "kube-node-lease", "default"] {
        cluster_scoped("", "Namespace", json!({"metadata": {"name": name}}));
    }
    for (name, value, description) in [
        (
            "system-cluster-critical",
            2_000_000_000_i64,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ] {
        let body = json!({"metadata": {"name": name}, "value": value, "description": description});
        cluster_scoped("scheduling.k8s.io", "PriorityClass", body);
    }
    let range = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16"]}});
    cluster_scoped("networking.k8s.io", "ServiceCIDR", range);
    let service = json!({
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.96.0.1", "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    });
    let created = server.create(&Gvk::new("", "v1", "Service"), Some("default"), service);
    debug_assert!(created.is_ok(), "bootstrap service refused: {created:?}");
}
