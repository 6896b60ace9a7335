//! `create`: objects from files, and analysis runs from templates (rollouts.md §8.1).
//!
//! All files are read before the first object is created, so that a mistake in the last one does
//! not leave half of them behind.

use super::create_run;
use super::get::{watch_experiment, watch_rollout};
use super::names::watch;
use crate::context::Context;
use crate::error::Error;
use crate::strict::mistyped;
use api::constants::GROUP;
use api::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate, Experiment, Rollout};
use clap::{Arg, ArgAction, ArgMatches, Command};
use gocompat::yaml;
use kube::Resource;
use kube::api::PostParams;
use kube::core::Request;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub(super) fn cli() -> Command {
    Command::new("create")
        .about("Create objects from files, or an analysis run from a template")
        .subcommand_negates_reqs(true)
        .arg(
            Arg::new("filename")
                .short('f')
                .long("filename")
                .value_name("FILE")
                .help("File with objects to create; may be given several times")
                .required(true)
                .action(ArgAction::Append)
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(watch(
            "Go on showing the rollout or experiment that was created",
        ))
        .subcommand(create_run::cli())
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    if let Some((_, args)) = args.subcommand() {
        return create_run::exec(cx, args).await;
    }
    let mut manifests = Vec::new();
    for file in args.get_many::<PathBuf>("filename").into_iter().flatten() {
        manifests.append(&mut Manifest::read(file)?);
    }
    let watches = args.get_flag("watch");
    if watches && manifests.len() > 1 {
        return Err(Error::Refused("Cannot watch multiple resources".to_owned()));
    }
    let mut last = None;
    for manifest in manifests {
        let name = create(cx, &manifest).await?;
        last = Some((manifest, name));
    }
    let Some((manifest, name)) = last.filter(|_| watches) else {
        return Ok(());
    };
    if let Some(namespace) = manifest.namespace() {
        cx.move_to(namespace);
    }
    match manifest.kind {
        Kind::Rollout => watch_rollout(cx, &name).await,
        Kind::Experiment => watch_experiment(cx, &name).await,
        Kind::AnalysisTemplate | Kind::ClusterAnalysisTemplate | Kind::AnalysisRun => Ok(()),
    }
}

/// What can be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rollout,
    Experiment,
    AnalysisTemplate,
    ClusterAnalysisTemplate,
    AnalysisRun,
}

impl Kind {
    fn of(object: &Value) -> Result<Self, String> {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let group = text("apiVersion")
            .split_once('/')
            .map_or("", |(group, _)| group);
        match (group, text("kind")) {
            (GROUP, "Rollout") => Ok(Self::Rollout),
            (GROUP, "Experiment") => Ok(Self::Experiment),
            (GROUP, "AnalysisTemplate") => Ok(Self::AnalysisTemplate),
            (GROUP, "ClusterAnalysisTemplate") => Ok(Self::ClusterAnalysisTemplate),
            (GROUP, "AnalysisRun") => Ok(Self::AnalysisRun),
            (group, kind) => Err(format!("creates of {group}/{kind} unsupported")),
        }
    }

    /// As the line about a creation has it; the peer makes no difference between the templates.
    fn noun(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::Experiment => "experiment",
            Self::AnalysisTemplate | Self::ClusterAnalysisTemplate => "analysistemplate",
            Self::AnalysisRun => "analysisrun",
        }
    }

    fn path(self, namespace: &str) -> String {
        let namespace = Some(namespace);
        match self {
            Self::Rollout => Rollout::url_path(&(), namespace),
            Self::Experiment => Experiment::url_path(&(), namespace),
            Self::AnalysisTemplate => AnalysisTemplate::url_path(&(), namespace),
            Self::ClusterAnalysisTemplate => ClusterAnalysisTemplate::url_path(&(), None),
            Self::AnalysisRun => AnalysisRun::url_path(&(), namespace),
        }
    }
}

/// An object that is to be created.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) kind: Kind,
    pub(super) object: Value,
}

impl Manifest {
    /// The objects of a file.
    pub(super) fn read(file: &Path) -> Result<Vec<Self>, Error> {
        let shown = file.display();
        let refuse = |why: &dyn std::fmt::Display| Error::Refused(format!("{shown}: {why}"));
        let text = std::fs::read_to_string(file).map_err(|error| refuse(&error))?;
        let documents = yaml::from_str(&text).map_err(|error| refuse(&error))?;
        if documents.is_empty() {
            return Err(refuse(&"there is no object in it"));
        }
        let mut manifests = Vec::new();
        for object in documents {
            // The peer's words, and nothing else: scripts look for them.
            let kind = Kind::of(&object).map_err(Error::Refused)?;
            let unknown = mistyped(&object).map_err(|why| refuse(&why))?;
            if !unknown.is_empty() {
                let list: Vec<_> = unknown
                    .iter()
                    .map(|path| format!("unknown field \"{path}\""))
                    .collect();
                return Err(refuse(&format!(
                    "strict decoding error: {}",
                    list.join(", ")
                )));
            }
            manifests.push(Self { kind, object });
        }
        Ok(manifests)
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.object.pointer("/metadata/name")?.as_str()
    }

    fn namespace(&self) -> Option<&str> {
        self.object.pointer("/metadata/namespace")?.as_str()
    }
}

/// Creates an object and says so; its name, which the API server may have made.
pub(super) async fn create(cx: &mut Context, manifest: &Manifest) -> Result<String, Error> {
    let kind = manifest.kind;
    let what = match manifest.name() {
        Some(name) => format!("create {} \"{name}\"", kind.noun()),
        None => format!("create {}", kind.noun()),
    };
    let namespace = match manifest.namespace() {
        Some(namespace) => namespace.to_owned(),
        None => cx.namespace().await?,
    };
    let created = post(cx, &kind.path(&namespace), &manifest.object).await?;
    let created = created.map_err(Error::api(what))?;
    let name = created.pointer("/metadata/name").and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    cx.term
        .line(format_args!("{}.{GROUP}/{name} created", kind.noun()))?;
    Ok(name)
}

/// Asks the API server to refuse what it doesn't know; left to itself it would drop it.
async fn post(
    cx: &mut Context,
    path: &str,
    object: &Value,
) -> Result<Result<Value, kube::Error>, Error> {
    let client = cx.client().await?;
    let body = object.to_string().into_bytes();
    let mut request = match Request::new(path).create(&PostParams::default(), body) {
        Ok(request) => request,
        Err(error) => return Ok(Err(kube::Error::BuildRequest(error))),
    };
    // kube has no parameter for it.
    *request.uri_mut() = format!("{path}?fieldValidation=Strict")
        .parse()
        .map_err(|error| Error::Refused(format!("{path}: {error}")))?;
    Ok(client.request(request).await)
}
