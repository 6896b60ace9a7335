//! Helm and Kustomize render what `weir install` prints. The tools are taken from WEIR_HELM and
//! WEIR_KUSTOMIZE, or from the PATH; where one is not there, its test says so and checks nothing
//! more.

use crate::choices::documented_overlay;
use deploy::{Settings, install};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// The tool's path, or a loud word that it is missing.
#[allow(
    clippy::disallowed_methods,
    reason = "a test reads where its tools are"
)]
fn tool(name: &str, variable: &str) -> Option<PathBuf> {
    let named = std::env::var(variable).ok().map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from(name));
    let found = Command::new(&path).arg("version").output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(path);
    }
    #[allow(
        clippy::print_stderr,
        reason = "what is skipped must be seen, not only be told to those who ask"
    )]
    {
        eprintln!("SKIPPED: {name} is not here; set {variable} or put it on the PATH");
    }
    None
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Objects by kind and name, so that their order does not matter.
fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let named = objects.into_iter().map(|object| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        (
            format!("{} {name}", object["kind"].as_str().unwrap()),
            object,
        )
    });
    named.collect()
}

fn rendered(text: &str) -> BTreeMap<String, Value> {
    by_name(gocompat::yaml::from_str(text).unwrap())
}

fn assert_same(rendered: &BTreeMap<String, Value>, wanted: &BTreeMap<String, Value>) {
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(rendered), names(wanted));
    for (name, object) in wanted {
        assert_eq!(&rendered[name], object, "{name}");
    }
}

fn settings(namespaced: bool) -> Settings {
    Settings {
        namespaced,
        ..Settings::default()
    }
}

fn helm_template(path: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(path);
    command
        .args(["template", "weir"])
        .arg(folder().join("helm/weir"))
        .args([
            "--namespace",
            Settings::NAMESPACE,
            "--kube-version",
            "1.34.0",
        ])
        .args(more);
    command
}

fn helm(path: &Path, more: &[&str]) -> String {
    output(&mut helm_template(path, more))
}

#[test]
fn helm_renders_what_the_binary_prints() {
    let Some(path) = tool("helm", "WEIR_HELM") else {
        return;
    };
    let mut wanted = by_name(install(&settings(false)));
    // `--create-namespace` makes it.
    wanted.remove(&format!("Namespace {}", Settings::NAMESPACE));
    assert_same(&rendered(&helm(&path, &["--include-crds"])), &wanted);
    let wanted = by_name(install(&settings(true)));
    assert_same(
        &rendered(&helm(&path, &["--set", "namespaced=true"])),
        &wanted,
    );
    output(
        Command::new(&path)
            .args(["lint", "--strict", "--kube-version", "1.34.0"])
            .arg(folder().join("helm/weir")),
    );
}

#[test]
fn helm_renders_what_the_binary_prints_elsewhere_and_without_gitops() {
    let Some(path) = tool("helm", "WEIR_HELM") else {
        return;
    };
    for (namespaced, gitops) in [(false, true), (false, false), (true, true), (true, false)] {
        let settings = Settings {
            namespace: "team-a".to_owned(),
            namespaced,
            gitops,
            ..Settings::default()
        };
        let mut wanted = by_name(install(&settings));
        // The tool makes these.
        let of_tool = ["Namespace ", "CustomResourceDefinition "];
        wanted.retain(|name, _| !of_tool.iter().any(|kind| name.starts_with(kind)));
        let values = format!("namespaced={namespaced},gitops={gitops}");
        let text = helm(&path, &["--namespace", "team-a", "--set", &values]);
        assert_same(&rendered(&text), &wanted);
    }
}

#[test]
fn helm_puts_in_what_its_values_say() {
    let Some(path) = tool("helm", "WEIR_HELM") else {
        return;
    };
    let values = [
        "--set",
        "replicas=3,instanceId=blue,gitopsCommonRole=false,networkPolicy.enabled=false",
        "--set",
        "image.repository=registry.example/weir,image.tag=v9",
        "--set",
        "extraArgs={--git-poll=30,--loglevel=debug}",
        "--set",
        "nodeSelector.disk=fast,serviceMonitor.enabled=true,prometheusRule.enabled=true",
        "--set",
        "resources.limits.memory=4Gi",
    ];
    let objects = rendered(&helm(&path, &values));
    let spec = &objects["Deployment weir"]["spec"];
    assert_eq!(spec["replicas"], 3);
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["nodeSelector"], json!({"disk": "fast"}));
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "registry.example/weir:v9");
    assert_eq!(container["resources"]["limits"]["memory"], "4Gi");
    let arguments = container["args"].as_array().unwrap();
    let last = &arguments[arguments.len() - 3..];
    assert_eq!(
        last,
        ["--instance-id=blue", "--git-poll=30", "--loglevel=debug"]
    );
    assert!(!objects.contains_key("NetworkPolicy weir"));
    assert!(!objects.contains_key("ClusterRole weir-gitops-common"));
    assert!(objects.contains_key("ServiceMonitor weir"));
    let rules = &objects["PrometheusRule weir"]["spec"]["groups"][0]["rules"];
    let monitoring = deploy::monitoring(&settings(false));
    assert_eq!(rules, &monitoring[1]["spec"]["groups"][0]["rules"]);
}

