//! What an Application may do, by its project (gitops.md §3, §4). Every refusal names the project,
//! and the rule unless the peer's words leave it out.

mod cron;
mod windows;

pub use windows::Windows;

use crate::glob;
use crate::resource::ResourceId;
use api::constants::gitops::{DEFAULT_PROJECT, IN_CLUSTER_NAME, IN_CLUSTER_SERVER};
use api::{AppProjectSpec, ApplicationDestination, ClusterResourceRestriction, GroupKind};
use regex::Regex;
use std::borrow::Cow;

/// The longest URL of a repository, in bytes.
const URL_MAX: usize = 4096;
/// The longest regular expression of namespaces, in bytes: names of namespaces have 63.
const EXPRESSION_MAX: usize = 4096;

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

    /// Fields of the project that restrict its Applications and that nothing here holds to. They
    /// must not be passed over: nothing is synced under such a project.
    pub fn unsupported(&self) -> Vec<&'static str> {
        let spec = self.spec();
        let integrity = spec.source_integrity.as_ref().is_some_and(|rules| {
            !rules.is_null() && rules.as_object().is_none_or(|rules| !rules.is_empty())
        });
        let clusters = spec.permit_only_project_scoped_clusters == Some(true);
        let accounts = !spec.destination_service_accounts.is_empty();
        [
            ("signatureKeys", !spec.signature_keys.is_empty()),
            ("sourceIntegrity", integrity),
            ("destinationServiceAccounts", accounts),
            ("permitOnlyProjectScopedClusters", clusters),
        ]
        .into_iter()
        .filter_map(|(field, is_set)| is_set.then_some(field))
        .collect()
    }

    /// Whether manifests may come from `url`.
    pub fn permit_source(&self, url: &str) -> Result<(), String> {
        if let Some(problem) = url_problem(url) {
            return Err(format!("repoURL {problem}"));
        }
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

    /// Whether an Application in this namespace, other than the control namespace, may use the
    /// project.
    pub fn permit_app_namespace(&self, namespace: &str) -> Result<(), String> {
        let patterns = &self.spec.source_namespaces;
        if is_app_namespace(patterns, namespace) {
            return Ok(());
        }
        let mut rules = vec![listed(patterns.iter().cloned())];
        let unread = patterns
            .iter()
            .filter_map(|pattern| is_meant(pattern, namespace).err());
        rules.extend(unread);
        Err(format!(
            "applications in namespace '{namespace}' are not permitted to use project '{}' \
             (sourceNamespaces: {})",
            self.name,
            rules.join("; "),
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
                let pattern = pattern.trim_end_matches('/');
                let is_hit = |pattern: &str| glob::matches(pattern, text, false);
                match pattern.strip_prefix('!') {
                    Some(rest) => (is_denied(rest, is_hit), true),
                    None => (!pattern.is_empty() && is_hit(pattern), false),
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

    /// Whether an object of this kind may be applied to its place. The refusals are the peer's, to
    /// the letter (gitops.md item 22).
    pub fn permit_resource(
        &self,
        id: &ResourceId,
        namespaced: bool,
        destination: &ApplicationDestination,
    ) -> Result<(), String> {
        let is_permitted = if namespaced {
            self.permits_namespaced(id)
        } else {
            self.permits_cluster(id)
        };
        if !is_permitted {
            return Err(format!(
                "resource {}:{} is not permitted in project {}",
                id.group, id.kind, self.name
            ));
        }
        if namespaced && !self.is_destination(destination, &id.namespace) {
            return Err(format!(
                "namespace {} is not permitted in project '{}'",
                id.namespace, self.name
            ));
        }
        Ok(())
    }

    fn permits_cluster(&self, id: &ResourceId) -> bool {
        let hit = |rule: &ClusterResourceRestriction| {
            is_kind(&rule.group, &rule.kind, id)
                && rule
                    .name
                    .as_deref()
                    .is_none_or(|name| name.is_empty() || glob::matches(name, &id.name, false))
        };
        let is_unread = |rule: &ClusterResourceRestriction| {
            let name = rule.name.as_deref().unwrap_or_default();
            [rule.group.as_str(), &rule.kind, name]
                .into_iter()
                .any(glob::is_too_large)
        };
        let allowed = self.spec.cluster_resource_whitelist.as_deref();
        let mut denied = self.spec.cluster_resource_blacklist.iter();
        allowed.unwrap_or_default().iter().any(hit)
            && !denied.any(|rule| is_unread(rule) || hit(rule))
    }

    fn permits_namespaced(&self, id: &ResourceId) -> bool {
        let hit = |rule: &GroupKind| is_kind(&rule.group, &rule.kind, id);
        let is_unread =
            |rule: &GroupKind| glob::is_too_large(&rule.group) || glob::is_too_large(&rule.kind);
        let allowed = self.spec.namespace_resource_whitelist.as_ref();
        let mut denied = self.spec.namespace_resource_blacklist.iter();
        allowed.is_none_or(|rules| rules.iter().any(hit))
            && !denied.any(|rule| is_unread(rule) || hit(rule))
    }
}

/// Whether a namespace is meant by one of these patterns of namespaces of Applications (gitops.md
/// item 4).
pub(crate) fn is_app_namespace(patterns: &[String], namespace: &str) -> bool {
    let mut patterns = patterns.iter();
    patterns.any(|pattern| is_meant(pattern, namespace) == Ok(true))
}

/// A glob, or between slashes a regular expression, which any part of the name may match. One that
/// can't be read means no namespace.
fn is_meant(pattern: &str, namespace: &str) -> Result<bool, String> {
    let expression = pattern
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'));
    let Some(expression) = expression else {
        return Ok(glob::matches(pattern, namespace, false));
    };
    if expression.len() > EXPRESSION_MAX {
        let length = expression.len();
        return Err(format!(
            "a regular expression of {length} bytes is too long: it may have {EXPRESSION_MAX}"
        ));
    }
    let regex = Regex::new(expression).map_err(|error| {
        // The lines before are a drawing of the place.
        let text = error.to_string();
        let why = text.lines().next_back().unwrap_or_default();
        let why = why.trim_start_matches("error: ");
        format!("{pattern} can't be read as a regular expression: {why}")
    })?;
    Ok(regex.is_match(namespace))
}

fn is_kind(group: &str, kind: &str, id: &ResourceId) -> bool {
    glob::matches(group, &id.group, false) && glob::matches(kind, &id.kind, false)
}

/// Server and name of a cluster; the controller's own has both, whichever was given. A slash at the
/// end of a server tells no clusters apart, so it must not lead past a rule.
fn cluster_names(destination: &ApplicationDestination) -> (&str, &str) {
    let server = destination.server.as_deref().unwrap_or_default();
    let server = server.trim_end_matches('/');
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
            Some(rest) => out.0 |= is_denied(rest, &matches),
            None => out.1 |= matches(pattern),
        }
    }
    out
}

/// Whether what stands behind a `!` hits. Nobody knows what one would forbid that is not read.
fn is_denied(pattern: &str, matches: impl Fn(&str) -> bool) -> bool {
    glob::is_too_large(pattern) || matches(pattern)
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
    let (authority, path) = split_url(&lower);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    // `git@host:path` is the same as `ssh://git@host/path`.
    let whole = match path.strip_prefix(':') {
        Some(path) => format!("{host}/{}", path.trim_start_matches('/')),
        None => format!("{host}{path}"),
    };
    let rest = whole.trim_end_matches('/');
    rest.strip_suffix(".git").unwrap_or(rest).to_owned()
}

/// The authority of a URL, which is where a user may stand, and all that follows it. What looks
/// like a user further on is none.
fn split_url(url: &str) -> (&str, &str) {
    let (rest, has_scheme) = match url.split_once("://") {
        Some((_, rest)) => (rest, true),
        None => (url, false),
    };
    let is_end =
        |letter: char| matches!(letter, '/' | '?' | '#' | '\\') || (letter == ':' && !has_scheme);
    rest.split_at(rest.find(is_end).unwrap_or(rest.len()))
}

/// Why a URL could lead to another repository than the one that it is taken for. Programs read
/// these parts in different ways, and no repository needs them.
fn url_problem(url: &str) -> Option<String> {
    if url.len() > URL_MAX {
        return Some(format!("must not be longer than {URL_MAX} bytes"));
    }
    let lower = url.trim().to_lowercase();
    let odd = lower
        .chars()
        .find(|letter| matches!(letter, '?' | '#' | '\\') || letter.is_control());
    if let Some(odd) = odd {
        return Some(format!("must not contain {odd:?}"));
    }
    let (authority, path) = split_url(&lower);
    if authority.matches('@').count() > 1 {
        return Some("must not contain more than one '@' before the path".to_owned());
    }
    let is_step = |part: &str| matches!(part.replace("%2e", ".").as_str(), "." | "..");
    path.split(['/', ':'])
        .any(is_step)
        .then(|| "must not contain '.' or '..' as a part of the path".to_owned())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;
