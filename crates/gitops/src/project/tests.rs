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
        "resource :Namespace is not permitted in project team-backend"
    );
    let map = ResourceId::new("", "ConfigMap", "backend-prod", "x");
    assert_eq!(rules.permit_resource(&map, true, &in_cluster()), Ok(()));
    let elsewhere = ResourceId::new("", "ConfigMap", "kube-system", "x");
    assert_eq!(
        rules
            .permit_resource(&elsewhere, true, &in_cluster())
            .unwrap_err(),
        "namespace kube-system is not permitted in project 'team-backend'"
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

#[test]
fn nothing_but_the_host_decides_which_host_it_is() {
    for (url, host) in [
        (
            "https://evil.com?@github.com/company/infrastructure",
            "evil.com",
        ),
        (
            "https://evil.com#@github.com/company/infrastructure",
            "evil.com",
        ),
        (
            "https://evil.com\\@github.com/company/infrastructure",
            "evil.com",
        ),
        (
            "https://evil.com/@github.com/company/infrastructure",
            "evil.com",
        ),
        (
            "https://a@evil.com/x@github.com/company/infrastructure",
            "evil.com",
        ),
        ("evil.com:x@github.com/company/infrastructure", "evil.com"),
    ] {
        assert!(
            normal_url(url).starts_with(host),
            "{url}: {}",
            normal_url(url)
        );
    }
    let spec = m7();
    let rules = ProjectRules::new("team-backend", &spec);
    for (url, said) in [
        (
            "https://evil.com?@github.com/company/infrastructure",
            "repoURL must not contain '?'",
        ),
        (
            "https://evil.com#@github.com/company/infrastructure",
            "repoURL must not contain '#'",
        ),
        (
            "https://evil.com\\@github.com/company/infrastructure",
            "repoURL must not contain '\\\\'",
        ),
        ("https://github.com/company/infrastructure\n", ""),
        (
            "https://github.com/\tcompany/infrastructure",
            "repoURL must not contain '\\t'",
        ),
        (
            "https://github.com@evil.com@github.com/company/infrastructure",
            "repoURL must not contain more than one '@' before the path",
        ),
        (
            "https://github.com/company/infrastructure/../../evil/x",
            "repoURL must not contain '.' or '..' as a part of the path",
        ),
        (
            "git@github.com:%2E./evil/x",
            "repoURL must not contain '.' or '..' as a part of the path",
        ),
    ] {
        let refusal = rules.permit_source(url).err().unwrap_or_default();
        assert_eq!(refusal, said, "{url}");
    }
    // Even where everything is allowed: nobody can tell what it is.
    let odd = "https://git.example/x?y";
    assert!(ProjectRules::permissive().permit_source(odd).is_err());
}

#[test]
fn a_slash_at_the_end_of_a_server_leads_past_no_rule() {
    let spec: AppProjectSpec = serde_json::from_value(json!({
        "destinations": [
            {"namespace": "*", "server": "*"},
            {"namespace": "*", "server": "!https://prod.example"},
            {"namespace": "*", "server": "!https://stage.example/"},
        ],
    }))
    .unwrap();
    let rules = ProjectRules::new("p", &spec);
    let permits = |server: &str| {
        let destination = ApplicationDestination {
            server: Some(server.to_owned()),
            ..Default::default()
        };
        rules.permit_destination(&destination, "shop").is_ok()
    };
    assert!(permits("https://kubernetes.default.svc/"));
    for server in ["https://prod.example", "https://stage.example"] {
        assert!(
            !permits(server) && !permits(&format!("{server}/")),
            "{server}"
        );
    }
}

#[test]
fn namespaces_of_applications_are_globs_or_regular_expressions() {
    let permit = |patterns: &[&str], namespace: &str| {
        let spec: AppProjectSpec =
            serde_json::from_value(json!({"sourceNamespaces": patterns})).unwrap();
        ProjectRules::new("p", &spec).permit_app_namespace(namespace)
    };
    assert!(permit(&["team-*"], "team-a").is_ok());
    assert!(permit(&["other", "/^team-[a-c]$/"], "team-b").is_ok());
    assert!(permit(&["/^team-[a-c]$/"], "team-d").is_err());
    assert!(permit(&["/^team-[a-c]$/"], "my-team-b").is_err());
    assert!(permit(&["/team/"], "my-team-b").is_ok(), "a part is enough");
    // A glob that happens to begin with a slash.
    assert!(permit(&["/"], "team-a").is_err());
    assert_eq!(
        permit(&["x", "/^(?!kube-)/", "/(/"], "team-a").unwrap_err(),
        "applications in namespace 'team-a' are not permitted to use project 'p' (sourceNamespaces: x, \
         /^(?!kube-)/, /(/; /^(?!kube-)/ can't be read as a regular expression: look-around, including \
         look-ahead and look-behind, is not supported; /(/ can't be read as a regular expression: unclosed \
         group)"
    );
}

#[test]
fn what_is_too_long_for_a_rule_is_not_read() {
    let spec: AppProjectSpec =
        serde_json::from_value(json!({"sourceRepos": ["*"], "sourceNamespaces":
            [format!("/team{}/", "|a".repeat(3_000))]}))
        .unwrap();
    let rules = ProjectRules::new("p", &spec);
    let refusal = rules.permit_app_namespace("team-a").unwrap_err();
    assert!(
        refusal.ends_with("; a regular expression of 6004 bytes is too long: it may have 4096)"),
        "{refusal}"
    );
    // Nobody knows what it would forbid.
    let forbids = |field: &str| {
        let endless = format!("!{}", "?".repeat(5_000));
        let (repos, namespace) = match field {
            "sourceRepos" => (json!(["*", endless]), json!("*")),
            _ => (json!(["*"]), json!(endless)),
        };
        let spec: AppProjectSpec = serde_json::from_value(json!({
            "sourceRepos": repos, "destinations": [{"server": "*", "namespace": namespace}],
        }))
        .unwrap();
        let rules = ProjectRules::new("p", &spec);
        let here: ApplicationDestination =
            serde_json::from_value(json!({"name": "in-cluster"})).unwrap();
        let source = rules.permit_source(REPO);
        let place = rules.permit_destination(&here, "a");
        (source.is_err(), place.is_err())
    };
    assert_eq!(forbids("sourceRepos"), (true, false));
    assert_eq!(forbids("destinations"), (false, true));
    let url = format!("https://git.example/{}", "x".repeat(5_000));
    assert_eq!(
        rules.permit_source(&url).unwrap_err(),
        "repoURL must not be longer than 4096 bytes"
    );
}

#[test]
fn kinds_that_are_forbidden_by_what_is_not_read_are_all_forbidden() {
    let endless = "?".repeat(5_000);
    let permits = |field: &str, rule: serde_json::Value| {
        let mut spec = json!({"destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}]});
        spec[field] = json!([rule]);
        let spec: AppProjectSpec = serde_json::from_value(spec).unwrap();
        let namespaced = field.starts_with("namespace");
        let namespace = if namespaced { "n" } else { "" };
        let id = ResourceId::new("", "Anything", namespace, "x");
        ProjectRules::new("p", &spec)
            .permit_resource(&id, namespaced, &in_cluster())
            .is_ok()
    };
    for field in ["namespaceResourceBlacklist", "clusterResourceBlacklist"] {
        assert!(permits(field, json!({"group": "*", "kind": "Other"})));
        assert!(!permits(field, json!({"group": endless, "kind": "Other"})));
        assert!(!permits(field, json!({"group": "*", "kind": endless})));
    }
    let named = json!({"group": "*", "kind": "Other", "name": endless});
    assert!(!permits("clusterResourceBlacklist", named));
}

#[test]
fn fields_that_restrict_and_are_not_followed_are_named() {
    let spec: AppProjectSpec = serde_json::from_value(json!({
        "signatureKeys": [{"keyID": "4AEE18F83AFDEB23"}],
        "sourceIntegrity": {"git": {}},
        "destinationServiceAccounts": [{"server": "*", "defaultServiceAccount": "deployer"}],
        "permitOnlyProjectScopedClusters": true,
    }))
    .unwrap();
    assert_eq!(
        ProjectRules::new("p", &spec).unsupported(),
        [
            "signatureKeys",
            "sourceIntegrity",
            "destinationServiceAccounts",
            "permitOnlyProjectScopedClusters"
        ]
    );
    let spec: AppProjectSpec = serde_json::from_value(json!({
        "sourceIntegrity": {}, "permitOnlyProjectScopedClusters": false,
    }))
    .unwrap();
    assert_eq!(
        ProjectRules::new("p", &spec).unsupported(),
        Vec::<&str>::new()
    );
}
