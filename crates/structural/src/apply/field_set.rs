//! Sets of field paths and their FieldsV1 form.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use thiserror::Error;

use super::element::PathElement;
use crate::MAX_DEPTH;
use crate::schema::Schema;

/// FieldsV1 that cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FieldsError {
    /// Not an object where one must be.
    #[error("expected an object")]
    NotAnObject,
    /// A key that is no path element.
    #[error("parsing key as path element: {0}")]
    BadElement(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
}

/// A set of paths. A path may be in the set together with paths below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    members: BTreeSet<PathElement>,
    children: BTreeMap<PathElement, Self>,
}

impl FieldSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self {
            members: BTreeSet::new(),
            children: BTreeMap::new(),
        }
    }

    /// A set of plain field paths, each a list of names.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::new();
        for path in paths {
            let path: Vec<_> = path.iter().map(|name| PathElement::field(*name)).collect();
            set.insert(&path);
        }
        set
    }

    /// Whether it has no path.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Adds a path; the empty path adds nothing.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether the path itself is in the set.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self
                .children
                .get(first)
                .is_some_and(|child| child.has(rest)),
        }
    }

    pub(super) fn has_member(&self, element: &PathElement) -> bool {
        self.members.contains(element)
    }

    /// The paths below `element`, relative to it.
    pub fn below(&self, element: &PathElement) -> Option<&Self> {
        self.children.get(element).filter(|child| !child.is_empty())
    }

    /// Every path that is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.members.extend(other.members.iter().cloned());
        for (element, theirs) in &other.children {
            let ours = out.children.entry(element.clone()).or_default();
            *ours = ours.union(theirs);
        }
        out
    }

    /// Every path that is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(element, ours)| {
            let both = ours.intersection(other.children.get(element)?);
            (!both.is_empty()).then(|| (element.clone(), both))
        });
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: children.collect(),
        }
    }

    /// Every path of this set that is not itself in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.subtract(other, false)
    }

    /// Every path of this set that is neither in the other nor below one of its paths.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.subtract(other, true)
    }

    fn subtract(&self, other: &Self, recursive: bool) -> Self {
        let mut children = BTreeMap::new();
        for (element, ours) in &self.children {
            if recursive && other.members.contains(element) {
                continue;
            }
            let rest = match other.children.get(element) {
                Some(theirs) => ours.subtract(theirs, recursive),
                None => ours.clone(),
            };
            if !rest.is_empty() {
                children.insert(element.clone(), rest);
            }
        }
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children,
        }
    }

    /// All paths, in order.
    pub fn paths(&self) -> Vec<Vec<PathElement>> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<Vec<PathElement>>) {
        for member in &self.members {
            prefix.push(member.clone());
            out.push(prefix.clone());
            prefix.pop();
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.collect(prefix, out);
            prefix.pop();
        }
    }

    /// The set with every *declared* field that has paths below it added itself.
    pub(super) fn with_named_fields(&self, schema: Option<&Schema>) -> Self {
        let schema = schema.map(Schema::resolve);
        let mut members = self.members.clone();
        let mut children = BTreeMap::new();
        for (element, child) in &self.children {
            let below = match element {
                PathElement::Field(name) => schema.and_then(|schema| {
                    if schema.properties.contains_key(name) {
                        members.insert(element.clone());
                    }
                    schema.property(name)
                }),
                _ => schema.and_then(Schema::item),
            };
            children.insert(element.clone(), child.with_named_fields(below));
        }
        Self { members, children }
    }

    /// The FieldsV1 object.
    pub fn to_fields_v1(&self) -> Value {
        let mut map = Map::new();
        for member in &self.members {
            map.insert(member.to_fields_v1(), Value::Object(Map::new()));
        }
        for (element, child) in self.children.iter().filter(|(_, child)| !child.is_empty()) {
            let Value::Object(mut fields) = child.to_fields_v1() else {
                continue;
            };
            if self.members.contains(element) {
                fields.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.to_fields_v1(), Value::Object(fields));
        }
        Value::Object(map)
    }

    /// Reads a FieldsV1 object. Keys of an unknown kind are skipped.
    pub fn from_fields_v1(value: &Value) -> Result<Self, FieldsError> {
        Self::read(value, 0).map(|(set, _)| set)
    }

    /// The set, and whether the node itself is a member.
    fn read(value: &Value, depth: usize) -> Result<(Self, bool), FieldsError> {
        if depth > MAX_DEPTH {
            return Err(FieldsError::TooDeep);
        }
        let Value::Object(map) = value else {
            return Err(FieldsError::NotAnObject);
        };
        let mut set = Self::new();
        let mut member = map.is_empty();
        for (key, child) in map {
            if key == "." {
                member = true;
                continue;
            }
            let element = match PathElement::from_fields_v1(key) {
                Ok(element) => element,
                Err(reason) if reason == "unknown type" => continue,
                Err(reason) => return Err(FieldsError::BadElement(reason)),
            };
            let (below, itself) = Self::read(child, depth + 1)?;
            if itself {
                set.members.insert(element.clone());
            }
            if !below.is_empty() {
                set.children.insert(element, below);
            }
        }
        Ok((set, member))
    }
}
