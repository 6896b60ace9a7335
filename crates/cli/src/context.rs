//! What a verb works with.

use crate::clock::Clock;
use crate::cluster;
use crate::error::{Error, if_found, is_not_found};
use crate::flags::Flags;
use crate::observe::Observer;
use crate::program::Program;
use crate::term::Term;
use api::constants::API_VERSION;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client};

/// A client, a namespace and a terminal.
#[derive(Debug)]
pub struct Context {
    pub(crate) term: Term,
    pub(crate) program: Program,
    clock: Clock,
    flags: Flags,
    cluster: Option<Cluster>,
    observer: Option<Observer>,
}

#[derive(Clone)]
struct Cluster {
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Connects when a verb first needs the cluster.
    pub(crate) fn from_flags(flags: Flags, program: Program) -> Self {
        let term = Term::stdio(flags.no_color);
        Self {
            term,
            program,
            clock: Clock::system(),
            flags,
            cluster: None,
            observer: None,
        }
    }

    /// Works with a client that exists; `namespace` is used where the user names none.
    pub fn with_client(client: Client, namespace: &str, term: Term, program: Program) -> Self {
        let cluster = Cluster {
            client,
            namespace: namespace.to_owned(),
        };
        let flags = Flags::default();
        Self {
            term,
            program,
            clock: Clock::system(),
            flags,
            cluster: Some(cluster),
            observer: None,
        }
    }

    /// Ages are counted up to `now` instead of the time of day.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.clock = Clock::fixed(now);
        self
    }

    /// Verbs that look at a cluster as the controller does do it with `observer`.
    #[must_use]
    pub fn observing(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    pub(crate) fn observer(&self) -> Option<Observer> {
        self.observer
    }

    pub(crate) fn set_flags(&mut self, flags: Flags) {
        self.flags = flags;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn cluster(&mut self) -> Result<Cluster, Error> {
        if let Some(cluster) = &self.cluster {
            return Ok(cluster.clone());
        }
        let config = cluster::config(&self.flags).await?;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(Error::Client)?;
        Ok(self.cluster.insert(Cluster { client, namespace }).clone())
    }

    pub(crate) async fn client(&mut self) -> Result<Client, Error> {
        Ok(self.cluster().await?.client)
    }

    /// The namespace that the user named, or the one of the kubeconfig's context.
    pub(crate) async fn namespace(&mut self) -> Result<String, Error> {
        match &self.flags.namespace {
            Some(namespace) => Ok(namespace.clone()),
            None => Ok(self.cluster().await?.namespace),
        }
    }

    /// From here on objects are looked for in the namespace that an object itself names.
    pub(crate) fn move_to(&mut self, namespace: &str) {
        self.flags.namespace = Some(namespace.to_owned());
    }

    /// The namespace that the user named.
    pub(crate) fn named_namespace(&self) -> Option<&str> {
        self.flags.namespace.as_deref()
    }

    /// Objects of the namespace.
    pub(crate) async fn objects<K>(&mut self) -> Result<Api<K>, Error>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let namespace = self.namespace().await?;
        Ok(Api::namespaced(self.client().await?, &namespace))
    }

    /// Reads an object, or says that there is none.
    pub(crate) async fn read<K>(&mut self, kind: &'static str, name: &str) -> Result<K, Error>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let objects = self.objects::<K>().await?;
        let found = if_found(objects.get(name).await);
        match found.map_err(Error::api(format!("read {kind} \"{name}\"")))? {
            Some(object) => Ok(object),
            None => Err(self.not_found(kind, name).await),
        }
    }

    /// Why there is no such object in the namespace: see [`Self::not_found_in`].
    pub(crate) async fn not_found(&mut self, kind: &'static str, name: &str) -> Error {
        let namespace = self.namespace().await.unwrap_or_default();
        self.not_found_in(kind, name, namespace).await
    }

    /// Why there is no such object: none of this name, or, in a cluster without our definitions,
    /// none of this kind.
    pub(crate) async fn not_found_in(
        &mut self,
        kind: &'static str,
        name: &str,
        namespace: String,
    ) -> Error {
        let is_served = match self.client().await {
            Ok(client) => serves(&client, kind).await,
            Err(_) => true,
        };
        let name = name.to_owned();
        if !is_served {
            return Error::NotServed { kind, name };
        }
        Error::NotFound {
            kind,
            name,
            namespace,
        }
    }
}

/// Whether the cluster knows a kind of ours; true as long as it does not say otherwise.
async fn serves(client: &Client, kind: &str) -> bool {
    // An "analysis run" is an AnalysisRun.
    let kind = kind.replace(' ', "");
    match client.list_api_group_resources(API_VERSION).await {
        Ok(found) => {
            let mut resources = found.resources.iter();
            resources.any(|resource| resource.kind.eq_ignore_ascii_case(&kind))
        }
        Err(error) => !is_not_found(&error),
    }
}
