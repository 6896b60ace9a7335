//! `weir check`.

use super::report::{Finding, Report};
use super::{access, conflict, definitions};
use crate::error::chain;
use deploy::Settings;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;

/// The oldest minor version of Kubernetes 1 that this is made for; the chart says the same.
const MINOR_MIN: u32 = 27;
/// Beyond that, times in statuses and pauses are plainly wrong.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(30);

/// `weir check`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CheckOptions {
    /// Check for a controller of one namespace only
    #[arg(long)]
    pub namespaced: bool,
    /// The controller's --instance-id
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,
    /// Check the rights of this service account of the controller's namespace, not your own
    #[arg(long, value_name = "NAME")]
    pub service_account: Option<String>,
}

impl CheckOptions {
    /// What is to be installed, as far as it matters here.
    fn settings(&self, namespace: &str) -> Settings {
        Settings {
            namespace: namespace.to_owned(),
            namespaced: self.namespaced,
            // An empty id is none.
            instance_id: self.instance_id.clone().filter(|id| !id.is_empty()),
            ..Settings::default()
        }
    }
}

/// Looks at a cluster. `namespace` is the controller's; `now` what this machine's clock says.
pub async fn check(
    client: &Client,
    options: &CheckOptions,
    namespace: &str,
    now: Timestamp,
) -> Report {
    let settings = options.settings(namespace);
    let mut findings = Vec::new();
    if let Err(finding) = server(client, now, &mut findings).await {
        // Nothing else could be asked.
        findings.push(finding);
        return Report { findings };
    }
    findings.extend(definitions::findings(client, &settings).await);
    let account = options.service_account.as_deref();
    findings.extend(access::findings(client, &settings, account).await);
    findings.extend(conflict::findings(client, &settings, now).await);
    Report { findings }
}

async fn server(
    client: &Client,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Result<(), Finding> {
    let unreachable = |why: String| {
        Finding::bad(
            format!("an API server that answers: {why}"),
            "name the cluster with --kubeconfig, --context or KUBECONFIG, and see that it runs",
        )
    };
    let version = client.apiserver_version().await;
    let version = version.map_err(|error| unreachable(chain(&error)))?;
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
    if let Some(skew) = too_far(client, now).await {
        findings.push(Finding::doubt(differ(skew), SKEW_REMEDY));
    }
    Ok(())
}

const SKEW_REMEDY: &str = "set the clocks of your machines by NTP: pauses and deadlines are counted by them (leader election is not)";

fn differ(skew: SignedDuration) -> String {
    format!("this machine's clock and the API server's differ by {skew:#}")
}

/// For a controller that starts: says so if the clocks differ by more than a moment.
pub async fn warn_of_clock(client: Client, now: Timestamp) {
    if let Some(skew) = too_far(&client, now).await {
        tracing::warn!(remedy = SKEW_REMEDY, "{}", differ(skew));
    }
}

async fn too_far(client: &Client, now: Timestamp) -> Option<SignedDuration> {
    let skew = skew(client, now).await?;
    (skew.abs() > SKEW_MAX).then_some(skew)
}

/// How far ahead this machine is; `None` if the API server does not say what time it is.
async fn skew(client: &Client, now: Timestamp) -> Option<SignedDuration> {
    let request = http::Request::get("/version").body(Body::empty()).ok()?;
    let response = client.send(request).await.ok()?;
    let date = response.headers().get(http::header::DATE)?.to_str().ok()?;
    let theirs = rfc2822::parse(date).ok()?.timestamp();
    Some(now.duration_since(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

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
