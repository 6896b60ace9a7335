//! What a project says: globs, repository URLs, and sync windows with their schedules. The input is
//! a JSON array: the spec of an AppProject, and an Application.
#![no_main]

use api::{AppProjectSpec, Application};
use gitops::ResourceId;
use gitops::project::ProjectRules;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok((project, app)) = serde_json::from_slice::<(AppProjectSpec, Application)>(data) else {
        return;
    };
    let rules = ProjectRules::new("fuzz", &project);
    let destination = &app.spec.destination;
    let namespace = destination.namespace.as_deref().unwrap_or_default();
    if let Some(source) = &app.spec.source {
        let _ = rules.permit_source(&source.repo_url);
    }
    let _ = rules.permit_app_namespace(namespace);
    let _ = rules.permit_destination(destination, namespace);
    let id = ResourceId::new("apps", "Deployment", namespace, "web");
    for namespaced in [true, false] {
        let _ = rules.permit_resource(&id, namespaced, destination);
    }
    let now = Timestamp::UNIX_EPOCH;
    if let Ok(windows) = rules.windows(&app) {
        let _ = windows.permit(false, Some(now), now);
        if let Some(next) = windows.next_change(now) {
            assert!(next > now, "{next} has passed");
        }
    }
});
