//! `undo`: goes back to the template of an earlier revision.

use super::names::{name, the_name};
use super::target::Target;
use crate::context::Context;
use crate::error::Error;
use api::constants::{HASH_LABEL, REVISION_ANNOTATION};
use api::{PodTemplate, Rollout};
use clap::{Arg, ArgMatches, Command};
use gocompat::hash::{canonical_template, pod_template_hash};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::Value;

pub(super) fn cli() -> Command {
    Command::new("undo")
        .visible_alias("rollback")
        .about("Go back to an earlier revision")
        .arg(name("Name of the rollout"))
        .arg(
            Arg::new("to-revision")
                .long("to-revision")
                .value_name("REVISION")
                .help("The revision to go back to; 0 is the one before")
                .default_value("0")
                .allow_negative_numbers(true)
                .value_parser(clap::value_parser!(i64).range(0..)),
        )
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let name = the_name(args);
    let wanted = args
        .get_one::<i64>("to-revision")
        .copied()
        .unwrap_or_default();
    let rollout: Rollout = cx.read("rollout", name).await?;
    let target = Target::of(&rollout, name)?;
    let live = target.read(cx).await?;
    let sets = cx.objects::<ReplicaSet>().await?;
    let sets = sets.list(&ListParams::default().labels(HASH_LABEL)).await;
    let sets = sets.map_err(Error::api("list ReplicaSets"))?.items;
    let set = choose(&rollout, &sets, wanted)?;
    let template = template_of(set).map_err(Error::Refused)?;
    let current = live
        .data
        .pointer(target.template_path())
        .cloned()
        .unwrap_or_default();
    if is_made_of(set, &current, &rollout)
        || canonical_template(&current) == canonical_template(&template)
    {
        let revision = revision(set);
        cx.term.line(format_args!(
            "skipped rollback (current template already matches revision {revision})"
        ))?;
        return Ok(());
    }
    target.replace_template(cx, &template).await?;
    cx.term.line(format_args!("rollout '{name}' undo"))?;
    Ok(())
}

/// The ReplicaSet of the wanted revision; for 0 the one before the newest.
fn choose<'a>(
    rollout: &Rollout,
    sets: &'a [ReplicaSet],
    wanted: i64,
) -> Result<&'a ReplicaSet, Error> {
    let uid = rollout.uid();
    let owned = |set: &&ReplicaSet| {
        uid.is_some()
            && set
                .owner_references()
                .iter()
                .any(|owner| Some(&owner.uid) == uid.as_ref())
    };
    let mut revisions: Vec<&ReplicaSet> = sets.iter().filter(owned).collect();
    revisions.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    let found = match wanted {
        0 => revisions.get(1),
        wanted => revisions.iter().find(|set| revision(set) == wanted),
    };
    found.copied().ok_or_else(|| {
        Error::Refused(match wanted {
            0 => format!("no revision found for rollout \"{}\"", rollout.name_any()),
            wanted => format!("unable to find specified revision {wanted} in history"),
        })
    })
}

fn revision(set: &ReplicaSet) -> i64 {
    let annotation = set.annotations().get(REVISION_ANNOTATION);
    annotation
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

/// Whether a ReplicaSet was made of this template. By its hash, because the API server has filled in
/// defaults in the ReplicaSet; and not by the hash in the status, which is that of the spec that was
/// reconciled last and need not be of this one.
fn is_made_of(set: &ReplicaSet, template: &Value, rollout: &Rollout) -> bool {
    let Some(hash) = set.labels().get(HASH_LABEL) else {
        return false;
    };
    let status = rollout.status.as_ref();
    let collisions = status.and_then(|status| status.collision_count);
    // Hashes from before a collision stay as they were.
    let mut counts = std::iter::once(None).chain((0..=collisions.unwrap_or(-1)).map(Some));
    counts.any(|count| pod_template_hash(template, count) == *hash)
}

/// The template of a ReplicaSet without the label that the controller added.
fn template_of(set: &ReplicaSet) -> Result<Value, String> {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let value = serde_json::to_value(template).map_err(|error| error.to_string())?;
    let mut template = PodTemplate::from(value);
    template.remove_label(HASH_LABEL);
    Ok(template.into_value())
}
