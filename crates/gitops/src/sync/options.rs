//! Sync options (gitops.md §9).

use crate::resource::annotation;
use api::constants::gitops::SYNC_OPTIONS_ANNOTATION;
use plan::Propagation;
use serde_json::Value;

/// Options that are followed, or that are met by how things are done here anyway: everything is
/// applied by server-side apply, validated by the API server, and only where it is out of sync.
const FOLLOWED: [&str; 20] = [
    "Prune=true",
    "Prune=false",
    "Prune=confirm",
    "Delete=true",
    "Delete=false",
    "Delete=confirm",
    "PruneLast=true",
    "PruneLast=false",
    "PrunePropagationPolicy=foreground",
    "PrunePropagationPolicy=background",
    "PrunePropagationPolicy=orphan",
    "Replace=true",
    "Validate=true",
    "SkipDryRunOnMissingResource=true",
    "ServerSideApply=true",
    "ClientSideApplyMigration=false",
    "ApplyOutOfSyncOnly=true",
    "CreateNamespace=true",
    "FailOnSharedResource=true",
    "RespectIgnoreDifferences=true",
];

/// Followed where an object asks for it, and nowhere else.
const FORCE: &str = "Force=true";

/// The options of an Application or an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyncOptions<'a>(pub(super) &'a [String]);

impl SyncOptions<'_> {
    pub(super) fn has(self, option: &str) -> bool {
        self.0.iter().any(|own| own.trim() == option)
    }

    pub(super) fn propagation(self) -> Propagation {
        if self.has("PrunePropagationPolicy=orphan") {
            Propagation::Orphan
        } else if self.has("PrunePropagationPolicy=background") {
            Propagation::Background
        } else {
            Propagation::Foreground
        }
    }

    /// How an object that is created anew is deleted before: as `kubectl` does it, unless a policy
    /// is named.
    pub(super) fn recreation(self) -> Propagation {
        if self.has("PrunePropagationPolicy=foreground") {
            return Propagation::Foreground;
        }
        match self.propagation() {
            Propagation::Foreground => Propagation::Background,
            named => named,
        }
    }

    /// Options that are not followed. `X=false` of a known switch asks for nothing.
    pub(super) fn unsupported(self) -> Vec<String> {
        self.0
            .iter()
            .filter_map(|option| unsupported(option.trim()))
            .collect()
    }

    /// The same, without those that `known` has as well.
    pub(super) fn unsupported_beside(self, known: Self) -> Vec<String> {
        let own = self.0.iter().map(|option| option.trim());
        own.filter(|option| !known.has(option))
            .filter_map(unsupported)
            .collect()
    }
}

/// An option that is not followed, with the reason; `None` if it is.
fn unsupported(option: &str) -> Option<String> {
    const KNOWN: [(&str, &str); 4] = [
        (
            FORCE,
            "Force=true (it counts in the annotation of an object; an operation forces by its \
             syncStrategy)",
        ),
        (
            "Validate=false",
            "Validate=false (the API server always validates)",
        ),
        (
            "ServerSideApply=false",
            "ServerSideApply=false (server-side apply is the only way)",
        ),
        ("", "an empty option"),
    ];
    if FOLLOWED.contains(&option) {
        return None;
    }
    if let Some((_, why)) = KNOWN.iter().find(|(known, _)| *known == option) {
        return Some((*why).to_owned());
    }
    // `Replace=false` and the like ask for what happens anyway.
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let is_switch = FOLLOWED
        .iter()
        .copied()
        .chain(KNOWN.iter().map(|(known, _)| *known))
        .any(|known| {
            known
                .split_once('=')
                .is_some_and(|(known, _)| known == name)
        });
    if is_switch && matches!(value, "true" | "false") {
        return None;
    }
    Some(format!("{option} (an option that is not known)"))
}

/// Whether an object carries an option in its annotation.
pub(super) fn object_has(object: &Value, option: &str) -> bool {
    annotation(object, SYNC_OPTIONS_ANNOTATION)
        .is_some_and(|list| list.split(',').any(|own| own.trim() == option))
}

/// Options of an object that are not followed.
pub(super) fn object_unsupported(object: &Value) -> Vec<String> {
    annotation(object, SYNC_OPTIONS_ANNOTATION)
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|option| *option != FORCE)
        .filter_map(unsupported)
        .collect()
}
