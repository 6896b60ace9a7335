//! The difference of declared fields.

use super::client_side::last_applied;
use super::fields::FieldSet;
use super::scalar::{is_free_map, is_nothing, is_zero, same};
use super::writing::Writing;
use crate::resource;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What is wrong with one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Difference {
    /// Declared, and different in the cluster.
    Differs,
    /// Declared, and not in the cluster.
    Missing,
    /// In the cluster, inside a unit that is declared as a whole and was changed by somebody else.
    Extra,
    /// Ours, in the cluster, and no longer declared.
    Removed,
    /// The manifest has changed since it was last applied.
    Changed,
}

/// One difference between Git and the cluster. Values of Secrets are masked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldDiff {
    /// `.spec.template.spec.containers[name=backend].image`; empty for the whole object.
    pub path: String,
    pub what: Difference,
    pub target: Option<Value>,
    pub live: Option<Value>,
}

/// What stands for a value that must not be shown.
const MASK: &str = "++++++++";
/// More differences of one object than this are not listed.
const DIFFS_MAX: usize = 50;
/// Deeper than this, values are compared as a whole.
const DEPTH_MAX: usize = 96;

/// How much of a unit counts.
#[derive(Clone, Copy)]
struct Mode<'a> {
    /// Fields of ours here.
    own: Option<&'a FieldSet>,
    /// Fields of anybody here.
    any: Option<&'a FieldSet>,
    /// What an atomic unit with unknown owner is: changed by somebody else, or not.
    unknown_is_foreign: bool,
    /// Every field counts, not only declared ones.
    strict: bool,
    depth: usize,
}

/// Who owns what of a live object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ownership<'a> {
    pub(super) own: Option<&'a FieldSet>,
    pub(super) any: Option<&'a FieldSet>,
    /// What client-side apply made of an object that we have never applied, and what therefore goes
    /// when Git does not declare it.
    pub(super) client_side: Option<&'a FieldSet>,
    /// The live object says that it was applied from exactly this manifest.
    pub(super) digest_matches: bool,
}

/// All differences between a target and its live object, both masked and without server fields.
pub(super) fn declared(target: &Value, live: &Value, ownership: Ownership<'_>) -> Vec<FieldDiff> {
    let mut walk = Walk {
        found: Vec::new(),
        secret: resource::kind(target) == "Secret" && resource::group(target).is_empty(),
        writing: Writing::of(target),
    };
    let mode = Mode {
        own: ownership.own,
        any: ownership.any,
        unknown_is_foreign: ownership.own.is_some() || !ownership.digest_matches,
        strict: false,
        depth: DEPTH_MAX,
    };
    let (Some(target_map), Some(live_map)) = (target.as_object(), live.as_object()) else {
        return Vec::new();
    };
    for (key, value) in target_map {
        // The identity matched already, and one object is served at several versions.
        if key != "apiVersion" && key != "kind" {
            let at = Position {
                path: format!(".{key}"),
                names: vec![key.as_str()],
            };
            walk.field(&at, value, live_map.get(key), mode.below(key));
        }
    }
    if let Some(own) = ownership.own {
        own.orphans(target, live, &mut |path, value| {
            walk.push(path, Difference::Removed, None, Some(value));
        });
    } else if let (Some(own), Some(applied)) = (ownership.client_side, last_applied(live)) {
        // Client-side apply owns what the API server has defaulted too: what was declared says what
        // it has declared.
        let mut declared = BTreeSet::new();
        own.orphans(target, &applied, &mut |path, _| {
            declared.insert(path);
        });
        own.orphans(target, live, &mut |path, value| {
            if declared.contains(&path) {
                walk.push(path, Difference::Removed, None, Some(value));
            }
        });
    }
    walk.found
}

