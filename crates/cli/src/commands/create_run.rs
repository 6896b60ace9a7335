//! `create analysisrun`: a run of an analysis template, outside of any rollout.

use super::create::{Kind, Manifest, create};
use crate::context::Context;
use crate::error::{Error, if_found};
use crate::strict::unknown_fields;
use crate::switch::switch;
use api::constants::{API_VERSION, INSTANCE_ID_LABEL};
use api::{
    AnalysisTemplate, AnalysisTemplateRef, AnalysisTemplateSpec, Argument, ClusterAnalysisTemplate,
};
use clap::{Arg, ArgAction, ArgMatches, Command};
use engine::analysis::template::{TemplateError, flatten, run_spec};
use engine::snapshot::TemplateSet;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn cli() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("analysisrun")
        .visible_aliases(["ar", "analysisruns"])
        .about("Create an analysis run from an analysis template")
        .arg(text(
            "from",
            "NAME",
            "Analysis template of the cluster to run",
        ))
        .arg(
            text(
                "from-file",
                "FILE",
                "File with the analysis template to run",
            )
            .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(switch(
            "global",
            "The template is a ClusterAnalysisTemplate",
        ))
        .arg(
            text(
                "argument",
                "NAME=VALUE",
                "Argument of the template; may be given several times",
            )
            .short('a')
            .action(ArgAction::Append)
            .value_parser(parse_argument),
        )
        .arg(text("name", "NAME", "Name of the run"))
        .arg(text(
            "generate-name",
            "PREFIX",
            "Beginning of a name that is made up; the template's name and a dash if absent",
        ))
        .arg(text(
            "instance-id",
            "ID",
            "Instance of the controller that is to run it",
        ))
}

/// An argument and its value.
fn parse_argument(text: &str) -> Result<Argument, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Argument {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            ..Argument::default()
        }),
        _ => Err("arguments must be in the form NAME=VALUE".to_owned()),
    }
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let mut templates = Templates::default();
    let is_global = args.get_flag("global");
    let root = match (
        args.get_one::<String>("from"),
        args.get_one::<PathBuf>("from-file"),
    ) {
        (Some(name), None) => reference(name, is_global),
        (None, Some(file)) => templates.add_file(file)?,
        _ => {
            let message = "one of --from or --from-file must be specified";
            return Err(Error::Refused(message.to_owned()));
        }
    };
    templates.gather(cx, &root).await?;
    let given: Vec<Argument> = args
        .get_many("argument")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let spec = flatten(std::slice::from_ref(&root), &templates.set)
        .and_then(|flat| run_spec(&flat, &given, &[], &[]));
    let spec = spec.map_err(|error: TemplateError| Error::Refused(error.to_string()))?;
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": "AnalysisRun",
        "metadata": metadata(args, templates.name(&root))?,
        "spec": spec,
    });
    let kind = Kind::AnalysisRun;
    create(cx, &Manifest { kind, object }).await?;
    Ok(())
}

/// The name or its beginning, and whose the run is.
fn metadata(args: &ArgMatches, template: Option<&str>) -> Result<Value, Error> {
    let text = |name: &str| args.get_one::<String>(name);
    let mut metadata = json!({});
    if let Some(name) = text("name") {
        metadata["name"] = json!(name);
    }
    if let Some(prefix) = text("generate-name") {
        metadata["generateName"] = json!(prefix);
    }
    if metadata == json!({}) {
        let Some(template) = template else {
            let message = "the template has no name: one of --name or --generate-name must be \
                           specified";
            return Err(Error::Refused(message.to_owned()));
        };
        metadata["generateName"] = json!(format!("{template}-"));
    }
    if let Some(id) = text("instance-id").filter(|id| !id.is_empty()) {
        metadata["labels"] = json!({INSTANCE_ID_LABEL: id});
    }
    Ok(metadata)
}

fn reference(name: &str, is_global: bool) -> AnalysisTemplateRef {
    AnalysisTemplateRef {
        template_name: Some(name.to_owned()),
        cluster_scope: is_global.then_some(true),
    }
}

/// A template and those that it includes.
#[derive(Default)]
struct Templates {
    set: TemplateSet,
    /// Under which name the template of a file without a name is kept.
    nameless: Option<String>,
}

