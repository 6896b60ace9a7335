//! `undo`: goes back to the template of an earlier revision.

use super::names::{name, the_name};
use super::target::Target;
use super::template;
use crate::context::Context;
use crate::error::Error;
use api::Rollout;
use api::constants::{HASH_LABEL, REVISION_ANNOTATION};
use clap::{Arg, ArgMatches, Command};
use gocompat::hash::{canonical_template, pod_template_hash};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, ResourceExt};
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
    let sets = replica_sets(cx).await?;
    let set = choose(&rollout, &sets, wanted)?;
    let template = template::authored(set);
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

/// The ReplicaSets of the namespace that a Rollout has made, untyped: what comes of one is written
/// back.
async fn replica_sets(cx: &mut Context) -> Result<Vec<DynamicObject>, Error> {
    let resource = ApiResource::erase::<ReplicaSet>(&());
    let namespace = cx.namespace().await?;
    let sets: Api<DynamicObject> = Api::namespaced_with(cx.client().await?, &namespace, &resource);
    let sets = sets.list(&ListParams::default().labels(HASH_LABEL)).await;
    Ok(sets.map_err(Error::api("list ReplicaSets"))?.items)
}

/// The ReplicaSet of the wanted revision; for 0 the one before the newest.
fn choose<'a>(
    rollout: &Rollout,
    sets: &'a [DynamicObject],
    wanted: i64,
) -> Result<&'a DynamicObject, Error> {
    let uid = rollout.uid();
    let owned = |set: &&DynamicObject| {
        uid.is_some()
            && set
                .owner_references()
                .iter()
                .any(|owner| Some(&owner.uid) == uid.as_ref())
    };
    let mut revisions: Vec<&DynamicObject> = sets.iter().filter(owned).collect();
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

fn revision(set: &DynamicObject) -> i64 {
    let annotation = set.annotations().get(REVISION_ANNOTATION);
    annotation
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

/// Whether a ReplicaSet was made of this template. By its hash, because the API server has filled
/// in defaults in the ReplicaSet; and not by the hash in the status, which is that of the spec that
/// was reconciled last and need not be of this one.
fn is_made_of(set: &DynamicObject, template: &Value, rollout: &Rollout) -> bool {
    let Some(hash) = set.labels().get(HASH_LABEL) else {
        return false;
    };
    let status = rollout.status.as_ref();
    let collisions = status.and_then(|status| status.collision_count);
    // Hashes from before a collision stay as they were.
    let mut counts = std::iter::once(None).chain((0..=collisions.unwrap_or(-1)).map(Some));
    counts.any(|count| pod_template_hash(template, count) == *hash)
}
