//! `create`: objects from files, and analysis runs from templates.

use crate::world::{World, gvk, rollout, template};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Files that go away with it.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn object(&self, name: &str, object: &Value) -> String {
        // JSON is YAML.
        self.write(name, &object.to_string())
    }
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name},
        "spec": spec,
    })
}

fn without_status() -> Value {
    let mut rollout = rollout(&Value::Null);
    rollout.as_object_mut().unwrap().remove("status");
    rollout
}

/// Metrics with an argument that must be given.
fn measuring(metric: &str) -> Value {
    json!({
        "args": [{"name": "host"}, {"name": "port", "value": "80"}],
        "metrics": [{
            "name": metric, "successCondition": "true",
            "provider": {"prometheus": {"address": "http://{{args.host}}", "query": "up"}},
        }],
    })
}

#[tokio::test]
async fn objects_of_files_are_created() {
    let (world, files) = (World::new(), Files::new());
    let experiment = json!({"templates": [{
        "name": "a", "selector": {"matchLabels": {"app": "app"}}, "template": template("demo:blue"),
    }]});
    let rollout = files.object("rollout.yaml", &without_status());
    let rest = [
        object("Experiment", "exp", &experiment),
        object("AnalysisTemplate", "here", &measuring("up")),
        object("ClusterAnalysisTemplate", "everywhere", &measuring("up")),
        object("AnalysisRun", "run", &json!({"metrics": []})),
    ];
    let documents: Vec<String> = rest.iter().map(Value::to_string).collect();
    let rest = files.write("rest.yaml", &documents.join("\n---\n"));
    let done = world
        .run(&["create", "-f", &rollout, "--filename", &rest])
        .await;
    assert_eq!(
        done.ok(),
        "rollout.argoproj.io/app created\n\
         experiment.argoproj.io/exp created\n\
         analysistemplate.argoproj.io/here created\n\
         analysistemplate.argoproj.io/everywhere created\n\
         analysisrun.argoproj.io/run created\n"
    );
    assert_eq!(world.get("Rollout", "app")["spec"]["replicas"], 2);
    let again = world.run(&["create", "-f", &rollout]).await.failed();
    assert_eq!(
        again,
        "cannot create rollout \"app\": rollouts.argoproj.io \"app\" already exists"
    );
}

#[tokio::test]
async fn an_object_goes_where_it_says_and_else_where_the_flags_say() {
    let (world, files) = (World::new(), Files::new());
    let mut there = object("AnalysisTemplate", "there", &measuring("up"));
    there["metadata"]["namespace"] = json!("argocd");
    let there = files.object("there.yaml", &there);
    let flagged = files.object("b.yaml", &object("AnalysisTemplate", "b", &measuring("up")));
    world.run(&["create", "-f", &there]).await.ok();
    world
        .run(&["create", "-n", "argocd", "-f", &flagged])
        .await
        .ok();
    for name in ["there", "b"] {
        world
            .api
            .get(&gvk("AnalysisTemplate"), Some("argocd"), name)
            .unwrap();
    }
}

#[tokio::test]
async fn a_mistyped_field_is_refused_wherever_it_is() {
    let (world, files) = (World::new(), Files::new());
    let mut in_spec = without_status();
    in_spec["spec"]["replcas"] = json!(1);
    let in_spec = files.object("spec.yaml", &in_spec);
    let failed = world.run(&["create", "-f", &in_spec]).await.failed();
    assert!(
        failed.ends_with("strict decoding error: unknown field \"spec.replcas\""),
        "{failed}"
    );
    let mut in_pod = without_status();
    in_pod["spec"]["template"]["spec"]["containers"][0]["imgae"] = json!("x");
    let in_pod = files.object("pod.yaml", &in_pod);
    // The good one before it is not created either.
    let good = files.object("good.yaml", &without_status());
    let failed = world
        .run(&["create", "-f", &good, "-f", &in_pod])
        .await
        .failed();
    assert_eq!(
        failed,
        format!(
            "{in_pod}: strict decoding error: unknown field \
             \"spec.template.spec.containers[0].imgae\""
        )
    );
    let twice = files.write("twice.yaml", "kind: Rollout\nkind: Rollout\n");
    let failed = world.run(&["create", "-f", &twice]).await.failed();
    assert!(
        failed.starts_with(&format!("{twice}: line 2, column 1: ")),
        "{failed}"
    );
    assert!(world.api.get(&gvk("Rollout"), Some("demo"), "app").is_err());
}