impl Mode<'_> {
    fn below(self, name: &str) -> Self {
        Self {
            own: self.own.and_then(|own| own.field(name)),
            any: self.any.and_then(|any| any.field(name)),
            depth: self.depth.saturating_sub(1),
            ..self
        }
    }

    fn item(self, item: &Value) -> Self {
        Self {
            own: self.own.and_then(|own| own.item(item)),
            any: self.any.and_then(|any| any.item(item)),
            depth: self.depth.saturating_sub(1),
            ..self
        }
    }

    /// Inside a unit there is no finer ownership.
    fn inside_unit(self) -> Self {
        let foreign = match (self.own, self.any) {
            (Some(own), _) if own.is_leaf() => false,
            (_, Some(_)) => true,
            (_, None) => self.unknown_is_foreign,
        };
        Self {
            own: None,
            any: None,
            strict: self.strict || foreign,
            // From here on the answer is `strict`.
            unknown_is_foreign: self.strict || foreign,
            depth: self.depth.saturating_sub(1),
        }
    }

    /// The API server treats the map or list here as one unit.
    fn is_unit(self) -> bool {
        self.any.is_some_and(FieldSet::is_leaf)
    }
}

struct Position<'a> {
    path: String,
    names: Vec<&'a str>,
}

impl<'a> Position<'a> {
    fn field(&self, name: &'a str) -> Self {
        let mut names = self.names.clone();
        names.push(name);
        Self {
            path: format!("{}.{name}", self.path),
            names,
        }
    }

    fn item(&self, label: &str) -> Self {
        Self {
            path: format!("{}[{label}]", self.path),
            names: self.names.clone(),
        }
    }
}

struct Walk<'a> {
    found: Vec<FieldDiff>,
    secret: bool,
    writing: Writing<'a>,
}

impl Walk<'_> {
    fn push(
        &mut self,
        path: String,
        what: Difference,
        target: Option<&Value>,
        live: Option<&Value>,
    ) {
        if self.found.len() >= DIFFS_MAX {
            return;
        }
        let masked = self.secret && path.starts_with(".data");
        let show = |value: Option<&Value>| {
            value.map(|value| {
                if masked {
                    Value::from(MASK)
                } else {
                    value.clone()
                }
            })
        };
        self.found.push(FieldDiff {
            path,
            what,
            target: show(target),
            live: show(live),
        });
    }

    fn field(&mut self, at: &Position<'_>, target: &Value, live: Option<&Value>, mode: Mode<'_>) {
        let Some(live) = live.filter(|live| !live.is_null()) else {
            let parent = &at.names[..at.names.len().saturating_sub(1)];
            let absent_is_fine = if mode.strict || is_free_map(parent) {
                target.is_null()
            } else {
                self.writing.leaves_out(&at.names, target)
            };
            if !absent_is_fine {
                self.push(at.path.clone(), Difference::Missing, Some(target), None);
            }
            return;
        };
        match (target, live) {
            (Value::Null, _) => {}
            (Value::Object(target), Value::Object(live)) if mode.depth > 0 => {
                self.map(at, target, live, mode);
            }
            (Value::Array(target), Value::Array(live)) if mode.depth > 0 => {
                self.list(at, target, live, mode);
            }
            _ if same(&at.names, target, live) => {}
            _ => self.push(
                at.path.clone(),
                Difference::Differs,
                Some(target),
                Some(live),
            ),
        }
    }

    fn map(
        &mut self,
        at: &Position<'_>,
        target: &Map<String, Value>,
        live: &Map<String, Value>,
        mode: Mode<'_>,
    ) {
        let mode = if mode.is_unit() && !live.is_empty() {
            mode.inside_unit()
        } else {
            mode
        };
        for (key, value) in target {
            self.field(&at.field(key), value, live.get(key), mode.below(key));
        }
        if !mode.strict {
            return;
        }
        for (key, value) in live {
            if target.get(key).is_none_or(Value::is_null)
                && !is_zero(value)
                && !is_default(key, value)
            {
                self.push(
                    format!("{}.{key}", at.path),
                    Difference::Extra,
                    None,
                    Some(value),
                );
            }
        }
    }

    fn list(&mut self, at: &Position<'_>, target: &[Value], live: &[Value], mode: Mode<'_>) {
        if mode.any.is_some_and(FieldSet::is_set) {
            for item in target.iter().filter(|item| !live.contains(item)) {
                self.push(
                    at.item(&item.to_string()).path,
                    Difference::Missing,
                    Some(item),
                    None,
                );
            }
            return;
        }
        let keys = match mode.any {
            Some(any) => any.keys(),
            None if mode.strict => None,
            None => known_keys(at.names.last().copied().unwrap_or_default(), target, live),
        };
        match keys {
            Some(keys) => self.keyed(at, (target, live), &keys, mode),
            None => self.positional(at, target, live, mode.inside_unit()),
        }
    }

    fn keyed(
        &mut self,
        at: &Position<'_>,
        (target, live): (&[Value], &[Value]),
        keys: &[&str],
        mode: Mode<'_>,
    ) {
        for item in target {
            let label = item_label(item, keys);
            let at = at.item(&label);
            match live.iter().find(|other| item_label(other, keys) == label) {
                Some(other) => self.field(&at, item, Some(other), mode.item(other)),
                None => self.push(at.path, Difference::Missing, Some(item), None),
            }
        }
    }

    fn positional(&mut self, at: &Position<'_>, target: &[Value], live: &[Value], mode: Mode<'_>) {
        if target.len() != live.len() {
            let (target, live) = (Value::from(target.to_vec()), Value::from(live.to_vec()));
            self.push(
                at.path.clone(),
                Difference::Differs,
                Some(&target),
                Some(&live),
            );
            return;
        }
        for (index, (target, live)) in target.iter().zip(live).enumerate() {
            self.field(&at.item(&index.to_string()), target, Some(live), mode);
        }
    }
}

