//! What every suite works with.

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::args::Args;

/// The cluster and the wishes of the command line.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) args: Args,
}

impl Context {
    pub(crate) async fn connect(args: &Args) -> Result<Self> {
        let file = &args.kubeconfig;
        let kubeconfig =
            Kubeconfig::read_from(file).with_context(|| format!("{}", file.display()))?;
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        // A suite sees what the server says, not what it says the second time.
        config.default_retry = false;
        let client = Client::try_from(config)?;
        let version = client.apiserver_version().await;
        version.with_context(|| format!("the cluster of {} does not answer", file.display()))?;
        Ok(Self {
            client,
            args: args.clone(),
        })
    }
}