#[test]
fn helm_refuses_flags_that_the_rest_of_the_chart_contradicts() {
    let Some(path) = tool("helm", "WEIR_HELM") else {
        return;
    };
    let rendered_with = |namespaced: bool, flag: &str| {
        let values = format!("namespaced={namespaced},extraArgs={{--git-poll=30,{flag}}}");
        helm_template(&path, &["--set", &values]).output().unwrap()
    };
    for (namespaced, flag, word) in [
        (false, "--leader-elect=false", "keeps two from acting"),
        (false, "--namespaced", "the value namespaced"),
        (false, "--instance-id=a", "the value instanceId"),
        (false, "--gitops=false", "the value gitops"),
        (false, "--metricsport=9", "8090"),
        (false, "--healthzPort=9", "8080"),
        (false, "--git-cache=/tmp", "/var/cache/weir"),
        (false, "--pod-namespace=a", "leave it out"),
        (true, "--control-namespace=a", "leave it out"),
    ] {
        let refused = rendered_with(namespaced, flag);
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{flag}");
        let name = flag.split('=').next().unwrap();
        let said = format!("extraArgs has {name}: ");
        assert!(error.contains(&said) && error.contains(word), "{error}");
    }
    // One of a single letter may have its value right behind it.
    for flag in ["-n", "-na", "-n=a"] {
        let refused = rendered_with(true, flag);
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{flag}");
        assert!(error.contains("extraArgs has -n: "), "{error}");
        assert!(rendered_with(false, flag).status.success(), "{flag}");
    }
    // What begins with the same letters is another flag.
    for flag in ["--leader-election-id=mine", "--control-namespace=a"] {
        let taken = rendered_with(false, flag);
        assert!(taken.status.success(), "{flag}");
    }
}

#[test]
fn kustomize_builds_what_the_binary_prints() {
    let Some(path) = tool("kustomize", "WEIR_KUSTOMIZE") else {
        return;
    };
    for (overlay, namespaced) in [("cluster", false), ("namespaced", true)] {
        let folder = folder().join("kustomize/overlays").join(overlay);
        let text = output(Command::new(&path).arg("build").arg(folder));
        let mut objects = rendered(&text);
        let mut wanted = by_name(install(&settings(namespaced)));
        // A patch adds at the end.
        for objects in [&mut objects, &mut wanted] {
            let spec = &mut objects.get_mut("Deployment weir").unwrap()["spec"];
            let arguments = &mut spec["template"]["spec"]["containers"][0]["args"];
            arguments
                .as_array_mut()
                .unwrap()
                .sort_by_key(Value::to_string);
        }
        assert_same(&objects, &wanted);
    }
    let overlay = tempfile::tempdir().unwrap();
    let deploy = overlay.path().join("deploy");
    output(Command::new("cp").arg("-r").arg(folder()).arg(&deploy));
    let text = "resources: [deploy/kustomize/overlays/namespaced]\ncomponents: [deploy/kustomize/components/monitoring]\n";
    std::fs::write(overlay.path().join("kustomization.yaml"), text).unwrap();
    let text = output(Command::new(&path).arg("build").arg(overlay.path()));
    assert!(rendered(&text).contains_key("ServiceMonitor weir"));
    let file = overlay.path().join("kustomization.yaml");
    std::fs::write(file, documented_overlay()).unwrap();
    let text = output(Command::new(&path).arg("build").arg(overlay.path()));
    let objects = rendered(&text);
    let pod = &objects["Deployment weir"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["resources"]["limits"]["memory"], "4Gi");
    let arguments = container["args"].as_array().unwrap();
    assert_eq!(arguments.last().unwrap(), "--git-poll=60");
}

#[test]
fn the_committed_files_are_the_generated_ones_and_apply_without_a_tool() {
    for (name, text) in deploy::files() {
        let committed = std::fs::read_to_string(folder().join(&name)).unwrap_or_default();
        assert!(
            committed == text,
            "deploy/{name} differs: run `cargo xtask deploy`"
        );
    }
    let install = std::fs::read_to_string(folder().join("install.yaml")).unwrap();
    assert_same(
        &rendered(&install),
        &by_name(deploy::install(&settings(false))),
    );
}

/// `kubectl apply --namespace` says where; a subject that named another account would have the
/// rights.
#[test]
fn the_file_for_one_namespace_names_none() {
    let text = std::fs::read_to_string(folder().join("namespace-install.yaml")).unwrap();
    for (name, object) in rendered(&text) {
        assert_eq!(object["metadata"].get("namespace"), None, "{name}");
        let subjects = object["subjects"].as_array().into_iter().flatten();
        for subject in subjects {
            assert_eq!(subject.get("namespace"), None, "{name}");
        }
    }
}
