//! kubeconfig documents.

use base64::Engine as _;
use serde_json::{Value, json};

/// A kubeconfig (YAML) for one cluster, user and context named `name`. `ca_pem` is the CA that
/// signed the server's certificate; `token` the bearer token to send (authentication is a stub: any
/// is accepted).
pub fn kubeconfig(name: &str, server: &str, ca_pem: &str, token: &str) -> String {
    let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
    let document: Value = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": name, "preferences": {},
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
    });
    // JSON is YAML: no serializer can get the quoting wrong.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}
