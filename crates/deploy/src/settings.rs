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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: Self::NAMESPACE.to_owned(),
            namespaced: false,
            image: Image::default(),
            instance_id: None,
        }
    }
}

impl Settings {
    /// The peer's namespace: a Lease there is the peer's, so that the two never act side by side.
    pub const NAMESPACE: &'static str = "argo-rollouts";
    /// Name of everything that is not named otherwise.
    pub const NAME: &'static str = "weir";
}
