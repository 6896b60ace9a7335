//! What becomes of an object that Git does not declare any more (`Prune`), or whose Application is
//! deleted (`Delete`): it goes, it stays, or somebody has to confirm that it goes (gitops.md items
//! 64, 65). The annotation of the Application that confirms it is good for what was asked before it
//! was made, and for nothing later.

use super::assess::sync_options;
use super::options::{SyncOptions, object_has};
use super::snapshot::ApplicationSnapshot;
use crate::resource::ResourceId;
use api::Application;
use api::constants::gitops::DELETION_APPROVED_ANNOTATION;
use jiff::Timestamp;
use serde_json::Value;

/// What is said of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// It goes.
    Unasked,
    /// It goes once somebody has confirmed that.
    Confirmed,
    /// It stays.
    Never,
}

type Words = [(&'static str, Removal); 3];

const PRUNE: Words = [
    ("Prune=false", Removal::Never),
    ("Prune=confirm", Removal::Confirmed),
    ("Prune=true", Removal::Unasked),
];
const DELETE: Words = [
    ("Delete=false", Removal::Never),
    ("Delete=confirm", Removal::Confirmed),
    ("Delete=true", Removal::Unasked),
];

/// Of a sync that prunes. The object says so itself, or else the operation does, or else the
/// Application: an operation that somebody has written by hand names no options, and was not meant
/// to delete what the Application keeps.
pub(super) fn of_pruning(
    snapshot: &ApplicationSnapshot,
    id: &ResourceId,
    options: SyncOptions<'_>,
) -> Removal {
    let live = snapshot.live.get(id);
    let of_app = SyncOptions(sync_options(&snapshot.app));
    let object = |option: &str| live.is_some_and(|live| object_has(live, option));
    let operation = |option: &str| options.has(option);
    let application = |option: &str| of_app.has(option);
    first_word(&PRUNE, &[&object, &operation, &application])
}

/// Of the deletion of its Application, which has these options. The object goes before it.
pub(super) fn of_deletion(object: &Value, options: SyncOptions<'_>) -> Removal {
    let own = |option: &str| object_has(object, option);
    let application = |option: &str| options.has(option);
    first_word(&DELETE, &[&own, &application])
}

/// What the first one says that says anything.
fn first_word(words: &Words, levels: &[&dyn Fn(&str) -> bool]) -> Removal {
    let said = levels.iter().find_map(|has| {
        let word = words.iter().find(|(option, _)| has(option));
        word.map(|(_, removal)| *removal)
    });
    said.unwrap_or(Removal::Unasked)
}

/// Whether somebody has to confirm the one or the other of what lives.
pub(super) fn needs_confirmation(snapshot: &ApplicationSnapshot, id: &ResourceId) -> bool {
    let options = SyncOptions(sync_options(&snapshot.app));
    snapshot.live.get(id).is_some_and(|live| {
        of_pruning(snapshot, id, options) == Removal::Confirmed
            || of_deletion(live, options) == Removal::Confirmed
    })
}

/// Whether somebody has confirmed what was asked for at `since`.
pub(super) fn is_approved(app: &Application, since: Timestamp) -> bool {
    let annotations = app.metadata.annotations.as_ref();
    let given = annotations.and_then(|all| all.get(DELETION_APPROVED_ANNOTATION));
    let at = given.and_then(|at| at.trim().parse::<Timestamp>().ok());
    at.is_some_and(|at| at > since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn approved(at: &Value) -> Application {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "annotations": at},
            "spec": {"project": "default", "destination": {}},
        }))
        .unwrap()
    }

    #[test]
    fn only_an_approval_that_is_later_than_the_question_counts() {
        let since: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        for (at, counts) in [
            ("2026-01-01T10:00:01Z", true),
            ("2026-01-01T12:00:01+02:00", true),
            ("2026-01-01T10:00:00Z", false),
            ("2026-01-01T09:59:59Z", false),
            ("2026-01-01T11:00:00+02:00", false),
            ("yes", false),
            ("", false),
        ] {
            let app = approved(&json!({"argocd.argoproj.io/deletion-approved": at}));
            assert_eq!(is_approved(&app, since), counts, "{at}");
        }
        assert!(!is_approved(&approved(&json!({})), since));
    }

    #[test]
    fn an_object_goes_before_its_application() {
        let (keep, ask, go) = (Removal::Never, Removal::Confirmed, Removal::Unasked);
        for (own, application, said) in [
            ("Prune=false", "Prune=confirm", go),
            ("Prune=false", "Delete=false", keep),
            ("Prune=false", "Delete=confirm", ask),
            ("Delete=false", "Delete=confirm", keep),
            ("Delete=confirm", "Delete=false", ask),
            ("Delete=true", "Delete=false", go),
            ("Delete=true", "Delete=confirm", go),
            ("Delete=confirm, Delete=false", "Delete=true", keep),
        ] {
            let annotations = json!({"argocd.argoproj.io/sync-options": own});
            let object = json!({"metadata": {"name": "m", "annotations": annotations}});
            let options = [application.to_owned()];
            let case = format!("{own} of {application}");
            assert_eq!(of_deletion(&object, SyncOptions(&options)), said, "{case}");
        }
    }
}
