//! What an Application may do, by its project (gitops.md §3). Every refusal names the project and
//! the rule.

use crate::glob;
use crate::resource::ResourceId;
use api::constants::gitops::{DEFAULT_PROJECT, IN_CLUSTER_NAME, IN_CLUSTER_SERVER};
use api::{AppProjectSpec, ApplicationDestination, ClusterResourceRestriction, GroupKind};
use std::borrow::Cow;

/// The rules of one project.
#[derive(Clone, Debug)]
pub struct ProjectRules<'a> {
    name: &'a str,
    spec: Cow<'a, AppProjectSpec>,
}

impl<'a> ProjectRules<'a> {
    pub fn new(name: &'a str, spec: &'a AppProjectSpec) -> Self {
        Self {
            name,
            spec: Cow::Borrowed(spec),
        }
    }

    /// The project `default` where nobody has made one: everything is allowed.
    pub fn permissive() -> Self {
        let any = || Some("*".to_owned());
        Self {
            name: DEFAULT_PROJECT,
            spec: Cow::Owned(AppProjectSpec {
                source_repos: vec!["*".to_owned()],
                destinations: vec![api::ProjectDestination {
                    server: any(),
                    namespace: any(),
                    name: None,
                }],
                cluster_resource_whitelist: Some(vec![ClusterResourceRestriction {
                    group: "*".to_owned(),
                    kind: "*".to_owned(),
                    name: None,
                }]),
                ..AppProjectSpec::default()
            }),
        }
    }

    pub fn name(&self) -> &str {
        self.name
    }

    pub fn spec(&self) -> &AppProjectSpec {
        &self.spec
    }

    /// Whether manifests may come from `url`.
    pub fn permit_source(&self, url: &str) -> Result<(), String> {
        let wanted = normal_url(url);
        let matches =
            |pattern: &str| pattern == "*" || glob::matches(&normal_url(pattern), &wanted, true);
        let (denied, allowed) = deny_and_allow(&self.spec.source_repos, matches);
        if allowed && !denied {
            return Ok(());
        }
        Err(format!(
            "application repo {url} is not permitted in project '{}' (sourceRepos: {})",
            self.name,
            listed(self.spec.source_repos.iter().cloned()),
        ))
    }

    /// Whether an Application in this namespace, other than the control namespace, may use the project.
    pub fn permit_app_namespace(&self, namespace: &str) -> Result<(), String> {
        let matches = |pattern: &String| glob::matches(pattern, namespace, false);
        if self.spec.source_namespaces.iter().any(matches) {
            return Ok(());
        }
        Err(format!(
            "applications in namespace '{namespace}' are not permitted to use project '{}' \
             (sourceNamespaces: {})",
            self.name,
            listed(self.spec.source_namespaces.iter().cloned()),
        ))
    }

    /// Whether objects may go to `namespace` of the cluster of `destination`.
    pub fn permit_destination(
        &self,
        destination: &ApplicationDestination,
        namespace: &str,
    ) -> Result<(), String> {
        if self.is_destination(destination, namespace) {
            return Ok(());
        }
        let rules = self.spec.destinations.iter().map(|rule| {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            let cluster = if rule.server.is_some() {
                part(&rule.server)
            } else {
                part(&rule.name)
            };
            format!("{cluster} {}", part(&rule.namespace))
        });
        let (server, _) = cluster_names(destination);
        Err(format!(
            "application destination server '{server}' and namespace '{namespace}' do not match any \
             of the allowed destinations in project '{}' (destinations: {})",
            self.name,
            listed(rules),
        ))
    }

    fn is_destination(&self, destination: &ApplicationDestination, namespace: &str) -> bool {
        let (server, name) = cluster_names(destination);
        let mut allowed = false;
        for rule in &self.spec.destinations {
            // A `!` on one part denies when the others match.
            let check = |pattern: &Option<String>, text: &str| -> (bool, bool) {
                let pattern = pattern.as_deref().unwrap_or_default();
                match pattern.strip_prefix('!') {
                    Some(rest) => (glob::matches(rest, text, false), true),
                    None => (
                        !pattern.is_empty() && glob::matches(pattern, text, false),
                        false,
                    ),
                }
            };
            let (server_hit, server_deny) = check(&rule.server, server);
            let (name_hit, name_deny) = check(&rule.name, name);
            let (namespace_hit, namespace_deny) = check(&rule.namespace, namespace);
            if (server_deny && server_hit) || (name_deny && name_hit) {
                return false;
            }
            let cluster_hit = server_hit || name_hit || server_deny || name_deny;
            if cluster_hit && namespace_hit {
                if namespace_deny {
                    return false;
                }
                allowed |= (server_hit && !server_deny) || (name_hit && !name_deny);
            }
        }
        allowed
    }

