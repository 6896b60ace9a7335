//! Whether another controller looks after the same objects.

use super::report::Finding;
use super::{CheckOptions, argo_cd};
use crate::error::{chain, code_of};
use crate::lease::{self, Election};
use deploy::Settings;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// A Lease that was renewed no longer ago is somebody's, even if our clocks differ a little.
const FRESH: SignedDuration = SignedDuration::from_mins(1);
/// Deployments of the peer, and ours.
const CONTROLLERS: &str = "app.kubernetes.io/name in (argo-rollouts, weir)";

/// `now` is what the cluster's clocks say.
pub(super) async fn findings(
    client: &Client,
    settings: &Settings,
    options: &CheckOptions,
    now: Timestamp,
) -> Vec<Finding> {
    let mut look = Look::new(client, &settings.namespace);
    let leases: Vec<Lease> = look.list(&ListParams::default()).await;
    let (here, controllers) = running(&mut look, settings).await;
    let wanted = Election::lease_name(settings.instance_id.as_deref());
    let held = leases
        .iter()
        .filter(|lease| lease.name_any() == wanted && is_fresh(lease, now));
    let mut findings: Vec<Finding> = held
        .flat_map(|lease| {
            let of_lease = of_lease(lease, &controllers, settings);
            of_lease.into_iter().chain(rivals(lease, settings, now))
        })
        .collect();
    let others = controllers.iter().filter(|other| reaches(other, settings));
    findings.extend(others.map(of_deployment));
    findings.extend(unelected(&here));
    if options.gitops {
        findings.extend(argo_cd::findings(&mut look, settings, &here).await);
    }
    let notes = look.notes();
    if findings.is_empty() && notes.is_empty() {
        findings.push(Finding::good("no other controller of these objects"));
    }
    findings.extend(notes);
    findings
}

/// For a cluster in which it is to be installed: controllers elsewhere that act on the same
/// objects, as far as they can be seen.
pub(super) async fn refusals(client: &Client, settings: &Settings) -> Vec<Finding> {
    others(client, settings).await.unwrap_or_default()
}

/// Controllers elsewhere that act on the same objects; `None` if none can be seen.
pub(super) async fn others(client: &Client, settings: &Settings) -> Option<Vec<Finding>> {
    let mut look = Look::new(client, &settings.namespace);
    let (_, controllers) = running(&mut look, settings).await;
    let others = controllers.iter().filter(|other| reaches(other, settings));
    look.unlisted
        .is_empty()
        .then(|| others.map(of_deployment).collect())
}

/// Controllers with the same instance id: those of the own namespace, and those of others.
async fn running(look: &mut Look<'_>, settings: &Settings) -> (Vec<Deployment>, Vec<Deployment>) {
    let labelled = ListParams::default().labels(CONTROLLERS);
    let mut controllers: Vec<Deployment> = look.list(&labelled).await;
    controllers
        .retain(|one| replicas(one) != 0 && is_same_instance(one, settings) && !is_dashboard(one));
    let is_here =
        |one: &Deployment| one.namespace().as_deref() == Some(settings.namespace.as_str());
    controllers.into_iter().partition(is_here)
}

/// Lists what may be listed: of the whole cluster, since a controller elsewhere may act on the same
/// objects, or of the own namespace at least.
pub(super) struct Look<'a> {
    pub(super) client: &'a Client,
    namespace: &'a str,
    /// What was listed in that namespace only.
    narrow: BTreeSet<String>,
    /// What could not be listed at all, why, and what to do about it.
    unlisted: BTreeMap<String, (String, &'static str)>,
}

impl<'a> Look<'a> {
    fn new(client: &'a Client, namespace: &'a str) -> Self {
        Self {
            client,
            namespace,
            narrow: BTreeSet::new(),
            unlisted: BTreeMap::new(),
        }
    }

    pub(super) async fn list<K>(&mut self, params: &ListParams) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        K: Clone + DeserializeOwned + Debug,
    {
        let what = K::plural(&()).into_owned();
        let cluster: Api<K> = Api::all(self.client.clone());
        let mut listed = cluster.list(params).await;
        if matches!(&listed, Err(error) if code_of(error) == Some(403)) {
            let own: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
            listed = own.list(params).await;
            if listed.is_ok() {
                self.narrow.insert(what.clone());
            }
        }
        match listed {
            Ok(found) => found.items,
            Err(error) => {
                let remedy = match code_of(&error) {
                    Some(403) => "ask somebody who may list them to run `weir check`",
                    _ => "try again",
                };
                self.unlisted.insert(what, (chain(&error), remedy));
                Vec::new()
            }
        }
    }

