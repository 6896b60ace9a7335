//! Serves an empty cluster on loopback for `kubectl`: `cargo run -p weir-apiserver --example serve
//! -- KUBECONFIG [PORT] [--plain]`.

use std::io::Write as _;

use apiserver::{ApiServer, kubeconfig, tls::Identity};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments
        .first()
        .ok_or("usage: serve KUBECONFIG [PORT] [--plain]")?;
    let port = arguments.get(1).map_or("0", String::as_str);
    let plain = arguments.iter().any(|argument| argument == "--plain");
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let address = listener.local_addr()?;
    let identity = Identity::generate(&["127.0.0.1", "localhost"])?;
    let scheme = if plain { "http" } else { "https" };
    let config = kubeconfig(
        "weir",
        &format!("{scheme}://{address}"),
        &identity.ca_pem,
        "weir",
    );
    std::fs::write(path, config)?;
    writeln!(std::io::stdout(), "serving {scheme}://{address}")?;
    let tls = if plain {
        None
    } else {
        Some(identity.server_config()?)
    };
    ApiServer::builder().build().serve(listener, tls).await?;
    Ok(())
}
