/// The image that an installation runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(pub String);

impl Default for Image {
    /// The one that the release workflow publishes for this version.
    fn default() -> Self {
        let repository = env!("CARGO_PKG_REPOSITORY").trim_start_matches("https://github.com/");
        Self(format!(
            "ghcr.io/{repository}:v{}",
            env!("CARGO_PKG_VERSION")
        ))
    }
}

/// Memory of a pod, as Kubernetes writes quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    pub request: String,
    /// A pod that takes more is killed.
    pub limit: Option<String>,
}

impl Default for Memory {
    /// By the benchmark with 500 Rollouts and what follows from it (docs/install.md, "Memory"): the
    /// request is for some hundreds of them, the limit for 10,000, with room for Git and Kustomize.
    fn default() -> Self {
        Self {
            request: "128Mi".to_owned(),
            limit: Some("2Gi".to_owned()),
        }
    }
}

/// How to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the controller runs.
    pub namespace: String,
    /// Whether it looks after its own namespace only, and has rights nowhere else.
    pub namespaced: bool,
    pub image: Image,
    /// `--instance-id`.
    pub instance_id: Option<String>,
    /// `--gitops`; without it there are neither definitions nor rights of Applications.
    pub gitops: bool,
    /// How many controllers; one acts, the others stand by.
    pub replicas: i32,
    pub memory: Memory,
    /// More flags of `weir controller`, after all others.
    pub arguments: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: Self::NAMESPACE.to_owned(),
            namespaced: false,
            image: Image::default(),
            instance_id: None,
            gitops: true,
            replicas: Self::REPLICAS,
            memory: Memory::default(),
            arguments: Vec::new(),
        }
    }
}

impl Settings {
    /// The peer's namespace: a Lease there is the peer's, so that the two never act side by side.
    pub const NAMESPACE: &'static str = "argo-rollouts";
    /// Name of everything that is not named otherwise.
    pub const NAME: &'static str = "weir";
    /// Two: one acts, the other has full caches and goes on when it is gone.
    pub const REPLICAS: i32 = 2;

    /// The name of an object of the cluster. Each installation has its own, or the second one would
    /// take the first one's rights away: a binding has one list of subjects. No namespace has a
    /// colon in its name.
    pub fn of_cluster(&self, name: &str) -> String {
        if self.namespace == Self::NAMESPACE {
            name.to_owned()
        } else {
            format!("{name}:{}", self.namespace)
        }
    }
}