impl Templates {
    /// The name of the template that is run.
    fn name<'a>(&self, root: &'a AnalysisTemplateRef) -> Option<&'a str> {
        let name = root.template_name.as_deref()?;
        (self.nameless.as_deref() != Some(name)).then_some(name)
    }

    /// Adds the only template of a file.
    fn add_file(&mut self, file: &Path) -> Result<AnalysisTemplateRef, Error> {
        let shown = file.display();
        let refuse = |why: String| Error::Refused(format!("{shown}: {why}"));
        let mut manifests = Manifest::read(file)?;
        let manifest = manifests.pop().filter(|_| manifests.is_empty());
        let Some(manifest) = manifest else {
            return Err(refuse(
                "there must be one analysis template in it".to_owned(),
            ));
        };
        let is_global = match manifest.kind {
            Kind::AnalysisTemplate => false,
            Kind::ClusterAnalysisTemplate => true,
            Kind::Rollout | Kind::Experiment | Kind::AnalysisRun => {
                return Err(refuse("there is no analysis template in it".to_owned()));
            }
        };
        let spec = &manifest.object["spec"];
        let unknown = unknown_fields::<AnalysisTemplateSpec>("spec", spec).map_err(refuse)?;
        if let Some(path) = unknown.first() {
            return Err(refuse(format!(
                "strict decoding error: unknown field \"{path}\""
            )));
        }
        let spec = serde_json::from_value(spec.clone());
        let spec: AnalysisTemplateSpec = spec.map_err(|error| refuse(error.to_string()))?;
        let name = match manifest.name() {
            Some(name) => name.to_owned(),
            None => self.nameless.insert(shown.to_string()).clone(),
        };
        let root = reference(&name, is_global);
        if is_global {
            let template = ClusterAnalysisTemplate {
                spec,
                ..ClusterAnalysisTemplate::default()
            };
            self.set.cluster.insert(name, Arc::new(template));
        } else {
            let template = AnalysisTemplate::new(&name, spec);
            self.set.namespaced.insert(name, Arc::new(template));
        }
        Ok(root)
    }

    /// Reads what is not known yet of a template and of all that it includes. One that is not there
    /// stays unknown: flattening says so.
    async fn gather(&mut self, cx: &mut Context, root: &AnalysisTemplateRef) -> Result<(), Error> {
        let mut wanted = vec![root.clone()];
        let mut seen = Vec::new();
        while let Some(reference) = wanted.pop() {
            if seen.contains(&reference) {
                continue;
            }
            if let Some(name) = &reference.template_name {
                self.read(cx, name, reference.cluster_scope == Some(true))
                    .await?;
                wanted.extend(self.included(&reference));
            }
            seen.push(reference);
        }
        Ok(())
    }

    fn included(&self, reference: &AnalysisTemplateRef) -> Vec<AnalysisTemplateRef> {
        let name = reference.template_name.as_deref().unwrap_or_default();
        let spec = if reference.cluster_scope == Some(true) {
            self.set.cluster.get(name).map(|template| &template.spec)
        } else {
            self.set.namespaced.get(name).map(|template| &template.spec)
        };
        spec.map(|spec| spec.templates.clone()).unwrap_or_default()
    }

    async fn read(&mut self, cx: &mut Context, name: &str, is_global: bool) -> Result<(), Error> {
        let what = || Error::api(format!("read analysis template \"{name}\""));
        if is_global && !self.set.cluster.contains_key(name) {
            let all: Api<ClusterAnalysisTemplate> = Api::all(cx.client().await?);
            match if_found(all.get(name).await).map_err(what())? {
                Some(found) => {
                    self.set.cluster.insert(found.name_any(), Arc::new(found));
                }
                None => require_kind(cx, "cluster analysis template", name).await?,
            }
        }
        if !is_global && !self.set.namespaced.contains_key(name) {
            let all = cx.objects::<AnalysisTemplate>().await?;
            match if_found(all.get(name).await).map_err(what())? {
                Some(found) => {
                    self.set
                        .namespaced
                        .insert(found.name_any(), Arc::new(found));
                }
                None => require_kind(cx, "analysis template", name).await?,
            }
        }
        Ok(())
    }
}

/// That there is no template of a name is for flattening to say; that the cluster does not know
/// the kind is another mistake.
async fn require_kind(cx: &mut Context, kind: &'static str, name: &str) -> Result<(), Error> {
    match cx.not_found(kind, name).await {
        error @ Error::NotServed { .. } => Err(error),
        _ => Ok(()),
    }
}
