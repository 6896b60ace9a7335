//! The real `kubectl` over TLS on loopback. Skipped, with the reason printed, where kubectl is not
//! installed.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use apiserver::{ApiServer, kubeconfig, tls::Identity};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const DEFINITION: &str = include_str!("../fixtures/widgets.yaml");
const DEPLOYMENT: &str = include_str!("../fixtures/deployment.yaml");
const WIDGET: &str = r#"{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 3, "color": "red"}}"#;

const UNKNOWN_FIELD: &str = r#"{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "b"}, "spec": {"size": 3, "foo": 1}}"#;

struct Kubectl {
    config: PathBuf,
    _folder: tempfile::TempDir,
}

impl Kubectl {
    /// Runs one command line, split at spaces.
    async fn run(&self, line: &str, input: &str) -> (bool, String) {
        let arguments = line.split(' ');
        let mut child = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&self.config)
            .args(arguments)
            .env("HOME", self.config.parent().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .await
            .unwrap();
        let output = child.wait_with_output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    async fn ok(&self, line: &str, input: &str, wanted: &[&str]) {
        let (success, text) = self.run(line, input).await;
        assert!(success, "kubectl {line}: {text}");
        for one in wanted {
            assert!(text.contains(one), "kubectl {line}: no {one:?} in {text}");
        }
    }

    async fn fails(&self, line: &str, input: &str, wanted: &str) {
        let (success, text) = self.run(line, input).await;
        assert!(
            !success && text.contains(wanted),
            "kubectl {line}: no {wanted:?} in {text}"
        );
    }
}

async fn start() -> Option<Kubectl> {
    let found = Command::new("kubectl")
        .args(["version", "--client"])
        .output()
        .await;
    if let Err(reason) = found {
        println!("skipped: kubectl cannot be run here: {reason}");
        return None;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let identity = Identity::generate(&["127.0.0.1"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(
        &config,
        kubeconfig("weir", &format!("https://{address}"), &identity.ca_pem, "t"),
    )
    .unwrap();
    let tls = identity.server_config().unwrap();
    tokio::spawn(ApiServer::builder().build().serve(listener, Some(tls)));
    Some(Kubectl {
        config,
        _folder: folder,
    })
}

/// A command line and what its output must hold.
type Step = (&'static str, &'static [&'static str]);

const BUILT_IN: &[Step] = &[
    (
        "get deploy",
        &["NAME   READY   UP-TO-DATE   AVAILABLE   AGE", "web    0/2"],
    ),
    (
        "get deploy -o wide",
        &["CONTAINERS", "nginx:1.27", "app=web"],
    ),
    (
        "get deploy web -o yaml",
        &["kind: Deployment", "progressDeadlineSeconds: 600"],
    ),
    ("get deploy web -o json", &["\"apiVersion\": \"apps/v1\""]),
    ("get deploy web -o jsonpath={.spec.replicas}", &["2"]),
    ("describe deploy web", &["2 desired", "RollingUpdate"]),
    ("scale deploy web --replicas 3", &["scaled"]),
    ("label deploy web tier=front", &["labeled"]),
    ("annotate deploy web note=x", &["annotated"]),
    ("get deploy -l tier=front -o name", &["deployment.apps/web"]),
    (
        "patch deploy web -p {\"spec\":{\"paused\":true}}",
        &["patched"],
    ),
    (
        "patch deploy web --type merge -p {\"spec\":{\"paused\":null}}",
        &["patched"],
    ),
    (
        "patch deploy web --type json -p [{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":4}]",
        &["patched"],
    ),
    (
        "wait deploy web --for jsonpath={.spec.replicas}=4 --timeout 10s",
        &["condition met"],
    ),
    (
        "explain deploy.spec.replicas",
        &["FIELD: replicas <integer>"],
    ),
    ("run p --image busybox:1", &["pod/p created"]),
    (
        "get pods",
        &[
            "NAME   READY   STATUS    RESTARTS   AGE",
            "p      0/1     Pending   0",
        ],
    ),
    ("delete pod p", &["deleted"]),
    ("delete deploy web", &["deleted"]),
    ("api-resources", &["deployments", "deploy"]),
];

/// Commands whose bodies are protobuf.
const TYPED: &[Step] = &[
    ("auth can-i create pods", &["yes"]),
    ("create ns team", &["namespace/team created"]),
    ("create cm c --from-literal a=b", &["configmap/c created"]),
    ("get cm c -o jsonpath={.data.a}", &["b"]),
    (
        "create deploy typed --image nginx:1.27 --replicas 2 --port 80",
        &["deployment.apps/typed created"],
    ),
    (
        "expose deploy typed --port 80 --target-port 8080",
        &["service/typed exposed"],
    ),
    (
        "get svc typed -o jsonpath={.spec.ports[0].targetPort}",
        &["8080"],
    ),
    (
        "create job j --image busybox -- true",
        &["job.batch/j created"],
    ),
    (
        "create quota q --hard=cpu=1,pods=2",
        &["resourcequota/q created"],
    ),
    (
        "create pdb b --selector app=typed --min-available 50%",
        &["created"],
    ),
    (
        "autoscale deploy typed --max 5 --cpu-percent 80",
        &["autoscaled"],
    ),
    ("get hpa typed", &["Deployment/typed", "80%"]),
    (
        "get all",
        &["deployment.apps/typed", "service/typed", "job.batch/j"],
    ),
];

const CUSTOM: &[Step] = &[
    (
        "wait --for condition=established crd/widgets.example.com --timeout 10s",
        &["condition met"],
    ),
    ("get wd", &["NAME   REPLICAS   PHASE   AGE", "a      1"]),
    ("get wd -o wide", &["COLOR", "red"]),
    ("scale wd a --replicas 5", &["scaled"]),
    ("get wd a -o jsonpath={.spec.replicas}", &["5"]),
    (
        "patch wd a --subresource status --type merge -p {\"status\":{\"phase\":\"Running\"}}",
        &["patched"],
    ),
    (
        "wait wd a --for jsonpath={.status.phase}=Running --timeout 10s",
        &["condition met"],
    ),
    (
        "explain wd.spec.size",
        &["FIELD: size <integer>", "How big."],
    ),
    (
        "describe wd a",
        &["Kind:         Widget", "Phase:  Running"],
    ),
    ("label wd a x=y", &["labeled"]),
    ("annotate wd a x=y", &["annotated"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_works_on_built_in_kinds() {
    let Some(kubectl) = start().await else { return };
    kubectl
        .ok("apply -f -", DEPLOYMENT, &["deployment.apps/web created"])
        .await;
    kubectl
        .ok("apply -f -", DEPLOYMENT, &["deployment.apps/web unchanged"])
        .await;
    kubectl
        .ok(
            "apply --server-side --force-conflicts -f -",
            DEPLOYMENT,
            &["serverside-applied"],
        )
        .await;
    kubectl
        .fails("create -f -", DEPLOYMENT, "AlreadyExists")
        .await;
    for (line, wanted) in BUILT_IN {
        kubectl.ok(line, "", wanted).await;
    }
    let gone = "Error from server (NotFound): deployments.apps \"web\" not found";
    kubectl.fails("get deploy web", "", gone).await;
}

/// For a list `kubectl` reads OpenAPI v2, which it takes as protobuf only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_applied() {
    let Some(kubectl) = start().await else { return };
    let items = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"v"}},
        {"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}}"#;
    let list = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{items}]}}"#);
    let created = ["configmap/a created", "service/s created"];
    kubectl.ok("apply -f -", &list, &created).await;
    let changed = list.replace("\"port\":80", "\"port\":81");
    let outcome = ["configmap/a unchanged", "service/s configured"];
    kubectl.ok("apply -f -", &changed, &outcome).await;
    let port = "get svc s -o jsonpath={.spec.ports[*].port}";
    kubectl.ok(port, "", &["81"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_send_protobuf_work() {
    let Some(kubectl) = start().await else { return };
    for (line, wanted) in TYPED {
        kubectl.ok(line, "", wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_works_on_custom_resources() {
    let Some(kubectl) = start().await else { return };
    kubectl.ok("apply -f -", DEFINITION, &["created"]).await;
    kubectl
        .ok("create -f -", WIDGET, &["widget.example.com/a created"])
        .await;
    kubectl
        .ok(
            "apply --server-side --force-conflicts -f -",
            WIDGET,
            &["serverside-applied"],
        )
        .await;
    for (line, wanted) in CUSTOM {
        kubectl.ok(line, "", wanted).await;
    }
    let invalid = "spec.size in body should be less than or equal to 10";
    kubectl
        .fails(
            "patch wd a --type merge -p {\"spec\":{\"size\":11}}",
            "",
            invalid,
        )
        .await;
    kubectl
        .fails("apply -f -", UNKNOWN_FIELD, "unknown field \"spec.foo\"")
        .await;
    let watch = kubectl.run("get wd a -w --request-timeout 4s", "");
    let write = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        kubectl.ok("scale wd a --replicas 7", "", &["scaled"]).await;
    };
    let ((_, seen), ()) = tokio::join!(watch, write);
    assert!(
        seen.lines().any(|line| line.starts_with("a      7 ")),
        "{seen}"
    );
    kubectl.ok("delete wd a", "", &["deleted"]).await;
    kubectl
        .ok("delete crd widgets.example.com", "", &["deleted"])
        .await;
    kubectl.fails("get wd", "", "the server").await;
}
