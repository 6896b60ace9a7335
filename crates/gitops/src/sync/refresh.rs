//! Requests to look at Git now (gitops.md item 28).

use api::Application;
use api::constants::gitops::{REFRESH_ANNOTATION, REFRESH_TIMESTAMP_ANNOTATION};

/// What `argocd.argoproj.io/refresh: hard` says, and nothing else does.
const HARD: &str = "hard";

/// A request that is still there. Two are the same as long as nothing tells them apart: another
/// word, or another `refresh-timestamp`. Whoever asks a second time, and says neither, while the
/// first look goes on, gets the answer to the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    is_hard: bool,
    /// When it was made, as whoever has made it says.
    at: Option<String>,
}

impl Refresh {
    /// The request of an Application, if it has one.
    pub fn of(app: &Application) -> Option<Self> {
        let annotations = app.metadata.annotations.as_ref()?;
        let word = annotations.get(REFRESH_ANNOTATION)?;
        Some(Self {
            is_hard: word == HARD,
            at: annotations.get(REFRESH_TIMESTAMP_ANNOTATION).cloned(),
        })
    }

    /// Whether what was rendered before does not count, though the commit is the same.
    pub fn is_hard(&self) -> bool {
        self.is_hard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn refresh(annotations: &Value) -> Option<Refresh> {
        let app: Application = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "annotations": annotations},
            "spec": {"project": "default", "destination": {}},
        }))
        .unwrap();
        Refresh::of(&app)
    }

    #[test]
    fn a_request_is_there_as_long_as_the_annotation_is() {
        assert_eq!(refresh(&json!({})), None);
        let at = json!({"argocd.argoproj.io/refresh-timestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(refresh(&at), None);
        for (word, is_hard) in [
            ("normal", false),
            ("hard", true),
            ("", false),
            ("Hard", false),
        ] {
            let asked = refresh(&json!({"argocd.argoproj.io/refresh": word}));
            assert_eq!(asked.unwrap().is_hard(), is_hard, "{word}");
        }
    }

    #[test]
    fn requests_are_told_apart_by_their_word_and_their_time() {
        let asked = |word: &str, at: &str| {
            refresh(&json!({
                "argocd.argoproj.io/refresh": word,
                "argocd.argoproj.io/refresh-timestamp": at,
            }))
        };
        let first = asked("normal", "2026-01-01T00:00:00Z");
        assert_eq!(first, asked("normal", "2026-01-01T00:00:00Z"));
        assert_ne!(first, asked("normal", "2026-01-01T00:00:01Z"));
        assert_ne!(first, asked("hard", "2026-01-01T00:00:00Z"));
        let untimed = refresh(&json!({"argocd.argoproj.io/refresh": "normal"}));
        assert_ne!(first, untimed);
    }
}
