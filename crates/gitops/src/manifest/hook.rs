//! Hooks: manifests that are run at a point of a sync instead of being part of the state.

use crate::resource::annotation;
use serde_json::Value;

use api::constants::gitops::HELM_HOOK_ANNOTATION;
pub use api::constants::gitops::HOOK_ANNOTATION;

/// How a manifest takes part in a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// No hook: a plain resource of the state.
    No,
    /// `Skip`, or a Helm test or rollback hook: never applied.
    Never,
    /// To be run at these points of a sync or deletion, named as in the annotation.
    At(Vec<&'static str>),
}

/// What the annotations of a manifest make of it. The Argo annotation shadows Helm's; words that
/// name no hook are ignored, as upstream does.
pub fn hook(object: &Value) -> Hook {
    let (words, name_of): (&str, fn(&str) -> Option<&'static str>) = match (
        annotation(object, HOOK_ANNOTATION),
        annotation(object, HELM_HOOK_ANNOTATION),
    ) {
        (Some(words), _) => (words, argo_phase),
        (None, Some(words)) => (words, helm_phase),
        (None, None) => return Hook::No,
    };
    let mut phases = Vec::new();
    let mut never = false;
    for word in words.split(',').map(str::trim) {
        match name_of(word) {
            Some("Skip") => never = true,
            Some("") => return Hook::No,
            Some(phase) if !phases.contains(&phase) => phases.push(phase),
            _ => {}
        }
    }
    match (phases.is_empty(), never) {
        (false, _) => Hook::At(phases),
        (true, true) => Hook::Never,
        (true, false) => Hook::No,
    }
}

fn argo_phase(word: &str) -> Option<&'static str> {
    const PHASES: [&str; 7] = [
        "PreSync",
        "Sync",
        "PostSync",
        "SyncFail",
        "Skip",
        "PreDelete",
        "PostDelete",
    ];
    PHASES.into_iter().find(|phase| *phase == word)
}

/// `""` stands for a plain resource.
fn helm_phase(word: &str) -> Option<&'static str> {
    match word {
        "pre-install" | "pre-upgrade" => Some("PreSync"),
        "post-install" | "post-upgrade" => Some("PostSync"),
        "pre-delete" => Some("PreDelete"),
        "post-delete" => Some("PostDelete"),
        "crd-install" => Some(""),
        "test" | "test-success" | "test-failure" | "pre-rollback" | "post-rollback" => Some("Skip"),
        _ => None,
    }
}
