//! AppProjects that are being deleted (gitops.md item 23): one that Applications refer to stays
//! until they are gone, or are in another project.

use super::assess::project_name;
use api::constants::gitops::RESOURCES_FINALIZER;
use api::{AppProject, Application};
use plan::{Plan, WaitingOn};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// So many Applications are named of those that a project waits for.
const NAMED_MAX: usize = 3;

/// The Applications that are in the project of this name, as `namespace/name`.
pub fn users_of<'a>(
    project: &str,
    applications: impl IntoIterator<Item = &'a Application>,
) -> BTreeSet<String> {
    let users = applications
        .into_iter()
        .filter(|app| project_name(app) == project);
    let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
    users
        .map(|app| {
            let meta = &app.metadata;
            format!("{}/{}", text(&meta.namespace), text(&meta.name))
        })
        .collect()
}

/// Lets a project go that is being deleted and has no `users` left: our finalizer is taken off, and
/// no other.
pub fn retire(project: &AppProject, users: &BTreeSet<String>) -> Plan<()> {
    let mut plan = Plan::idle(());
    let meta = &project.metadata;
    let finalizers = meta.finalizers.as_deref().unwrap_or_default();
    let is_ours = |name: &String| name == RESOURCES_FINALIZER;
    if meta.deletion_timestamp.is_none() || !finalizers.iter().any(is_ours) {
        return plan;
    }
    if !users.is_empty() {
        let named: Vec<&str> = users.iter().take(NAMED_MAX).map(String::as_str).collect();
        let more = match users.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        plan.trace.wait(WaitingOn::Object {
            object: meta.name.clone().unwrap_or_default(),
            why: format!(
                "the project is being deleted, and is used by {}{more}: delete these Applications, or \
                 put them into another project",
                named.join(", ")
            ),
        });
        return plan;
    }
    let left: Vec<&String> = finalizers.iter().filter(|name| !is_ours(name)).collect();
    let patch: Value = json!({"metadata": {"finalizers": left}});
    plan.root.patch = Some(patch);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "example.com/own";

    fn project(is_deleting: bool, finalizers: &[&str]) -> AppProject {
        let deleted = is_deleting.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": "team", "namespace": "argocd", "finalizers": finalizers,
                "deletionTimestamp": deleted},
            "spec": {},
        }))
        .unwrap()
    }

    fn application(name: &str, project: &str) -> Application {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": {"project": project, "destination": {}},
        }))
        .unwrap()
    }

    fn users(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| format!("argocd/{name}")).collect()
    }

    #[test]
    fn a_project_goes_when_no_application_is_in_it() {
        let deleted = project(true, &[RESOURCES_FINALIZER, OWN]);
        let plan = retire(&deleted, &BTreeSet::new());
        let patch = json!({"metadata": {"finalizers": [OWN]}});
        assert_eq!(plan.root.patch, Some(patch));
        assert!(plan.actions.is_empty() && plan.trace.waiting_on.is_empty());
        // What is not being deleted, or has been let go, is left as it is.
        for other in [
            project(false, &[RESOURCES_FINALIZER]),
            project(true, &[OWN]),
            project(true, &[]),
        ] {
            assert_eq!(retire(&other, &BTreeSet::new()), Plan::idle(()));
        }
    }

    #[test]
    fn a_project_that_is_used_stays_and_says_by_whom() {
        let deleted = project(true, &[RESOURCES_FINALIZER]);
        let plan = retire(&deleted, &users(&["a", "b", "c", "d", "e"]));
        assert_eq!(plan.root.patch, None);
        let [WaitingOn::Object { object, why }] = plan.trace.waiting_on.as_slice() else {
            panic!("{:?}", plan.trace);
        };
        assert_eq!(object, "team");
        assert!(
            why.contains("used by argocd/a, argocd/b, argocd/c and 2 more:"),
            "{why}"
        );
    }

    #[test]
    fn the_users_of_a_project_are_those_that_name_it() {
        let all = vec![
            application("a", "team"),
            application("b", "other"),
            application("c", ""),
        ];
        assert_eq!(users_of("team", &all), users(&["a"]));
        // Who names none is in the default project.
        assert_eq!(users_of("default", &all), users(&["c"]));
        assert_eq!(users_of("nobody", &all), BTreeSet::new());
    }
}
