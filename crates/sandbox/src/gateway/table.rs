//! From objects to a routing table. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::route::{Asked, Match, Precedence, Spec, host_matches};

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// The fraction of the golden ratio in 64 bits: its multiples spread evenly over the whole range,
/// at any length.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Namespace and name.
pub type Key = (String, String);

/// One HTTPRoute that is attached to our Gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub key: Key,
    pub spec: Spec,
    /// RFC 3339; older routes win ties.
    pub created: String,
}

/// The ready endpoints of one port of one Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    pub addresses: Vec<SocketAddr>,
}

impl Backend {
    /// The endpoint for the n-th request, `None` = nobody is ready.
    pub fn pick(&self, n: u64) -> Option<SocketAddr> {
        let len = u64::try_from(self.addresses.len())
            .ok()
            .filter(|len| *len > 0)?;
        self.addresses.get(usize::try_from(n % len).ok()?).copied()
    }
}

/// Why a request has no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBackend {
    /// No route and no Service goes by that host and path.
    NoRoute,
    /// The rule's backends are missing, or all weights are 0.
    Unresolved,
    /// The Service has no ready endpoint.
    NotReady,
}

#[derive(Clone, Debug)]
struct RuleEntry {
    hostname: Option<String>,
    wanted: Match,
    /// Backends with the upper end of each one's share; `None` = reference that leads nowhere.
    shares: Vec<(u64, Option<Arc<Backend>>)>,
}

/// Where requests go.
#[derive(Clone, Debug, Default)]
pub struct Table {
    services: BTreeMap<Key, BTreeMap<i32, Arc<Backend>>>,
    /// Most specific first.
    rules: Vec<RuleEntry>,
}

impl Table {
    /// Builds the table.
    pub fn new<'a>(
        services: impl IntoIterator<Item = &'a Arc<Service>>,
        slices: impl IntoIterator<Item = &'a Arc<EndpointSlice>>,
        routes: impl IntoIterator<Item = &'a Route>,
    ) -> Self {
        let mut ready: BTreeMap<(Key, String), Vec<SocketAddr>> = BTreeMap::new();
        for slice in slices {
            collect(slice, &mut ready);
        }
        let mut table = Self::default();
        for service in services {
            let key = key_of(&service.metadata);
            let ports = service
                .spec
                .iter()
                .flat_map(|spec| spec.ports.iter().flatten());
            let backends = ports.map(|port| {
                let name = port.name.clone().unwrap_or_default();
                let addresses = ready.remove(&(key.clone(), name)).unwrap_or_default();
                (port.port, Arc::new(Backend { addresses }))
            });
            table.services.insert(key.clone(), backends.collect());
        }
        let mut rules: Vec<(Order, RuleEntry)> = Vec::new();
        for route in routes {
            table.add(route, &mut rules);
        }
        rules.sort_by(|(a, _), (b, _)| a.cmp(b));
        table.rules = rules.into_iter().map(|(_, rule)| rule).collect();
        table
    }

    fn add(&self, route: &Route, rules: &mut Vec<(Order, RuleEntry)>) {
        let hostnames: Vec<Option<String>> = if route.spec.hostnames.is_empty() {
            vec![None]
        } else {
            route.spec.hostnames.iter().cloned().map(Some).collect()
        };
        for (at, rule) in route
            .spec
            .rules
            .iter()
            .take(super::route::MAX_RULES)
            .enumerate()
        {
            let mut end = 0_u64;
            let shares: Vec<_> = rule
                .backend_refs
                .iter()
                .filter(|backend| backend.weight > 0)
                .map(|backend| {
                    end += u64::from(backend.weight);
                    (end, self.resolve(&route.key.0, backend))
                })
                .collect();
            let matches = if rule.matches.is_empty() {
                vec![Match::default()]
            } else {
                rule.matches.clone()
            };
            for wanted in matches.into_iter().take(super::route::MAX_RULES) {
                for hostname in &hostnames {
                    let order = Order {
                        host: std::cmp::Reverse(host_precedence(hostname.as_deref())),
                        wanted: std::cmp::Reverse(wanted.precedence()),
                        created: route.created.clone(),
                        key: route.key.clone(),
                        rule: at,
                    };
                    let entry = RuleEntry {
                        hostname: hostname.clone(),
                        wanted: wanted.clone(),
                        shares: shares.clone(),
                    };
                    rules.push((order, entry));
                }
            }
        }
    }

    /// The backend of a reference; other kinds, other namespaces (no grants are read) and missing
    /// ports lead nowhere.
    pub fn resolve(
        &self,
        namespace: &str,
        backend: &super::route::BackendRef,
    ) -> Option<Arc<Backend>> {
        let own = backend
            .namespace
            .as_deref()
            .is_none_or(|wanted| wanted == namespace);
        if !own || backend.kind != "Service" || !backend.group.is_empty() {
            return None;
        }
        let ports = self
            .services
            .get(&(namespace.to_owned(), backend.name.clone()))?;
        ports.get(&backend.port?).cloned()
    }

    /// Whether a Service is there.
    pub fn has_service(&self, namespace: &str, name: &str) -> bool {
        self.services
            .contains_key(&(namespace.to_owned(), name.to_owned()))
    }

    /// The backend for the n-th request by Service.
    pub fn by_service(&self, key: &Key, port: i32) -> Result<Arc<Backend>, NoBackend> {
        let ports = self.services.get(key).ok_or(NoBackend::NoRoute)?;
        ports.get(&port).cloned().ok_or(NoBackend::NoRoute)
    }

    /// The backend for the n-th request by host and path: the most specific rule, and in it a share
    /// by weight. A host of the form `service.namespace[.svc[.cluster.local]]` that no route names
    /// is that Service's first port.
    pub fn by_host(
        &self,
        host: &str,
        asked: &Asked<'_>,
        n: u64,
    ) -> Result<Arc<Backend>, NoBackend> {
        let host = host.split_once(':').map_or(host, |(host, _)| host);
        let rule = self.rules.iter().find(|rule| {
            rule.hostname
                .as_deref()
                .is_none_or(|hostname| host_matches(hostname, host))
                && rule.wanted.takes(asked)
        });
        if let Some(rule) = rule {
            return share(&rule.shares, n).ok_or(NoBackend::Unresolved);
        }
        let host = host
            .trim_end_matches(".cluster.local")
            .trim_end_matches(".svc");
        let (name, namespace) = host.split_once('.').ok_or(NoBackend::NoRoute)?;
        let ports = self.services.get(&(namespace.to_owned(), name.to_owned()));
        ports
            .and_then(|ports| ports.values().next().cloned())
            .ok_or(NoBackend::NoRoute)
    }
}

