//! From flags to the configuration of a client.

use crate::error::Error;
use crate::flags::Flags;
use clap::ArgMatches;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::io::ErrorKind;

/// The configuration for the cluster that the command line names, by the same rules for all that
/// runs: the kubeconfig (or the service account of the pod that this process runs in), with what
/// the flags say in its place. `matches` come from a [`crate::command`].
///
/// # Errors
/// Without a cluster, and for flags that don't go together. [`Error::sentence`] says it with the
/// remedy.
pub async fn cluster_config(matches: &ArgMatches) -> Result<Config, Error> {
    config(&Flags::of(matches)).await
}

pub(crate) async fn config(flags: &Flags) -> Result<Config, Error> {
    let mut config = match base(flags).await {
        Ok(config) => config,
        Err(error) => {
            // As kubectl: an address needs no kubeconfig. One that can't be read is a mistake
            // still.
            let standalone = (is_absent(&error) && !is_chosen(flags))
                .then(|| flags.overrides.standalone())
                .flatten();
            standalone.ok_or(Error::Kubeconfig(error))?
        }
    };
    flags.overrides.apply(&mut config)?;
    if let Some(namespace) = &flags.namespace {
        config.default_namespace.clone_from(namespace);
    }
    // The client would try a request that was refused for load up to fifteen times, for minutes and
    // without a word. Who asks knows better whether to try again.
    config.default_retry = false;
    Ok(config)
}

/// Whether the user named a kubeconfig or a part of it.
fn is_chosen(flags: &Flags) -> bool {
    flags.kubeconfig.is_some()
        || flags.context.is_some()
        || flags.cluster.is_some()
        || flags.user.is_some()
}

/// Whether there is no kubeconfig, or nothing in it.
fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::ReadConfig(reason, _) => reason.kind() == ErrorKind::NotFound,
        KubeconfigError::FindPath | KubeconfigError::CurrentContextNotSet => true,
        _ => false,
    }
}

/// The kubeconfig that the flags name; without one, the service account of the pod we run in.
async fn base(flags: &Flags) -> Result<Config, KubeconfigError> {
    let options = KubeConfigOptions {
        context: flags.context.clone(),
        cluster: flags.cluster.clone(),
        user: flags.user.clone(),
    };
    if let Some(path) = &flags.kubeconfig {
        let kubeconfig = Kubeconfig::read_from(path)?;
        return Config::from_custom_kubeconfig(kubeconfig, &options).await;
    }
    match from_environment(&options).await {
        // Outside a pod what is wrong with the kubeconfig is what the user should hear of.
        Err(error) if !is_chosen(flags) => Config::incluster().map_err(|_| error),
        outcome => outcome,
    }
}

async fn from_environment(options: &KubeConfigOptions) -> Result<Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::read()?;
    Config::from_custom_kubeconfig(kubeconfig, options).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Program;

    #[test]
    fn an_address_needs_no_kubeconfig() {
        let line = ["weir", "list", "rollouts", "-s", "localhost:8001"];
        let matches = crate::command(Program::Weir).try_get_matches_from(line);
        let overrides = Flags::of(&matches.unwrap()).overrides;
        let mut config = overrides.standalone().unwrap();
        overrides.apply(&mut config).unwrap();
        // As `kubectl proxy` listens.
        assert_eq!(config.cluster_url, "http://localhost:8001/");
        assert!(Flags::default().overrides.standalone().is_none());
    }

    #[test]
    fn a_kubeconfig_that_cannot_be_read_is_not_an_absent_one() {
        let unreadable =
            |kind: ErrorKind| KubeconfigError::ReadConfig(kind.into(), "/config".into());
        assert!(is_absent(&unreadable(ErrorKind::NotFound)));
        assert!(!is_absent(&unreadable(ErrorKind::PermissionDenied)));
        assert!(!is_absent(&KubeconfigError::MissingClusterUrl));
    }
}
