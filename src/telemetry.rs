//! Logs: one line an event, to standard error, as text or JSON.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// `--logformat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Sets the process's logging up. A filter that does not parse is an error that names it.
///
/// # Errors
/// The filter's own complaint.
pub fn init(level: &str, format: LogFormat) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(level).map_err(|error| format!("--loglevel {level}: {error}"))?;
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
