use super::*;
use serde_json::json;

const REPO: &str = "https://github.com/company/infrastructure";

/// The AppProject of acceptance.md M7.
fn m7() -> AppProjectSpec {
    serde_json::from_value(json!({
        "destinations": [{"namespace": "backend-*", "server": "*"}],
        "sourceRepos": [REPO],
    }))
    .unwrap()
}

fn in_cluster() -> ApplicationDestination {
    ApplicationDestination {
        server: Some(IN_CLUSTER_SERVER.to_owned()),
        ..Default::default()
    }
}

#[test]
fn t78_m7_denies_production_and_allows_backend_prod() {
    let spec = m7();
    let rules = ProjectRules::new("team-backend", &spec);
    assert_eq!(
        rules.permit_destination(&in_cluster(), "backend-prod"),
        Ok(())
    );
    let denial = rules
        .permit_destination(&in_cluster(), "production")
        .unwrap_err();
    assert_eq!(
        denial,
        "application destination server 'https://kubernetes.default.svc' and namespace 'production' do \
         not match any of the allowed destinations in project 'team-backend' (destinations: * backend-*)"
    );
    assert_eq!(rules.permit_source(REPO), Ok(()));
    assert_eq!(
        rules
            .permit_source("https://github.com/other/repo")
            .unwrap_err(),
        "application repo https://github.com/other/repo is not permitted in project 'team-backend' \
         (sourceRepos: https://github.com/company/infrastructure)"
    );
}

/// F8: no clusterResourceWhitelist, so not even the namespace of CreateNamespace.
#[test]
fn m7_permits_no_cluster_scoped_kind() {
    let spec = m7();
    let rules = ProjectRules::new("team-backend", &spec);
    let namespace = ResourceId::new("", "Namespace", "", "backend-prod");
    assert_eq!(
        rules
            .permit_resource(&namespace, false, &in_cluster())
            .unwrap_err(),
        "resource :Namespace is not permitted in project team-backend (clusterResourceWhitelist does not list it)"
    );
    let map = ResourceId::new("", "ConfigMap", "backend-prod", "x");
    assert_eq!(rules.permit_resource(&map, true, &in_cluster()), Ok(()));
    let elsewhere = ResourceId::new("", "ConfigMap", "kube-system", "x");
    assert_eq!(
        rules
            .permit_resource(&elsewhere, true, &in_cluster())
            .unwrap_err(),
        "namespace kube-system is not permitted in project 'team-backend' (destinations)"
    );
}

#[test]
fn t79_the_default_project_permits_everything() {
    let rules = ProjectRules::permissive();
    assert_eq!(
        rules.permit_source("https://anything.example/x.git"),
        Ok(())
    );
    assert_eq!(rules.permit_source("/srv/git/x"), Ok(()));
    assert_eq!(
        rules.permit_destination(&in_cluster(), "production"),
        Ok(())
    );
    let role = ResourceId::new("rbac.authorization.k8s.io", "ClusterRole", "", "r");
    assert_eq!(rules.permit_resource(&role, false, &in_cluster()), Ok(()));
}

#[test]
fn lists_of_kinds_subtract() {
    let spec: AppProjectSpec = serde_json::from_value(json!({
        "destinations": [{"namespace": "*", "server": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*", "name": "team-*"}],
        "clusterResourceBlacklist": [{"group": "", "kind": "Namespace"}],
        "namespaceResourceBlacklist": [{"group": "", "kind": "Secret*"}],
    }))
    .unwrap();
    let rules = ProjectRules::new("p", &spec);
    let permits = |group: &str, kind: &str, namespace: &str, name: &str| {
        let id = ResourceId::new(group, kind, namespace, name);
        rules
            .permit_resource(&id, !namespace.is_empty(), &in_cluster())
            .is_ok()
    };
    assert!(permits("storage.k8s.io", "StorageClass", "", "team-a"));
    assert!(!permits("storage.k8s.io", "StorageClass", "", "other"));
    assert!(!permits("", "Namespace", "", "team-a"));
    assert!(permits("", "ConfigMap", "n", "x"));
    assert!(!permits("", "Secret", "n", "x"));
    let none = AppProjectSpec {
        namespace_resource_whitelist: Some(vec![]),
        ..spec.clone()
    };
    let rules = ProjectRules::new("p", &none);
    let map = ResourceId::new("", "ConfigMap", "n", "x");
    assert!(rules.permit_resource(&map, true, &in_cluster()).is_err());
}

#[test]
fn denials_win() {
    let spec: AppProjectSpec = serde_json::from_value(json!({
        "sourceRepos": ["*", "!https://git.example/secret/**"],
        "destinations": [
            {"namespace": "*", "server": "*"},
            {"namespace": "!kube-system", "server": "*"},
            {"namespace": "*", "server": "!https://prod.example"},
        ],
    }))
    .unwrap();
    let rules = ProjectRules::new("p", &spec);
    assert!(rules.permit_source("https://git.example/open/x").is_ok());
    assert!(
        rules
            .permit_source("https://GIT.example/secret/x.git")
            .is_err()
    );
    assert!(rules.permit_destination(&in_cluster(), "shop").is_ok());
    assert!(
        rules
            .permit_destination(&in_cluster(), "kube-system")
            .is_err()
    );
    let prod = ApplicationDestination {
        server: Some("https://prod.example".to_owned()),
        ..Default::default()
    };
    assert!(rules.permit_destination(&prod, "shop").is_err());
}

#[test]
fn urls_of_one_repository_are_equal() {
    for url in [
        "https://github.com/Company/Infrastructure.git",
        "https://user@github.com/company/infrastructure/",
        "git@github.com:company/infrastructure.git",
        "ssh://git@github.com/company/infrastructure",
    ] {
        assert_eq!(
            normal_url(url),
            "github.com/company/infrastructure",
            "{url}"
        );
    }
}
