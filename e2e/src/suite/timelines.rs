//! The recorded timelines of the peer, played on a real control plane in real time: the same
//! scenarios, comparison and intended differences as `cargo test` has on the embedded cluster in
//! virtual time.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, stream};
use http::Request;
use timelines::{Intended, Recording, Scenario, Settings, Time, Verdict};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::context::Context;
use crate::ground::Ground;
use crate::ground::controller::{Installation, PORT};
use crate::report::Report;

/// The analyses of the recordings ask the API server by this name, at the port of HTTPS.
const API_SERVER: (&str, u16) = ("kubernetes.default.svc", 443);
/// Scenarios at a time: most of each is waiting, and the recordings were made on a machine that did
/// nothing else.
const TOGETHER: usize = 4;

pub(super) async fn run(context: &Context) -> Result<Report> {
    let ground = Ground::lay(context)?;
    let _forwarder = Forwarder::start(&ground).await?;
    let installation = Installation::make(&ground, "argo-rollouts", &[]).await?;
    let controller = installation.start(&ground, "controller", PORT, &[]).await?;
    let wanted = |case: &Case| case.scenario.name.contains(&context.args.only);
    let cases = Case::all(&ground).await?.into_iter().filter(wanted);
    let verdicts: Vec<(String, Result<Verdict>)> = stream::iter(cases)
        .map(|case| async {
            let verdict = case.play(context, &ground).await;
            (case.scenario.name, verdict)
        })
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    controller.stop().await?;
    let mut report = Report::default();
    for (name, verdict) in verdicts {
        match verdict {
            Ok(verdict) if verdict.is_good() => report.pass(),
            Ok(verdict) => report.fail(&format_args!("{name}: {verdict:#?}")),
            Err(error) => report.fail(&format_args!("{name}: {error:#}")),
        }
    }
    Ok(report)
}

/// A scenario, the recording of the peer, and the differences that are intended.
struct Case {
    scenario: Scenario,
    peer: Recording,
    intended: Vec<Intended>,
}

impl Case {
    async fn all(ground: &Ground) -> Result<Vec<Self>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/timelines/recordings");
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|own| own == "yaml"));
        paths.sort();
        let recorded = version(&std::fs::read_to_string(folder.join("version.json"))?)?;
        let request = Request::get("/version").body(Vec::new())?;
        let live = version(&ground.objects.client().request_text(request).await?)?;
        let read = |path: &PathBuf| Self::read(path, (&recorded, &live));
        paths.iter().map(read).collect()
    }

    /// What the peer measured was a version of Kubernetes: `recorded`, where it is `live` here.
    fn read(scenario: &Path, (recorded, live): (&str, &str)) -> Result<Self> {
        let read = |extension: &str| {
            let path = scenario.with_extension(extension);
            std::fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        Ok(Self {
            peer: serde_json::from_str(&read("json")?.replace(recorded, live))?,
            intended: serde_json::from_str(&read("differences.json")?)?,
            scenario: Scenario::parse(&read("yaml")?)?,
        })
    }

    /// What was seen is left beside the logs.
    async fn play(&self, context: &Context, ground: &Ground) -> Result<Verdict> {
        let settings = Settings::in_real_time(&self.scenario);
        let ours = timelines::play(&context.client, &self.scenario, &settings).await?;
        let path = ground.dir.join(format!("{}.json", self.scenario.name));
        std::fs::write(&path, serde_json::to_vec_pretty(&ours)?)?;
        let found = timelines::differences(&self.peer, &ours, Time::Real);
        Ok(timelines::judge(&found, &self.intended, Time::Real))
    }
}

/// An answer to `/version` as it stands in a text of a recording: sorted, masked, quoted.
fn version(answer: &str) -> Result<String> {
    let mut version: BTreeMap<String, String> = serde_json::from_str(answer)?;
    version.insert("buildDate".to_owned(), "<time>".to_owned());
    let quoted = serde_json::to_string(&serde_json::to_string(&version)?)?;
    Ok(quoted.trim_matches('"').to_owned())
}

/// Forwards connections from [`API_SERVER`] to where the API server of this run listens.
struct Forwarder {
    task: AbortHandle,
}

impl Forwarder {
    async fn start(ground: &Ground) -> Result<Self> {
        let (host, port) = API_SERVER;
        let found = tokio::net::lookup_host(API_SERVER).await;
        let is_here = found.is_ok_and(|mut all| all.all(|address| address.ip().is_loopback()));
        ensure!(
            is_here,
            "{host} has to be an address of this host: e2e/run sees to it"
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let server = ground.api_server()?;
        let task = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move {
                    if let Ok(mut there) = TcpStream::connect(server).await {
                        // Whoever hangs up first ends it for both.
                        let _ = copy_bidirectional(&mut here, &mut there).await;
                    }
                });
            }
        });
        Ok(Self {
            task: task.abort_handle(),
        })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}