    fn notes(self) -> Vec<Finding> {
        let mut notes = Vec::new();
        if !self.narrow.is_empty() {
            let narrow: Vec<String> = self.narrow.into_iter().collect();
            notes.push(Finding::doubt(
                format!(
                    "only the namespace {} could be looked into ({}): a controller elsewhere would not \
                     be seen, even one of the whole cluster",
                    self.namespace,
                    narrow.join(", ")
                ),
                "ask somebody who may list them in the whole cluster to run `weir check`",
            ));
        }
        for (what, (why, remedy)) in self.unlisted {
            notes.push(Finding::doubt(
                format!("{what} can't be listed, another controller would not be seen: {why}"),
                remedy,
            ));
        }
        notes
    }
}

fn replicas(deployment: &Deployment) -> i32 {
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    replicas.unwrap_or(1)
}

/// Controllers of one namespace share a Lease. One that does not go by it acts beside the others,
/// and its next pod beside the one before.
fn unelected(here: &[Deployment]) -> Option<Finding> {
    let one = here
        .iter()
        .find(|one| !is_on(one, "--leader-elect", true))?;
    let (namespace, name) = (one.namespace().unwrap_or_default(), one.name_any());
    let has =
        format!("the Deployment {name} in the namespace {namespace} has --leader-elect=false");
    let remedy = format!("take --leader-elect=false out of the Deployment {name}");
    let pods = here.iter().map(replicas).fold(0, i32::saturating_add);
    if pods > 1 {
        let what = format!("one controller only: {has}, and there are {pods} pods that would act");
        return Some(Finding::bad(what, remedy));
    }
    let strategy = one.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let kind = strategy.and_then(|strategy| strategy.type_.as_deref());
    (kind != Some("Recreate")).then(|| {
        Finding::doubt(
            format!("{has}: two act while its next pod takes the place of the one before"),
            format!("{remedy}, or give it the strategy Recreate"),
        )
    })
}

/// Whether it is the peer's dashboard, which only looks: in the peer's chart it has the
/// controller's name.
fn is_dashboard(deployment: &Deployment) -> bool {
    let component = deployment.labels().get("app.kubernetes.io/component");
    component.is_some_and(|component| component == "rollouts-dashboard")
        || words(deployment)
            .next()
            .is_some_and(|word| word == "dashboard")
}

/// Whether it acts on objects that the one of `settings` acts on.
fn reaches(deployment: &Deployment, settings: &Settings) -> bool {
    if !settings.namespaced || !is_namespaced(deployment) {
        return true;
    }
    let named = value_of(deployment, "--namespace");
    named.as_ref() == Some(&settings.namespace)
}

fn is_fresh(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else {
        return false;
    };
    let held = spec
        .holder_identity
        .as_ref()
        .is_some_and(|holder| !holder.is_empty());
    let renewed = spec.renew_time.as_ref();
    held && renewed.is_some_and(|at| now.duration_since(at.0).abs() < FRESH)
}

/// `controllers` are those of other namespaces.
fn of_lease(lease: &Lease, controllers: &[Deployment], settings: &Settings) -> Option<Finding> {
    let namespace = lease.namespace().unwrap_or_default();
    let holder = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.clone());
    let holder = holder.unwrap_or_default();
    let name = lease.name_any();
    if namespace == settings.namespace {
        return Some(Finding::good(format!(
            "the Lease {name} is held by {holder}"
        )));
    }
    let leads = format!("{holder} leads by the Lease {name} of the namespace {namespace}");
    let mut there = controllers
        .iter()
        .filter(|other| other.namespace().as_ref() == Some(&namespace))
        .peekable();
    if settings.namespaced && there.peek().is_none() {
        return Some(Finding::doubt(
            format!(
                "{leads}, and whether it looks after {} is not known",
                settings.namespace
            ),
            "if it looks after the whole cluster: scale it to 0, or give the two different --instance-id",
        ));
    }
    // One of that namespace only has its own objects.
    let is_conflict = !settings.namespaced || there.any(|other| reaches(other, settings));
    is_conflict.then(|| {
        Finding::bad(
            format!(
                "one controller only: {leads}, which one in {} would not see",
                settings.namespace
            ),
            "scale the other to 0, or give the two different --instance-id, or install in its namespace",
        )
    })
}

