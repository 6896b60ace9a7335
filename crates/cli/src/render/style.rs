//! Colors.

use anstyle::{AnsiColor, Style};
use engine::info::Icon;

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const BLUE: Style = AnsiColor::Cyan.on_default();
const FAINT: Style = Style::new().dimmed();

/// A sign and what it says, the sign in its color.
pub(super) fn state(icon: Icon, text: &str) -> String {
    let style = match icon {
        Icon::Ok => GREEN,
        Icon::Bad => RED,
        Icon::Warning | Icon::Paused | Icon::Unknown => YELLOW,
        Icon::Progressing | Icon::Waiting => BLUE,
        Icon::Neutral => FAINT,
    };
    if text.is_empty() {
        return format!("{style}{icon}{style:#}");
    }
    format!("{style}{icon}{style:#} {text}")
}

/// The role of a ReplicaSet.
pub(super) fn role(word: &str) -> String {
    let style = match word {
        "stable" | "active" => GREEN,
        "canary" | "preview" | "ping" | "pong" => YELLOW,
        _ => return word.to_owned(),
    };
    format!("{style}{word}{style:#}")
}

/// A word that says whether something is well.
pub(super) fn verdict(word: &str) -> String {
    let style = match word {
        "Synced" | "Healthy" | "Succeeded" => GREEN,
        "OutOfSync" | "Missing" | "Suspended" => YELLOW,
        "Degraded" | "Failed" | "Error" | "SyncFailed" => RED,
        "Progressing" | "Running" => BLUE,
        _ => return word.to_owned(),
    };
    format!("{style}{word}{style:#}")
}