    /// Whether an object of this kind may be applied to its place.
    pub fn permit_resource(
        &self,
        id: &ResourceId,
        namespaced: bool,
        destination: &ApplicationDestination,
    ) -> Result<(), String> {
        if let Err(rule) = if namespaced {
            self.permit_namespaced(id)
        } else {
            self.permit_cluster(id)
        } {
            return Err(format!(
                "resource {}:{} is not permitted in project {} ({rule})",
                id.group, id.kind, self.name
            ));
        }
        if namespaced && !self.is_destination(destination, &id.namespace) {
            return Err(format!(
                "namespace {} is not permitted in project '{}' (destinations)",
                id.namespace, self.name
            ));
        }
        Ok(())
    }

    fn permit_cluster(&self, id: &ResourceId) -> Result<(), String> {
        let hit = |rule: &ClusterResourceRestriction| {
            is_kind(&rule.group, &rule.kind, id)
                && rule
                    .name
                    .as_deref()
                    .is_none_or(|name| name.is_empty() || glob::matches(name, &id.name, false))
        };
        let allowed = self
            .spec
            .cluster_resource_whitelist
            .as_deref()
            .unwrap_or_default();
        if !allowed.iter().any(hit) {
            return Err("clusterResourceWhitelist does not list it".to_owned());
        }
        match self
            .spec
            .cluster_resource_blacklist
            .iter()
            .find(|rule| hit(rule))
        {
            Some(rule) => Err(format!(
                "clusterResourceBlacklist: {}/{}",
                rule.group, rule.kind
            )),
            None => Ok(()),
        }
    }

    fn permit_namespaced(&self, id: &ResourceId) -> Result<(), String> {
        let hit = |rule: &GroupKind| is_kind(&rule.group, &rule.kind, id);
        if let Some(allowed) = &self.spec.namespace_resource_whitelist
            && !allowed.iter().any(hit)
        {
            return Err("namespaceResourceWhitelist does not list it".to_owned());
        }
        match self
            .spec
            .namespace_resource_blacklist
            .iter()
            .find(|rule| hit(rule))
        {
            Some(rule) => Err(format!(
                "namespaceResourceBlacklist: {}/{}",
                rule.group, rule.kind
            )),
            None => Ok(()),
        }
    }
}

fn is_kind(group: &str, kind: &str, id: &ResourceId) -> bool {
    glob::matches(group, &id.group, false) && glob::matches(kind, &id.kind, false)
}

/// Server and name of a cluster; the controller's own has both, whichever was given.
fn cluster_names(destination: &ApplicationDestination) -> (&str, &str) {
    let server = destination.server.as_deref().unwrap_or_default();
    let name = destination.name.as_deref().unwrap_or_default();
    if server == IN_CLUSTER_SERVER || name == IN_CLUSTER_NAME {
        (IN_CLUSTER_SERVER, IN_CLUSTER_NAME)
    } else {
        (server, name)
    }
}

/// Whether a `!pattern` hits, and whether a plain one does.
fn deny_and_allow(patterns: &[String], matches: impl Fn(&str) -> bool) -> (bool, bool) {
    let mut out = (false, false);
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(rest) => out.0 |= matches(rest),
            None => out.1 |= matches(pattern),
        }
    }
    out
}

fn listed(rules: impl Iterator<Item = String>) -> String {
    let rules: Vec<String> = rules.collect();
    if rules.is_empty() {
        "none".to_owned()
    } else {
        rules.join(", ")
    }
}

/// A repository URL without what does not tell repositories apart: scheme, user, `.git`, case.
pub fn normal_url(url: &str) -> String {
    let lower = url.trim().to_lowercase();
    let (rest, has_scheme) = match lower.split_once("://") {
        Some((_, rest)) => (rest.to_owned(), true),
        None => (lower.clone(), false),
    };
    let rest = match rest.split_once('@') {
        Some((user, host)) if !user.contains('/') => host.to_owned(),
        _ => rest,
    };
    // `git@host:path` is the same as `ssh://git@host/path`.
    let rest = match rest.split_once(':') {
        Some((host, path)) if !has_scheme && !host.contains('/') => {
            format!("{host}/{}", path.trim_start_matches('/'))
        }
        _ => rest,
    };
    let rest = rest.trim_end_matches('/');
    rest.strip_suffix(".git").unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests;
