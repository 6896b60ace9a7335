//! Logs: one line an event, to standard error, as text or JSON.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// `--logformat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// The peer's default is an empty word, and so it may be written out.
    #[default]
    #[value(alias = "")]
    Text,
    Json,
}

/// Sets the process's logging up.
///
/// # Errors
/// When `level` is neither a level nor a filter; the text names the flag.
pub fn init(level: &str, format: LogFormat) -> Result<(), String> {
    let filter = filter(level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(BoxMakeWriter::new(std::io::stderr));
    let installed = match format {
        LogFormat::Text => builder.with_ansi(false).finish().try_init(),
        LogFormat::Json => builder.json().finish().try_init(),
    };
    installed.map_err(|error| error.to_string())
}

/// The filter that `--loglevel` asks for: a level, or an expression that is taken as it is.
fn filter(level: &str) -> Result<EnvFilter, String> {
    let directives = directives(level)?;
    EnvFilter::try_new(directives).map_err(|error| format!("--loglevel {level}: {error}"))
}

/// What a bare level stands for. A filter would take any other bare word for the name of a target,
/// and be silent about everything else: `warning` would switch the log off.
fn directives(level: &str) -> Result<String, String> {
    if level.contains(['=', ',']) {
        return Ok(level.to_owned());
    }
    // The levels of the peer's logger are taken too, however they are spelled.
    let ours = match level.to_ascii_lowercase().as_str() {
        "off" => return Ok("off".to_owned()),
        "error" | "fatal" | "panic" => "error",
        "warn" | "warning" => "warn",
        "info" => "info",
        "debug" => "debug",
        "trace" => "trace",
        _ => {
            return Err(format!(
                "--loglevel {level}: there is no such level. There are error, warn, info, debug, trace and off \
                 (warning, fatal and panic are known as well), and filters such as info,weir=debug"
            ));
        }
    };
    // What libraries have to say for themselves, at most.
    let theirs = if ours == "error" { "error" } else { "warn" };
    Ok([
        ours,
        // Every request and every stream that fails, raw and each time, and the end of every watch
        // (`eof in poll`). Who made the request gets the error and tells of it once.
        "kube_client::client=off",
        "kube_runtime=off",
        "tower=off",
        // Nobody gets to know of certificates in any other way.
        &format!("kube_client::client::tls={theirs}"),
        &format!("hyper={theirs}"),
        &format!("h2={theirs}"),
        &format!("rustls={theirs}"),
    ]
    .join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged at this level, a line each.
    fn logged(level: &str) -> Vec<String> {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter(level).unwrap())
            .with_target(false)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("ours");
            tracing::warn!("ours");
            tracing::info!("ours");
            tracing::debug!("ours");
            tracing::error!(target: "kube_client::client::builder", "failed with status 503");
            tracing::warn!(target: "kube_client::client", "eof in poll");
            tracing::warn!(target: "kube_client::client::tls", "stale roots");
            tracing::warn!(target: "kube_runtime::watcher", "watcher error 403");
            tracing::error!(target: "tower_http::trace::on_failure", "response failed");
            tracing::warn!(target: "hyper_util::client", "hyper warns");
            tracing::info!(target: "rustls::client", "rustls tells");
        });
        let bytes = log.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_bare_level_is_ours_and_libraries_do_not_repeat_what_we_say() {
        assert_eq!(
            logged("info"),
            [
                "ERROR ours",
                "WARN ours",
                "INFO ours",
                "WARN stale roots",
                "WARN hyper warns"
            ]
        );
        assert_eq!(logged("error"), ["ERROR ours"]);
        assert_eq!(logged("off"), [""; 0]);
        assert_eq!(
            logged("debug"),
            [
                "ERROR ours",
                "WARN ours",
                "INFO ours",
                "DEBUG ours",
                "WARN stale roots",
                "WARN hyper warns"
            ]
        );
    }

    #[test]
    fn the_levels_of_the_peer_are_known() {
        for (theirs, ours) in [
            ("warning", "warn"),
            ("Warning", "warn"),
            ("WARN", "warn"),
            ("fatal", "error"),
            ("panic", "error"),
            ("Info", "info"),
        ] {
            assert_eq!(directives(theirs), directives(ours), "{theirs}");
        }
        assert_eq!(
            logged("warning"),
            [
                "ERROR ours",
                "WARN ours",
                "WARN stale roots",
                "WARN hyper warns"
            ]
        );
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_with_those_that_are() {
        for word in ["verbose", "inof", "", "weir"] {
            let error = filter(word).unwrap_err();
            assert!(
                error.starts_with(&format!("--loglevel {word}: ")),
                "{error}"
            );
            assert!(error.contains("error, warn, info, debug, trace"), "{error}");
        }
    }

    #[test]
    fn a_filter_is_taken_as_it_is() {
        let given = "error,kube_client=warn";
        assert_eq!(directives(given).as_deref(), Ok(given));
        assert_eq!(
            logged(given),
            [
                "ERROR ours",
                "ERROR failed with status 503",
                "WARN eof in poll",
                "WARN stale roots",
                "ERROR response failed"
            ]
        );
        let error = filter("weir=loud").unwrap_err();
        assert!(error.starts_with("--loglevel weir=loud: "), "{error}");
    }
}
