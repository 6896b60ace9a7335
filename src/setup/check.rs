//! `weir check`.

use super::report::{Finding, Report};
use super::skew::{self, Skew};
use super::{access, bindings, conflict, definitions};
use crate::args::instance_id;
use crate::clock::Clock;
use crate::error::{chain, code_of};
use cli::Switch;
use deploy::Settings;
use kube::Client;

/// The oldest minor version of Kubernetes 1 that this is made for; the chart says the same.
const MINOR_MIN: u32 = 27;

/// What to do about an API server that does not answer.
pub(super) const NO_SERVER: &str =
    "name the cluster with --kubeconfig, --context or KUBECONFIG, and see that it runs";

/// `weir check`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckOptions {
    /// Check for a controller of one namespace only
    #[arg(long, switch = Some(false))]
    pub namespaced: bool,
    /// The controller's --instance-id
    #[arg(long, value_name = "ID", value_parser = instance_id)]
    pub instance_id: Option<String>,
    /// The controller's --gitops: with false, nothing that only Applications need is asked for
    #[arg(long, switch = Some(true))]
    pub gitops: bool,
    /// Check the rights of this service account of the controller's namespace, not your own
    #[arg(long, value_name = "NAME")]
    pub service_account: Option<String>,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            namespaced: false,
            instance_id: None,
            gitops: true,
            service_account: None,
        }
    }
}

impl CheckOptions {
    /// What is to be installed, as far as it matters here.
    fn settings(&self, namespace: &str) -> Settings {
        Settings {
            namespace: namespace.to_owned(),
            namespaced: self.namespaced,
            // An empty id is none.
            instance_id: self.instance_id.clone().filter(|id| !id.is_empty()),
            gitops: self.gitops,
            ..Settings::default()
        }
    }
}

/// Looks at a cluster. `namespace` is the controller's; `clock` that of this machine.
pub async fn check(
    client: &Client,
    options: &CheckOptions,
    namespace: &str,
    clock: Clock,
) -> Report {
    let settings = options.settings(namespace);
    let mut findings = Vec::new();
    let skew = match server(client, clock, &mut findings).await {
        Ok(skew) => skew,
        Err(finding) => {
            // Nothing else could be asked.
            findings.push(finding);
            return Report { findings };
        }
    };
    findings.extend(definitions::findings(client, &settings, options).await);
    findings.extend(access::findings(client, &settings, options).await);
    findings.extend(bindings::findings(client, &settings).await);
    // Whoever renews a Lease keeps the time of the cluster, this machine perhaps not.
    let now = clock.now();
    let now = skew.map_or(now, |skew| skew.theirs(now));
    findings.extend(conflict::findings(client, &settings, options, now).await);
    Report { findings }
}

/// How far the clocks are apart, if the server says what time it is.
async fn server(
    client: &Client,
    clock: Clock,
    findings: &mut Vec<Finding>,
) -> Result<Option<Skew>, Finding> {
    let version = client.apiserver_version().await;
    let version = version.map_err(|error| unreachable(&error))?;
    let digits: String = version
        .minor
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let name = format!("Kubernetes {}", version.git_version);
    findings.push(match digits.parse::<u32>() {
        Ok(minor) if version.major == "1" && minor < MINOR_MIN => Finding::bad(
            format!("Kubernetes 1.{MINOR_MIN} or newer: this is {name}"),
            "upgrade the cluster",
        ),
        _ => Finding::good(name),
    });
    // An API server that has just answered and now does not has no time to tell.
    let skew = Skew::ask(client, clock).await.ok().flatten();
    if let Some(trouble) = skew.and_then(Skew::trouble) {
        findings.push(Finding::doubt(trouble, skew::REMEDY));
    }
    Ok(skew)
}

/// Nothing else could be asked.
fn unreachable(error: &kube::Error) -> Finding {
    let remedy = match code_of(error) {
        Some(401 | 403) => {
            "your credentials are not accepted: renew them, or name others with --kubeconfig, --context or --token"
        }
        Some(429 | 500..) => {
            "the API server is starting, overloaded or failing: try again, and see to it if it stays so"
        }
        _ => NO_SERVER,
    };
    Finding::bad(
        format!("an API server that answers: {}", chain(error)),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn an_api_server_that_refuses_is_not_one_that_is_away() {
        for (code, word) in [
            (401, "credentials"),
            (403, "credentials"),
            (429, "overloaded"),
            (503, "overloaded"),
        ] {
            let status = Status::failure("no", "Test").with_code(code).boxed();
            let found = unreachable(&kube::Error::Api(status));
            let Finding::Bad { what, remedy } = found else {
                panic!("nothing can be asked");
            };
            assert!(what.ends_with(": no"), "{what}");
            assert!(remedy.contains(word), "{code}: {remedy}");
        }
        let refused = std::io::Error::other("connection refused");
        let away = unreachable(&kube::Error::Service(refused.into()));
        assert!(away.to_string().contains("--kubeconfig"), "{away}");
    }

    #[test]
    fn an_empty_instance_id_is_none() {
        for (given, want) in [("", None), ("blue", Some("blue"))] {
            let options = CheckOptions {
                instance_id: Some(given.to_owned()),
                ..CheckOptions::default()
            };
            assert_eq!(options.settings("ns").instance_id.as_deref(), want);
        }
    }
}