/// Sorts ascending: the first is the most specific.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    host: std::cmp::Reverse<(bool, usize)>,
    wanted: std::cmp::Reverse<Precedence>,
    created: String,
    key: Key,
    rule: usize,
}

/// An exact hostname before a wildcard before none; longer before shorter.
fn host_precedence(hostname: Option<&str>) -> (bool, usize) {
    hostname.map_or((false, 0), |hostname| {
        (!hostname.starts_with('*'), hostname.len())
    })
}

/// The share that the n-th point of an even sequence falls into: of any run of requests each
/// backend gets its weight's part.
fn share(shares: &[(u64, Option<Arc<Backend>>)], n: u64) -> Option<Arc<Backend>> {
    let total = shares.last()?.0;
    let point = (u128::from(n.wrapping_mul(GOLDEN)) * u128::from(total)) >> 64;
    let point = u64::try_from(point).unwrap_or(0);
    shares.iter().find(|(end, _)| point < *end)?.1.clone()
}

fn key_of(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Key {
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

fn collect(slice: &EndpointSlice, ready: &mut BTreeMap<(Key, String), Vec<SocketAddr>>) {
    let service = slice
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(SERVICE_LABEL));
    let Some(service) = service else { return };
    let key = (
        slice.metadata.namespace.clone().unwrap_or_default(),
        service.clone(),
    );
    for port in slice.ports.iter().flatten() {
        let Some(number) = port.port.and_then(|port| u16::try_from(port).ok()) else {
            continue;
        };
        let list = ready
            .entry((key.clone(), port.name.clone().unwrap_or_default()))
            .or_default();
        for endpoint in &slice.endpoints {
            let conditions = endpoint.conditions.as_ref();
            if conditions.and_then(|conditions| conditions.ready) == Some(false) {
                continue;
            }
            let ip = endpoint
                .addresses
                .first()
                .and_then(|ip| ip.parse::<IpAddr>().ok());
            // The gateway talks to pods of this machine only.
            if let Some(ip) = ip.filter(IpAddr::is_loopback) {
                list.push(SocketAddr::new(ip, number));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(name: &str) -> Arc<Service> {
        let object = json!({
            "metadata": { "namespace": "shop", "name": name },
            "spec": { "ports": [{ "name": "http", "port": 80 }] },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn slice(service: &str, ips: &[(&str, bool)]) -> Arc<EndpointSlice> {
        let endpoints: Vec<_> = ips
            .iter()
            .map(|(ip, ready)| json!({ "addresses": [ip], "conditions": { "ready": ready } }))
            .collect();
        let object = json!({
            "metadata": { "namespace": "shop", "labels": { "kubernetes.io/service-name": service } },
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{ "name": "http", "port": 8080 }],
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn route(name: &str, spec: serde_json::Value) -> Route {
        let spec = serde_json::from_value(spec).unwrap();
        Route {
            key: ("shop".to_owned(), name.to_owned()),
            spec,
            created: String::new(),
        }
    }

    fn table(routes: &[Route]) -> Table {
        let services = [service("stable"), service("canary")];
        let slices = [
            slice(
                "stable",
                &[
                    ("127.64.0.5", true),
                    ("127.64.0.6", true),
                    ("127.64.0.7", false),
                ],
            ),
            slice("canary", &[("127.64.0.9", true), ("10.0.0.1", true)]),
        ];
        Table::new(&services, &slices, routes)
    }

    fn ask(table: &Table, host: &str, path: &str, n: u64) -> Result<Arc<Backend>, NoBackend> {
        let headers = http::HeaderMap::new();
        table.by_host(
            host,
            &Asked {
                path,
                query: "",
                method: "GET",
                headers: &headers,
            },
            n,
        )
    }

    fn split(weights: [u32; 2]) -> serde_json::Value {
        json!({ "hostnames": ["shop.example"], "rules": [{ "backendRefs": [
            { "name": "stable", "port": 80, "weight": weights[0] },
            { "name": "canary", "port": 80, "weight": weights[1] },
        ]}]})
    }

    #[test]
    fn weights_hold_over_short_runs() {
        let table = table(&[route("shop", split([80, 20]))]);
        for start in [0, 17, 1_000_003] {
            let canary = (start..start + 100)
                .filter(|n| {
                    ask(&table, "shop.example:8080", "/", *n)
                        .unwrap()
                        .addresses
                        .len()
                        == 1
                })
                .count();
            assert!((19..=21).contains(&canary), "{canary} of 100 from {start}");
        }
    }

    #[test]
    fn only_ready_loopback_endpoints_are_used() {
        let table = table(&[]);
        let stable = table
            .by_service(&("shop".to_owned(), "stable".to_owned()), 80)
            .unwrap();
        assert_eq!(stable.addresses.len(), 2);
        assert_ne!(stable.pick(0), stable.pick(1));
        let canary = table
            .by_service(&("shop".to_owned(), "canary".to_owned()), 80)
            .unwrap();
        assert_eq!(canary.addresses.len(), 1);
        assert_eq!(Backend::default().pick(3), None);
    }

    #[test]
    fn zero_weights_and_missing_backends_are_unresolved() {
        let zero = table(&[route("shop", split([0, 0]))]);
        assert_eq!(
            ask(&zero, "shop.example", "/", 0).unwrap_err(),
            NoBackend::Unresolved
        );
        let missing = json!({ "rules": [{ "backendRefs": [{ "name": "gone", "port": 80 }] }] });
        let table = table(&[route("shop", missing)]);
        assert_eq!(
            ask(&table, "any", "/", 0).unwrap_err(),
            NoBackend::Unresolved
        );
        assert!(table.has_service("shop", "stable") && !table.has_service("shop", "gone"));
    }

    #[test]
    fn specific_rules_come_first() {
        let canary = json!({ "rules": [
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
              "backendRefs": [{ "name": "stable", "port": 80 }] },
            { "matches": [{ "path": { "type": "PathPrefix", "value": "/beta" } }],
              "backendRefs": [{ "name": "canary", "port": 80 }] },
        ]});
        let table = table(&[route("shop", canary)]);
        assert_eq!(ask(&table, "any", "/beta/x", 0).unwrap().addresses.len(), 1);
        assert_eq!(
            ask(&table, "any", "/betamax", 0).unwrap().addresses.len(),
            2
        );
    }

    #[test]
    fn hosts_of_services_work_without_a_route() {
        let table = table(&[]);
        for host in [
            "stable.shop",
            "stable.shop.svc",
            "stable.shop.svc.cluster.local:80",
        ] {
            assert_eq!(
                ask(&table, host, "/", 0).unwrap().addresses.len(),
                2,
                "{host}"
            );
        }
        assert_eq!(
            ask(&table, "stable", "/", 0).unwrap_err(),
            NoBackend::NoRoute
        );
    }
}