/// Controllers that act beside the holder of a Lease, by the notes that they leave in it: of one
/// outside the cluster there is no Deployment.
fn rivals(lease: &Lease, settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let watched = settings.namespaced.then_some(settings.namespace.as_str());
    let name = lease.name_any();
    let namespace = lease.namespace().unwrap_or_default();
    let acts = |time: &str| {
        let at: Option<Timestamp> = time.parse().ok();
        at.is_some_and(|at| now.duration_since(at).abs() < FRESH)
    };
    let acting = lease::rivals(lease).into_iter();
    let acting = acting.filter(|rival| rival.meets(watched) && acts(&rival.time));
    let found = acting.map(|rival| {
        Finding::bad(
            format!(
                "one controller only: {} has --leader-elect=false, and acts beside the one that holds the Lease \
                 {name} of the namespace {namespace}",
                rival.identity
            ),
            "end it, or leave --leader-elect=false out of it: then it stands by. For objects of its own, give \
             it another --instance-id",
        )
    });
    found.collect()
}

/// Command and arguments of all containers.
fn words(deployment: &Deployment) -> impl Iterator<Item = &String> {
    let spec = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    containers.flat_map(|container| {
        let command = container.command.iter().flatten();
        command.chain(container.args.iter().flatten())
    })
}

/// The value that its command line gives to a flag.
pub(super) fn value_of(deployment: &Deployment, flag: &str) -> Option<String> {
    value_in(words(deployment), flag)
}

/// The value that the words of a command line give to a flag.
pub(super) fn value_in<'a>(
    mut words: impl Iterator<Item = &'a String>,
    flag: &str,
) -> Option<String> {
    let mut value = None;
    while let Some(word) = words.next() {
        if word == flag {
            value = words.next().cloned();
        } else if let Some((name, given)) = word.split_once('=')
            && name == flag
        {
            value = Some(given.to_owned());
        }
    }
    value
}

/// Whether it looks after one namespace only.
fn is_namespaced(deployment: &Deployment) -> bool {
    is_on(deployment, "--namespaced", false)
}

/// Whether its command line has a switch on, as Go programs read it; `usual` if it is not given.
fn is_on(deployment: &Deployment, switch: &str, usual: bool) -> bool {
    let given = words(deployment).filter_map(|word| word.strip_prefix(switch));
    // Others begin with the same letters.
    let given = given.filter(|value| value.is_empty() || value.starts_with('='));
    given.last().map_or(usual, |value| {
        matches!(value, "" | "=1" | "=t" | "=T" | "=true" | "=True" | "=TRUE")
    })
}

fn is_same_instance(deployment: &Deployment, settings: &Settings) -> bool {
    let theirs = value_of(deployment, "--instance-id");
    theirs.filter(|id| !id.is_empty()) == settings.instance_id
}

fn of_deployment(deployment: &Deployment) -> Finding {
    let (namespace, name) = (
        deployment.namespace().unwrap_or_default(),
        deployment.name_any(),
    );
    Finding::bad(
        format!("one controller only: there is the Deployment {name} in the namespace {namespace}"),
        format!(
            "kubectl scale deployment {name} --namespace {namespace} --replicas 0, or give the two \
             different --instance-id"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whoever_acts_beside_the_holder_is_named_until_it_has_ended() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let notes = json!([
            {"identity": "laptop_1", "time": "2026-01-01T00:09:58.5Z"},
            {"identity": "ended_1", "time": "2026-01-01T00:02:00Z"},
            {"identity": "team_1", "namespace": "team", "time": "2026-01-01T00:09:59Z"},
        ]);
        let lease = json!({
            "metadata": {"name": "lock", "namespace": "argo-rollouts",
                "annotations": {"weir.dev/unelected-rivals": notes.to_string()}},
            "spec": {"holderIdentity": "weir-0_1"},
        });
        let lease: Lease = serde_json::from_value(lease).unwrap();
        let named = |settings: &Settings| -> Vec<String> {
            let found = rivals(&lease, settings, now);
            found.iter().map(Finding::to_string).collect()
        };
        let all = named(&Settings::default());
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[0].starts_with("LACKS") && all[0].contains("laptop_1"));
        assert!(all[0].contains("--leader-elect=false") && all[0].contains("Lease lock"));
        assert!(all[1].contains("team_1"));
        let elsewhere = Settings {
            namespaced: true,
            ..Settings::default()
        };
        let found = named(&elsewhere);
        assert!(
            found.len() == 1 && found[0].contains("laptop_1"),
            "{found:?}"
        );
    }
}