#[tokio::test]
async fn what_cannot_be_created_is_said_in_the_words_of_the_peer() {
    let (world, files) = (World::new(), Files::new());
    let deployment = files.write("d.yaml", "apiVersion: apps/v1\nkind: Deployment\n");
    let pod = files.write("p.yaml", "apiVersion: v1\nkind: Pod\n");
    let rollout = files.object("r.yaml", &without_status());
    let absent = format!("{rollout}.gone");
    let nothing = files.write("n.yaml", "---\n");
    for (args, said) in [
        (
            &["-f", &deployment][..],
            "creates of apps/Deployment unsupported".to_owned(),
        ),
        (&["-f", &pod], "creates of /Pod unsupported".to_owned()),
        (
            &["-f", &rollout, "-f", &rollout, "-w"],
            "Cannot watch multiple resources".to_owned(),
        ),
        (
            &["-f", &absent],
            format!("{absent}: No such file or directory (os error 2)"),
        ),
        (
            &["-f", &nothing],
            format!("{nothing}: there is no object in it"),
        ),
    ] {
        let args = [&["create"], args].concat();
        assert_eq!(world.run(&args).await.failed(), said);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_created_is_watched_where_it_was_created() {
    let (world, files) = (World::new(), Files::new());
    let mut rollout = without_status();
    rollout["metadata"]["namespace"] = json!("argocd");
    let file = files.object("r.yaml", &rollout);
    let (mut cx, captured) = world.cli();
    let create = cli::execute(&mut cx, ["kubectl-weir", "create", "-f", &file, "-w"]);
    let limit = std::time::Duration::from_secs(5);
    assert!(tokio::time::timeout(limit, create).await.is_err());
    let out = captured.out();
    assert!(
        out.starts_with("rollout.argoproj.io/app created\nName:"),
        "{out}"
    );
    assert!(out.contains("Namespace:       argocd"), "{out}");
}

/// The only run of the namespace.
fn the_run(world: &World) -> Value {
    let runs = world.api.list(&gvk("AnalysisRun"), Some("demo"));
    assert_eq!(runs.len(), 1);
    (*runs[0]).clone()
}

#[tokio::test]
async fn a_run_is_made_of_a_template_and_those_it_includes() {
    let world = World::new();
    let mut outer = measuring("outer");
    outer["templates"] = json!([{"templateName": "inner", "clusterScope": true}]);
    world.create(object("AnalysisTemplate", "outer", &outer));
    let inner = object("ClusterAnalysisTemplate", "inner", &measuring("inner"));
    world
        .api
        .create(&gvk("ClusterAnalysisTemplate"), None, inner)
        .unwrap();
    let unresolved = world
        .run(&["create", "analysisrun", "--from", "outer"])
        .await;
    assert_eq!(unresolved.failed(), "args.host was not resolved");
    let args = [
        "create",
        "ar",
        "--from",
        "outer",
        "-a",
        "host=web=1",
        "--instance-id",
        "blue",
    ];
    let out = world.run(&args).await.ok();
    let run = the_run(&world);
    let name = run["metadata"]["name"].as_str().unwrap();
    assert_eq!(out, format!("analysisrun.argoproj.io/{name} created\n"));
    assert!(name.starts_with("outer-"), "{name}");
    let label = &run["metadata"]["labels"]["argo-rollouts.argoproj.io/controller-instance-id"];
    assert_eq!(label, "blue");
    let want = json!([{"name": "host", "value": "web=1"}, {"name": "port", "value": "80"}]);
    assert_eq!(run["spec"]["args"], want);
    let metrics = run["spec"]["metrics"].as_array().unwrap();
    let names: Vec<_> = metrics.iter().map(|metric| &metric["name"]).collect();
    assert_eq!(names, ["outer", "inner"]);
}

#[tokio::test]
async fn a_run_is_made_of_a_file() {
    let (world, files) = (World::new(), Files::new());
    let mut template = object("AnalysisTemplate", "", &measuring("up"));
    template["metadata"] = json!({});
    let nameless = files.object("t.yaml", &template);
    let from_file = ["create", "ar", "--from-file", &nameless, "-a", "host=web"];
    let failed = world.run(&from_file).await.failed();
    assert_eq!(
        failed,
        "the template has no name: one of --name or --generate-name must be specified"
    );
    let named = [&from_file[..], &["--name", "once"]].concat();
    let out = world.run(&named).await.ok();
    assert_eq!(out, "analysisrun.argoproj.io/once created\n");
    let made_up = [&from_file[..], &["--generate-name", "x-"]].concat();
    let out = world.run(&made_up).await.ok();
    assert!(out.starts_with("analysisrun.argoproj.io/x-"), "{out}");

    template["spec"]["metrics"][0]["sucessCondition"] = json!("true");
    let mistyped = files.object("m.yaml", &template);
    let failed = world
        .run(&["create", "ar", "--from-file", &mistyped])
        .await
        .failed();
    assert_eq!(
        failed,
        format!(
            "{mistyped}: strict decoding error: unknown field \"spec.metrics[0].sucessCondition\""
        )
    );
    let other = files.object("r.yaml", &without_status());
    let failed = world
        .run(&["create", "ar", "--from-file", &other])
        .await
        .failed();
    assert_eq!(
        failed,
        format!("{other}: there is no analysis template in it")
    );
}

#[tokio::test]
async fn a_run_is_of_one_template_that_is_there() {
    let world = World::new();
    let neither = "one of --from or --from-file must be specified";
    for (args, said) in [
        (&[][..], neither),
        (&["--from", "a", "--from-file", "b"], neither),
        (
            &["--from", "a"],
            "analysistemplate.argoproj.io \"a\" not found",
        ),
        (
            &["--from", "a", "--global"],
            "clusteranalysistemplate.argoproj.io \"a\" not found",
        ),
    ] {
        let args = [&["create", "analysisrun"], args].concat();
        assert_eq!(world.run(&args).await.failed(), said);
    }
}

#[tokio::test]
async fn a_cluster_that_does_not_know_the_kind_of_the_template_is_told_apart() {
    // The answer of a group that is not served is plain text.
    let bare = apiserver::ApiServer::builder().build();
    for (flag, kind) in [
        (None, "analysis template"),
        (Some("--global"), "cluster analysis template"),
    ] {
        let mut args = vec!["create", "analysisrun", "--from", "a"];
        args.extend(flag);
        let done = World::run_in(World::cli_with(bare.client()), &args).await;
        let failed = done.failed();
        assert!(
            failed.starts_with(&format!(
                "{kind} \"a\": this cluster does not know the kind"
            )),
            "{failed}"
        );
    }
}
