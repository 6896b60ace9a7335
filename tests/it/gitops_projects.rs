//! Projects that are being deleted.

use crate::git::{CONTROL, GitWorld, application};
use crate::world::gvk;
use apiserver::DeleteOptions;

const PROJECT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata:
  name: team
  namespace: argocd
  finalizers: [resources-finalizer.argocd.argoproj.io]
spec: {}
";

fn delete(world: &GitWorld, kind: &str, name: &str) {
    let options = DeleteOptions::default();
    world
        .api
        .delete(&gvk(kind), Some(CONTROL), name, &options)
        .unwrap();
}

fn is_there(world: &GitWorld) -> bool {
    world.find("AppProject", CONTROL, "team").is_some()
}

#[tokio::test(start_paused = true)]
async fn a_project_without_applications_goes_when_it_is_deleted() {
    let world = GitWorld::start();
    world.apply(PROJECT);
    world.sleep(20).await;
    assert!(is_there(&world), "nobody has deleted it");
    delete(&world, "AppProject", "team");
    world.sleep(10).await;
    assert!(!is_there(&world));
}

#[tokio::test(start_paused = true)]
async fn a_project_stays_until_its_last_application_is_gone() {
    let world = GitWorld::start();
    world.apply(PROJECT);
    let app = application("plain", "plain", "{}").replace("project: default", "project: team");
    world.apply(&app);
    world.sleep(10).await;
    delete(&world, "AppProject", "team");
    world.sleep(60).await;
    assert!(is_there(&world), "it is used");
    delete(&world, "Application", "plain");
    world.sleep(10).await;
    assert!(!is_there(&world));
}

/// One that another instance looks after, and that is in no cache of this one.
#[tokio::test(start_paused = true)]
async fn a_project_stays_for_an_application_of_another_instance() {
    let world = GitWorld::start();
    world.apply(PROJECT);
    let app = application("plain", "plain", "{}").replace("project: default", "project: team");
    let labels = "labels: {argo-rollouts.argoproj.io/controller-instance-id: other}";
    let labelled = format!("namespace: argocd, {labels}}}");
    let other = app.replacen("namespace: argocd}", &labelled, 1);
    assert_ne!(other, app);
    world.apply(&other);
    world.sleep(10).await;
    delete(&world, "AppProject", "team");
    world.sleep(150).await;
    assert!(is_there(&world), "it is used");
    delete(&world, "Application", "plain");
    // To know of it all Applications have to be listed, which is not done at each look.
    world.sleep(70).await;
    assert!(!is_there(&world));
}