fn item_label(item: &Value, keys: &[&str]) -> String {
    let parts: Vec<String> = keys
        .iter()
        .map(|key| match item.get(key) {
            Some(Value::String(text)) => format!("{key}={text}"),
            None | Some(Value::Null) if *key == "protocol" => "protocol=TCP".to_owned(),
            None => format!("{key}="),
            Some(other) => format!("{key}={other}"),
        })
        .collect();
    parts.join(",")
}

/// The key fields of well-known associative lists, for live objects that do not say who owns what.
fn known_keys(name: &str, target: &[Value], live: &[Value]) -> Option<Vec<&'static str>> {
    let candidates: &[&[&'static str]] = match name {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets" => &[&["name"]],
        "volumeMounts" => &[&["mountPath"]],
        "volumeDevices" => &[&["devicePath"]],
        "ports" => &[&["containerPort", "protocol"], &["port", "protocol"]],
        _ => return None,
    };
    let fits = |keys: &&&[&'static str]| {
        target
            .iter()
            .chain(live)
            .all(|item| item.get(keys[0]).is_some())
    };
    candidates.iter().find(fits).map(|keys| keys.to_vec())
}

/// Fields that the API server fills in inside atomic units, with the value it fills in. Only
/// consulted where somebody else wrote the unit last, so an entry that is missing here costs one
/// superfluous apply and no more.
fn is_default(key: &str, value: &Value) -> bool {
    match (key, value) {
        ("weight" | "successThreshold", Value::Number(number)) => number.as_i64() == Some(1),
        ("kind", Value::String(text)) => text == "Service",
        ("protocol", Value::String(text)) => text == "TCP",
        ("type", Value::String(text)) => text == "PathPrefix" || text == "Exact",
        ("path", Value::Object(map)) => {
            map.get("value").is_some_and(|value| value == "/")
                && map.get("type").is_none_or(|kind| kind == "PathPrefix")
        }
        ("matches", Value::Array(list)) => match list.as_slice() {
            [Value::Object(only)] => only.iter().all(|(key, value)| is_default(key, value)),
            _ => false,
        },
        ("terminationMessagePath", Value::String(text)) => text == "/dev/termination-log",
        ("terminationMessagePolicy", Value::String(text)) => text == "File",
        ("scheme", Value::String(text)) => text == "HTTP",
        ("apiVersion", Value::String(text)) => text == "v1",
        ("imagePullPolicy", Value::String(_))
        | (
            "timeoutSeconds" | "failureThreshold" | "periodSeconds" | "defaultMode",
            Value::Number(_),
        ) => true,
        (_, value) => is_nothing(value),
    }
}
