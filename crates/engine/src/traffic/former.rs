//! Routers that a spec no longer names and that divide the traffic all the same: how they are
//! remembered, what they do, and what takes it back.
//!
//! A canary Ingress belongs to its Rollout, and is known by that. A route of the Gateway API
//! belongs to somebody else, and nothing at it says whose weights it has: there the Rollout keeps a
//! record of the routes and services that its spec named, from the first update on. During an
//! update its status has a copy.

use super::router::{Share, Want};
use super::{gateway_api, nginx};
use api::constants::{HASH_LABEL, ROUTES_ANNOTATION};
use api::{PingPongType, Rollout, RolloutStatus};
use k8s_openapi::api::core::v1::Service;
use plan::{Action, ObjectKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Of one Rollout no more routes are remembered. Its annotation has room for thousands, and whoever
/// may edit that could have all of them read.
const ROUTES_MAX: usize = 256;

/// The routes of the Gateway API that a Rollout divides traffic by: those of its spec, and those of
/// specs that it had, for as long as something is left of them. It stands at the Rollout, in
/// [`ROUTES_ANNOTATION`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "Written")]
pub struct Record {
    /// Of the Rollout: whoever has a copy of its manifest has no part in its routes.
    uid: String,
    pairs: Vec<Pair>,
}

/// Two services, and the routes that divide the traffic between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Pair {
    /// `canaryService`, or ping.
    canary_service: String,
    /// `stableService`, or pong.
    stable_service: String,
    ping_pong: bool,
    routes: Vec<ObjectKey>,
}

/// The annotation as it is read. The first of them had one pair, and no list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    uid: String,
    pairs: Vec<Pair>,
    #[serde(flatten)]
    only: Pair,
}

impl From<Written> for Record {
    fn from(written: Written) -> Self {
        let Written {
            uid,
            mut pairs,
            only,
        } = written;
        pairs.push(only);
        Self::of(uid, &pairs)
    }
}

impl Record {
    /// Each route once for each two services, and no more than are remembered.
    fn of(uid: String, pairs: &[Pair]) -> Self {
        let mut record = Self {
            uid,
            pairs: Vec::new(),
        };
        let all = pairs
            .iter()
            .flat_map(|pair| pair.routes.iter().map(move |key| (pair, key)));
        // Anything else that a forged record names is none of this controller's business.
        let routes = all.filter(|(_, key)| gateway_api::is_route(key));
        for (pair, key) in routes.take(ROUTES_MAX) {
            record.add(pair, key);
        }
        record
    }

    /// As it is to be stored; `None` if nothing is left to remember.
    #[must_use]
    pub fn kept(&self) -> Option<Self> {
        let record = Self::of(self.uid.clone(), &self.pairs);
        (!record.pairs.is_empty()).then_some(record)
    }

    /// What the spec names; `None` without such a router.
    pub fn named(rollout: &Rollout) -> Option<Self> {
        let canary = rollout.spec.canary()?;
        let config = gateway_api::config(canary.traffic_routing.as_ref()?)?.ok()?;
        let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
        let (canary_service, stable_service) = match &canary.ping_pong {
            Some(own) => (own.ping_service.clone(), own.pong_service.clone()),
            None => (
                canary.canary_service.clone().unwrap_or_default(),
                canary.stable_service.clone().unwrap_or_default(),
            ),
        };
        let pair = Pair {
            canary_service,
            stable_service,
            ping_pong: canary.ping_pong.is_some(),
            routes: config.objects(namespace),
        };
        Some(Self {
            uid: rollout.metadata.uid.clone().unwrap_or_default(),
            pairs: vec![pair],
        })
    }

