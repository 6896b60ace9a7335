//! What the flags say in place of the kubeconfig: kubectl's rules for how they go together.

use crate::error::Error;
use clap::ArgMatches;
use clap::parser::ValueSource;
use kube::Config;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Parts of a client's configuration that were given on the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    server: Option<String>,
    token: Option<Token>,
    user: Option<String>,
    groups: Vec<String>,
    uid: Option<String>,
    certificate_authority: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    insecure: Option<bool>,
    tls_server_name: Option<String>,
    request_timeout: Option<Duration>,
    disable_compression: Option<bool>,
}

/// A secret: not to be seen where flags are printed.
#[derive(Clone)]
struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Overrides {
    pub(crate) fn of(args: &ArgMatches) -> Self {
        let text = |name: &str| args.get_one::<String>(name).cloned();
        let file = |name: &str| args.get_one::<PathBuf>(name).cloned();
        // Only what was given: the kubeconfig may say otherwise than the default.
        let given = |name: &str| {
            let given = args.value_source(name) == Some(ValueSource::CommandLine);
            given.then(|| args.get_flag(name))
        };
        let groups = args.get_many::<String>("as-group");
        Self {
            server: text("server"),
            token: text("token").map(Token),
            user: text("as"),
            groups: groups.into_iter().flatten().cloned().collect(),
            uid: text("as-uid"),
            certificate_authority: file("certificate-authority"),
            client_certificate: file("client-certificate"),
            client_key: file("client-key"),
            insecure: given("insecure-skip-tls-verify"),
            tls_server_name: text("tls-server-name"),
            request_timeout: args.get_one::<Duration>("request-timeout").copied(),
            disable_compression: given("disable-compression"),
        }
    }

    /// A configuration for a server that no kubeconfig knows.
    pub(crate) fn standalone(&self) -> Option<Config> {
        // The address is a placeholder: `apply` puts the given one there.
        let address = self.server.as_ref().and(Some("https://localhost"))?;
        address.parse().ok().map(Config::new)
    }

    /// Puts what was given into a configuration.
    pub(crate) fn apply(&self, config: &mut Config) -> Result<(), Error> {
        self.transport(config)?;
        self.identity(config)?;
        // Last: what an address without a scheme means depends on the rest.
        self.address(config)
    }

    fn transport(&self, config: &mut Config) -> Result<(), Error> {
        if let Some(file) = &self.certificate_authority {
            if self.insecure == Some(true) {
                let message = "--certificate-authority has no meaning with \
                               --insecure-skip-tls-verify: leave one of them out";
                return Err(Error::Refused(message.to_owned()));
            }
            readable("certificate-authority", file)?;
            config.root_cert = None;
            config.root_cert_file = Some(file.clone());
            config.accept_invalid_certs = false;
        }
        if let Some(insecure) = self.insecure {
            config.accept_invalid_certs = insecure;
        }
        if self.tls_server_name.is_some() {
            config.tls_server_name.clone_from(&self.tls_server_name);
        } else if self.server.is_some() {
            // The kubeconfig's name is that of another server.
            config.tls_server_name = None;
        }
        if let Some(timeout) = self.request_timeout.filter(|timeout| !timeout.is_zero()) {
            config.connect_timeout = Some(timeout);
            config.read_timeout = Some(timeout);
            // Else the time that a connection was idle before the request would count.
            config.reset_reader_on_write = true;
        }
        if let Some(disable) = self.disable_compression {
            config.disable_compression = disable;
        }
        Ok(())
    }

    fn identity(&self, config: &mut Config) -> Result<(), Error> {
        let auth = &mut config.auth_info;
        if let Some(Token(token)) = &self.token {
            auth.token = Some(token.clone().into());
            // Each of these would go before the token.
            auth.token_file = None;
            auth.username = None;
            auth.password = None;
            auth.auth_provider = None;
            auth.exec = None;
        }
        if let Some(file) = &self.client_certificate {
            auth.client_certificate = Some(readable("client-certificate", file)?);
            auth.client_certificate_data = None;
        }
        if let Some(file) = &self.client_key {
            auth.client_key = Some(readable("client-key", file)?);
            auth.client_key_data = None;
        }
        if self.user.is_some() {
            auth.impersonate.clone_from(&self.user);
        }
        if self.uid.is_some() {
            auth.impersonate_uid.clone_from(&self.uid);
        }
        if !self.groups.is_empty() {
            auth.impersonate_groups = Some(self.groups.clone());
        }
        let names_more = self.uid.is_some() || !self.groups.is_empty();
        if names_more && auth.impersonate.is_none() {
            let message = "--as-group and --as-uid need a user to act as: add --as";
            return Err(Error::Refused(message.to_owned()));
        }
        Ok(())
    }

    fn address(&self, config: &mut Config) -> Result<(), Error> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let auth = &config.auth_info;
        let has_tls = config.root_cert.is_some()
            || config.root_cert_file.is_some()
            || config.accept_invalid_certs
            || auth.client_certificate.is_some()
            || auth.client_certificate_data.is_some();
        let address = if server.contains("://") {
            server.clone()
        } else if has_tls {
            format!("https://{server}")
        } else {
            // As kubectl: `-s localhost:8001` is its own proxy.
            format!("http://{server}")
        };
        config.cluster_url = address
            .parse()
            .map_err(|error| Error::Refused(format!("--server {server}: {error}")))?;
        Ok(())
    }
}

/// The path of a file that can be read; the client's own complaint would not name the flag.
fn readable(flag: &str, file: &Path) -> Result<String, Error> {
    let shown = file.display();
    match std::fs::metadata(file) {
        Ok(_) => Ok(shown.to_string()),
        Err(error) => Err(Error::Refused(format!("--{flag} {shown}: {error}"))),
    }
}
