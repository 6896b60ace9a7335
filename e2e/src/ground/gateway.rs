//! Traefik as the gateway of `HTTPRoute`s.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::process::Command;

use super::process::Process;
use super::{Ground, until};

/// Where the Gateway is, as the manifests of the demo name it.
pub(crate) const NAMESPACE: &str = "weir-sandbox";
const ENTRY: &str = "127.0.0.1:8000";
const START_LIMIT: Duration = Duration::from_mins(1);
const MANIFESTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: traefik
spec:
  controllerName: traefik.io/gateway-controller
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: weir
spec:
  gatewayClassName: traefik
  listeners:
  - name: web
    protocol: HTTP
    port: 8000
    allowedRoutes:
      namespaces:
        from: All
";

/// A gateway that serves every host of every namespace.
pub(crate) struct Gateway {
    process: Process,
}

impl Gateway {
    pub(crate) async fn start(ground: &Ground) -> Result<Self> {
        let crds = ground.tools().built("../gateway-crds")?;
        install(ground, &crds).await?;
        ground.objects.namespace(NAMESPACE).await?;
        // A definition that was just made is served a moment later.
        until("the Gateway is taken", START_LIMIT, async || {
            ground.objects.apply(NAMESPACE, MANIFESTS).await?;
            Ok(Some(()))
        })
        .await?;
        let mut command = Command::new(ground.tools().built("traefik")?);
        command
            .arg("--entrypoints.traefik.address=127.0.0.1:9100")
            .arg(format!("--entrypoints.web.address={ENTRY}"))
            .arg("--providers.kubernetesgateway=true")
            // Stock is two seconds: pods then have to drain for longer, and rollouts of a suite
            // take longer.
            .arg("--providers.providersthrottleduration=100ms")
            .arg("--metrics.prometheus=true")
            .arg("--global.checknewversion=false")
            .arg("--global.sendanonymoususage=false")
            .env("KUBECONFIG", ground.admin());
        let mut process = Process::start("traefik", command, &ground.dir)?;
        until("Traefik answers", START_LIMIT, async || {
            process.check()?;
            reqwest::get(format!("http://{ENTRY}/")).await?;
            Ok(Some(()))
        })
        .await?;
        Ok(Self { process })
    }

    pub(crate) fn address() -> Result<SocketAddr> {
        Ok(ENTRY.parse()?)
    }

    pub(crate) fn check(&mut self) -> Result<()> {
        self.process.check()
    }
}

/// The definitions of the Gateway API, and the wait until they are served.
async fn install(ground: &Ground, folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = std::fs::read_to_string(&path)?;
            for object in gocompat::yaml::from_str(&text)? {
                if object.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition") {
                    ground.objects.apply_one("", object).await?;
                }
            }
        }
    }
    let kind = super::objects::HTTP_ROUTE;
    until("HTTPRoutes are served", START_LIMIT, async || {
        let routes = ground.objects.list(kind, None, "").await?;
        Ok(Some(routes))
    })
    .await?;
    Ok(())
}
