//! The screens of `app`.

use super::style::verdict;
use crate::table::columns;
use api::{Application, ApplicationStatus, OperationPhase, OperationState};
use api::{ResourceStatus, ResultCode, RevisionHistory};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::fmt::{Display, Write};

/// `app get`: head, conditions, history (newest first), resources.
pub fn application(application: &Application) -> String {
    let none = ApplicationStatus::default();
    let status = application.status.as_ref().unwrap_or(&none);
    let mut out = String::new();
    head(application, status, &mut out);
    if !status.conditions.is_empty() {
        let rows = status.conditions.iter().map(|condition| {
            let since = condition
                .last_transition_time
                .as_ref()
                .map(time)
                .unwrap_or_default();
            vec![condition.type_.clone(), since, condition.message.clone()]
        });
        section("CONDITION", &["SINCE", "MESSAGE"], rows, &mut out);
    }
    if !status.history.is_empty() {
        let rows = status.history.iter().rev().map(history);
        section("ID", &["REVISION", "AUTHOR", "DEPLOYED"], rows, &mut out);
    }
    if !status.resources.is_empty() {
        let names = ["KIND", "NAMESPACE", "NAME", "STATUS", "HEALTH", "MESSAGE"];
        section(
            "GROUP",
            &names,
            status.resources.iter().map(resource),
            &mut out,
        );
    }
    out
}

fn head(application: &Application, status: &ApplicationStatus, out: &mut String) {
    let spec = &application.spec;
    let mut line = |name: &str, value: &dyn Display| {
        writeln!(out, "{name:<17}{value}").expect("writing to a String works");
    };
    line("Name:", &application.name_any());
    line("Namespace:", &application.namespace().unwrap_or_default());
    line("Project:", &spec.project);
    line("Destination:", &destination(application));
    for source in sources(application) {
        line("Source:", &source);
    }
    let sync = status.sync.as_ref();
    let code = sync.map_or("Unknown", |sync| sync.status.as_str());
    line("Sync Status:", &verdict(code));
    line("Revision:", &sync.map(revision_of).unwrap_or_default());
    let health = status.health.as_ref().and_then(|health| health.status);
    line(
        "Health:",
        &verdict(health.map_or("Unknown", |health| health.as_str())),
    );
    let message = status
        .health
        .as_ref()
        .map(|health| health.message.as_str())
        .unwrap_or_default();
    if !message.is_empty() {
        line("Message:", &message);
    }
    if let Some(state) = &status.operation_state {
        line(
            "Operation:",
            &format_args!("{} {}", verdict(state.phase.as_str()), state.message),
        );
    }
}

fn revision_of(sync: &api::SyncStatus) -> String {
    if sync.revision.is_empty() {
        sync.revisions.join(", ")
    } else {
        sync.revision.clone()
    }
}

fn destination(application: &Application) -> String {
    let destination = &application.spec.destination;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let server = Some(text(&destination.server)).filter(|server| !server.is_empty());
    let cluster = server.unwrap_or_else(|| text(&destination.name));
    format!("{cluster} {}", text(&destination.namespace))
        .trim()
        .to_owned()
}

fn sources(application: &Application) -> Vec<String> {
    let spec = &application.spec;
    let all = spec.source.iter().chain(&spec.sources);
    all.map(|source| {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let place = [text(&source.path), text(&source.chart)].concat();
        let target = text(&source.target_revision);
        format!("{} {place} {target}", source.repo_url)
            .trim()
            .to_owned()
    })
    .collect()
}

fn history(entry: &RevisionHistory) -> Vec<String> {
    let revision = if entry.revision.is_empty() {
        entry.revisions.join(", ")
    } else {
        entry.revision.clone()
    };
    let automated = entry.initiated_by.automated == Some(true);
    let author = entry
        .initiated_by
        .username
        .clone()
        .filter(|name| !name.is_empty());
    let author = author.or_else(|| automated.then(|| "automated".to_owned()));
    let author = author.unwrap_or_else(|| "-".to_owned());
    vec![
        entry.id.to_string(),
        revision,
        author,
        time(&entry.deployed_at),
    ]
}

fn resource(resource: &ResourceStatus) -> Vec<String> {
    let health = resource.health.as_ref();
    let code = health
        .and_then(|health| health.status)
        .map(|code| verdict(code.as_str()));
    vec![
        resource.group.clone(),
        resource.kind.clone(),
        resource.namespace.clone(),
        resource.name.clone(),
        resource
            .status
            .map(|status| verdict(status.as_str()))
            .unwrap_or_default(),
        code.unwrap_or_default(),
        health
            .map(|health| health.message.clone())
            .unwrap_or_default(),
    ]
}

/// `app list`.
pub fn applications(items: &[Application]) -> String {
    let names = ["NAMESPACE", "NAME", "PROJECT", "SYNC", "HEALTH", "REVISION"];
    let header = names.map(str::to_owned).to_vec();
    let lines = items.iter().map(|one| {
        let sync = one.status.as_ref().and_then(|status| status.sync.as_ref());
        let health = one
            .status
            .as_ref()
            .and_then(|status| status.health.as_ref()?.status);
        vec![
            one.namespace().unwrap_or_default(),
            one.name_any(),
            one.spec.project.clone(),
            verdict(sync.map_or("Unknown", |sync| sync.status.as_str())),
            verdict(health.map_or("Unknown", |health| health.as_str())),
            sync.map(revision_of).unwrap_or_default(),
        ]
    });
    columns(&std::iter::once(header).chain(lines).collect::<Vec<_>>())
}

/// The result of a sync: what became of each resource, and of the whole.
pub fn operation(state: &OperationState) -> String {
    let mut out = String::new();
    if let Some(result) = &state.sync_result {
        let rows = result.resources.iter().map(|one| {
            let phase = one.hook_phase.map(OperationPhase::as_str);
            let status = one
                .status
                .map(ResultCode::as_str)
                .or(phase)
                .unwrap_or_default();
            vec![
                one.group.clone(),
                one.kind.clone(),
                one.namespace.clone(),
                one.name.clone(),
                verdict(status),
                one.message.clone(),
            ]
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            let names = ["KIND", "NAMESPACE", "NAME", "STATUS", "MESSAGE"];
            section("GROUP", &names, rows.into_iter(), &mut out);
            out.push('\n');
        }
        writeln!(out, "{:<17}{}", "Revision:", result.revision).expect("writing to a String works");
    }
    let phase = verdict(state.phase.as_str());
    writeln!(out, "{:<17}{phase}", "Phase:").expect("writing to a String works");
    writeln!(out, "{:<17}{}", "Message:", state.message).expect("writing to a String works");
    out
}

/// A table below what is there, with a blank line between.
fn section(
    first: &str,
    others: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    out: &mut String,
) {
    let header = std::iter::once(first)
        .chain(others.iter().copied())
        .map(str::to_owned)
        .collect();
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&columns(
        &std::iter::once(header).chain(rows).collect::<Vec<_>>(),
    ));
}

fn time(time: &Time) -> String {
    time.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