    /// What the Rollout has on record, as text: in its annotation, or else in the condition of the
    /// same name. Who replaces a whole Rollout (`kubectl replace`) takes its annotations away, and
    /// may take the router away in the same write; the status stays.
    pub fn stored_text<'r>(
        rollout: &'r Rollout,
        status: Option<&'r RolloutStatus>,
    ) -> Option<&'r str> {
        let annotations = rollout.metadata.annotations.as_ref();
        let noted = annotations.and_then(|all| all.get(ROUTES_ANNOTATION));
        noted.map(String::as_str).or_else(|| {
            let mut conditions = status?.conditions.iter();
            let told = conditions.find(|condition| condition.type_ == ROUTES_ANNOTATION)?;
            Some(told.message.as_str())
        })
    }

    /// A record that was stored; `None` if it is none of this Rollout.
    pub fn read(text: &str, rollout: &Rollout) -> Option<Self> {
        let record: Self = serde_json::from_str(text).ok()?;
        (rollout.metadata.uid.as_ref() == Some(&record.uid)).then_some(record)
    }

    /// As the annotation has it.
    pub fn text(&self) -> String {
        json!(self).to_string()
    }

    /// What is to be on record as long as something is left of routes that the spec gave up: those,
    /// and what it names by now. Who edits it once more gives that up too. `None` if none of what
    /// is left is a route: a canary Ingress is known by its owner.
    #[must_use]
    pub fn keeping(&self, left: &[Former], named: Option<&Self>) -> Option<Self> {
        let mut kept = named.cloned().unwrap_or_else(|| Self {
            uid: self.uid.clone(),
            pairs: Vec::new(),
        });
        for pair in &self.pairs {
            for key in &pair.routes {
                let is_left =
                    |former: &Former| former.object == *key && former.services() == pair.services();
                if left.iter().any(is_left) {
                    kept.add(pair, key);
                }
            }
        }
        kept.kept()
    }

    /// The routes that the spec, which names `named`, has no more, and that are not there now: what
    /// they do once they are back, nobody knows.
    pub fn lost(
        &self,
        named: Option<&Self>,
        live: &BTreeMap<ObjectKey, Arc<Value>>,
    ) -> Vec<Former> {
        let gone = self
            .given_up(named)
            .filter(|(_, key)| !live.contains_key(*key));
        gone.map(|(pair, key)| {
            let services = (&*pair.canary_service, &*pair.stable_service);
            Former::new(key.clone(), services, Share::default())
        })
        .collect()
    }

    fn add(&mut self, pair: &Pair, key: &ObjectKey) {
        let known = self.pairs.iter_mut().find(|known| known.is_same(pair));
        match known {
            Some(known) if known.routes.contains(key) => {}
            Some(known) => known.routes.push(key.clone()),
            None => self.pairs.push(Pair {
                canary_service: pair.canary_service.clone(),
                stable_service: pair.stable_service.clone(),
                ping_pong: pair.ping_pong,
                routes: vec![key.clone()],
            }),
        }
    }

    /// Whether a route is here with these services.
    fn has(&self, pair: &Pair, key: &ObjectKey) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.any(|own| own.services() == pair.services() && own.routes.contains(key))
    }

    /// The routes that the spec, which names `named`, has no more, or not with these services.
    fn given_up<'r>(
        &'r self,
        named: Option<&'r Self>,
    ) -> impl Iterator<Item = (&'r Pair, &'r ObjectKey)> {
        let all = self
            .pairs
            .iter()
            .flat_map(|pair| pair.routes.iter().map(move |key| (pair, key)));
        all.filter(move |(pair, key)| named.is_none_or(|named| !named.has(pair, key)))
    }
}

impl Pair {
    fn services(&self) -> BTreeSet<&str> {
        BTreeSet::from([&*self.canary_service, &*self.stable_service])
    }

    fn is_same(&self, other: &Self) -> bool {
        self.canary_service == other.canary_service
            && self.stable_service == other.stable_service
            && self.ping_pong == other.ping_pong
    }

    /// The canary's service and the stable one, in the roles that they have. Ping and pong change
    /// theirs at each promotion, and the status says of the pair that is in use which is stable.
    /// One that was given up goes by its pods: the promotion may have come after that.
    fn roles(&self, seen: Seen<'_>) -> (&str, &str) {
        let (ping, pong) = (&*self.canary_service, &*self.stable_service);
        let leading = (seen.leads_to_stable(ping), seen.leads_to_stable(pong));
        let is_ping_stable = match leading {
            _ if !self.ping_pong => false,
            (true, false) => true,
            (false, true) => false,
            _ => {
                let told = seen
                    .status
                    .and_then(|status| status.canary.stable_ping_pong);
                told == Some(PingPongType::Ping)
            }
        };
        if is_ping_stable {
            (pong, ping)
        } else {
            (ping, pong)
        }
    }
}

/// A Rollout as a pass sees it: with the status that the pass begins with, and its services.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub rollout: &'a Rollout,
    pub status: Option<&'a RolloutStatus>,
    pub services: &'a BTreeMap<String, Arc<Service>>,
}

impl Seen<'_> {
    /// Whether a service selects the pods of the stable revision.
    fn leads_to_stable(&self, service: &str) -> bool {
        let stable = self.status.map_or("", |status| &*status.stable_rs);
        let spec = self.services.get(service).and_then(|own| own.spec.as_ref());
        let selector = spec.and_then(|spec| spec.selector.as_ref());
        let hash = selector.and_then(|selector| selector.get(HASH_LABEL));
        !stable.is_empty() && hash.is_some_and(|hash| hash == stable)
    }
}

/// Routes and services that a Rollout still has to do with, beside those that its spec names.
pub fn remembered(rollout: &Rollout) -> (Vec<ObjectKey>, Vec<String>) {
    let status = rollout.status.as_ref();
    let text = Record::stored_text(rollout, status);
    let stored = text.and_then(|text| Record::read(text, rollout));
    // What the spec names matters only to what is on record.
    let named = stored.as_ref().and_then(|_| Record::named(rollout));
    remembered_by(status, (stored.as_ref(), named.as_ref()))
}

/// The same, for whoever has both records: what is stored, and what the spec names.
pub fn remembered_by(
    status: Option<&RolloutStatus>,
    (stored, named): (Option<&Record>, Option<&Record>),
) -> (Vec<ObjectKey>, Vec<String>) {
    let mut services = Vec::new();
    let mut routes = Vec::new();
    let given_up = stored.into_iter().flat_map(|stored| stored.given_up(named));
    for (pair, key) in given_up {
        routes.push(key.clone());
        services.extend(pair.services().into_iter().map(str::to_owned));
    }
    // As long as the status holds weights, traffic may be divided between these.
    let weights = status.and_then(|status| status.canary.weights.as_ref());
    if let Some(weights) = weights {
        services.push(weights.canary.service_name.clone());
        services.push(weights.stable.service_name.clone());
    }
    services.retain(|service| !service.is_empty());
    (routes, services)
}

/// A router's object that the spec no longer names, and what it gives the two services: parts of
/// `total`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    pub object: ObjectKey,
    /// Empty if nobody knows it any more; so is the other one.
    pub canary_service: String,
    pub stable_service: String,
    canary: i64,
    stable: i64,
    total: i64,
    /// Whether the spec names the object all the same, with other services.
    is_named: bool,
}

impl Former {
    fn new(object: ObjectKey, (canary, stable): (&str, &str), share: Share) -> Self {
        Self {
            object,
            canary_service: canary.to_owned(),
            stable_service: stable.to_owned(),
            canary: share.canary,
            stable: share.stable,
            total: share.total,
            is_named: false,
        }
    }

    fn services(&self) -> BTreeSet<&str> {
        BTreeSet::from([&*self.canary_service, &*self.stable_service])
    }

    /// Whether the canary's service still gets something.
    pub fn divides(&self) -> bool {
        self.canary > 0
    }

    /// The pods, of so many, for what a service gets.
    pub fn pods(&self, service: &str, replicas: i32) -> i32 {
        let part = |name: &str, part: i64| if name == service { part.max(0) } else { 0 };
        let canary = part(&self.canary_service, self.canary);
        let stable = part(&self.stable_service, self.stable);
        let parts = i128::from(canary.max(stable)) * i128::from(replicas);
        let total = i128::from(self.total.max(1));
        let pods = i32::try_from((parts + total - 1) / total).unwrap_or(replicas);
        pods.min(replicas)
    }
}

/// The objects of routers that the spec does not name: `wanted` are those that it does. The records
/// are what is stored, and what the spec names.
pub fn former(
    seen: Seen<'_>,
    (stored, named): (Option<&Record>, Option<&Record>),
    live: &BTreeMap<ObjectKey, Arc<Value>>,
    wanted: &BTreeSet<ObjectKey>,
) -> Vec<Former> {
    let uid = seen.rollout.metadata.uid.as_deref().unwrap_or_default();
    let mut found: Vec<Former> = nginx::leftovers(live, wanted, uid)
        .into_iter()
        .map(|(key, ingress)| of_ingress(seen, key, ingress))
        .collect();
    let given_up = stored.into_iter().flat_map(|stored| stored.given_up(named));
    for (pair, key) in given_up {
        let Some(route) = live.get(key) else { continue };
        let services = pair.roles(seen);
        let shares = gateway_api::shares(route, services);
        let part =
            |share: &Share| i128::from(share.canary) * 1_000_000 / i128::from(share.total.max(1));
        let most = shares.into_iter().max_by_key(part).unwrap_or_default();
        let mut pairs = named.into_iter().flat_map(|named| &named.pairs);
        let is_named = pairs.any(|pair| pair.routes.contains(key));
        found.push(Former {
            is_named,
            ..Former::new(key.clone(), services, most)
        });
    }
    found
}

/// A canary Ingress names the service that it leads to, among others; the one beside it is known by
/// the status.
fn of_ingress(seen: Seen<'_>, key: ObjectKey, ingress: &Value) -> Former {
    let weights = seen
        .status
        .and_then(|status| status.canary.weights.as_ref());
    let spec = seen.rollout.spec.canary();
    let told = |service: Option<&String>| {
        service
            .filter(|name| !name.is_empty())
            .cloned()
            .unwrap_or_default()
    };
    let canaries = [
        told(weights.map(|weights| &weights.canary.service_name)),
        told(spec.and_then(|spec| spec.canary_service.as_ref())),
    ];
    let canary = canaries
        .into_iter()
        .find(|name| !name.is_empty() && nginx::has_rule_for(ingress, name))
        .unwrap_or_default();
    let mut stable = told(weights.map(|weights| &weights.stable.service_name));
    if stable.is_empty() {
        stable = told(spec.and_then(|spec| spec.stable_service.as_ref()));
    }
    let share = nginx::share(ingress);
    Former::new(key, (&canary, &stable), share)
}

/// What gives the traffic back, if `want` lets weights move, and takes away whatever else there is
/// of the Rollout; `None` if that is nothing.
pub fn give_back(former: &Former, live: &Value, want: &Want<'_>) -> Option<Action> {
    if former.object.kind == nginx::KIND {
        let may_go = want.moves_weights || !former.divides();
        return may_go.then(|| nginx::deletion(&former.object, live));
    }
    // Rules of steps are known by the Rollout, not by the services: those of the configuration that
    // is in force stay.
    gateway_api::give_back(&former.object, live, want, !former.is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "namespace": "demo",
            "name": name,
        })
    }

    fn pair(canary: &str, routes: &[Value]) -> Value {
        json!({
            "canaryService": canary,
            "stableService": "stable",
            "pingPong": false,
            "routes": routes,
        })
    }

    fn read(pairs: &[Value]) -> Record {
        serde_json::from_value(json!({"uid": "u1", "pairs": pairs})).unwrap()
    }

    fn routes(record: &Record) -> usize {
        record.pairs.iter().map(|pair| pair.routes.len()).sum()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = read(&[
            pair("canary", &[route("a"), route("b")]),
            pair("later", &[route("a")]),
        ]);
        assert_eq!((record.pairs.len(), routes(&record)), (2, 3));
        let again: Record = serde_json::from_str(&record.text()).unwrap();
        assert_eq!(again, record);
        assert_eq!(record.kept(), Some(record));
    }

    #[test]
    fn of_a_forged_record_no_more_is_read_than_a_rollout_may_have() {
        // Each of them again and again.
        let twice = [route("a"), route("b"), route("a")];
        let record = read(&[pair("canary", &twice), pair("canary", &twice)]);
        assert_eq!((record.pairs.len(), routes(&record)), (1, 2));
        // Thousands, of one pair or of thousands.
        let many: Vec<Value> = (0..2000).map(|index| route(&format!("r{index}"))).collect();
        assert_eq!(routes(&read(&[pair("canary", &many)])), ROUTES_MAX);
        let one = |index: usize| pair(&format!("c{index}"), &[route("a")]);
        let pairs: Vec<Value> = (0..2000).map(one).collect();
        assert_eq!(read(&pairs).pairs.len(), ROUTES_MAX);
        // What is no route, and pairs of nothing.
        let mut secret = route("a");
        secret["apiVersion"] = json!("v1");
        secret["kind"] = json!("Secret");
        let record = read(&[pair("canary", &[secret]), pair("canary", &[])]);
        assert_eq!((record.pairs.len(), record.kept()), (0, None));
    }

    /// A canary Ingress is left, and nothing of the routes.
    #[test]
    fn a_record_of_no_routes_is_not_kept() {
        let record = read(&[pair("canary", &[route("a")])]);
        let ingress = ObjectKey::namespaced(nginx::API_VERSION, nginx::KIND, "demo", "a-canary");
        let of_ingress = Former::new(ingress, ("canary", "stable"), Share::default());
        assert_eq!(record.keeping(&[of_ingress], None), None);
        let key = record.pairs[0].routes[0].clone();
        let of_route = Former::new(key, ("canary", "stable"), Share::default());
        assert_eq!(record.keeping(&[of_route], None), Some(record));
    }
}
