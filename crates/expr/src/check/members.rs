//! Types of fields, elements and slices.

use super::node::Checker;
use crate::ast::{Kind, Node};
use crate::error::{Fault, Result};
use crate::time;
use crate::ty::Ty;

impl Checker<'_> {
    pub(super) fn member(&mut self, node: &Node) -> Result<Ty> {
        let Kind::Member {
            base,
            property,
            method,
            ..
        } = &node.kind
        else {
            return Ok(Ty::Unknown);
        };
        let ty = self.node(base)?;
        let key = self.node(property)?;
        let name = match &property.kind {
            Kind::Str(name) => Some(name.as_str()),
            _ => None,
        };
        if ty == Ty::Env
            && let Some(name) = name
        {
            return match self.lookup(name) {
                Some(ty) => Ok(ty),
                None if optional(node) => Ok(Ty::Unknown),
                None => Err(Fault::new(node.at, format!("unknown name {name}"))),
            };
        }
        match &ty {
            Ty::Unknown => Ok(Ty::Unknown),
            map if map.is_map() => {
                check_key(property.at, map, &key)?;
                Ok(map.item())
            }
            Ty::List { .. } => {
                if key.is_integer() || key.is_unknown() {
                    return Ok(ty.item());
                }
                Err(Fault::new(
                    property.at,
                    format!(
                        "array elements can only be selected using an integer (got {})",
                        key.name()
                    ),
                ))
            }
            other => named_member(node.at, other, name, &key, *method),
        }
    }

    pub(super) fn slice(
        &mut self,
        at: usize,
        base: &Node,
        bounds: [&Option<Box<Node>>; 2],
    ) -> Result<Ty> {
        let sliced = self.node(base)?;
        if !(sliced.is_unknown() || sliced.is_list() || sliced == Ty::String) {
            return Err(Fault::new(at, format!("cannot slice {}", sliced.name())));
        }
        for bound in bounds.into_iter().flatten() {
            let ty = self.node(bound)?;
            if !(sliced.is_unknown() || ty.is_unknown() || ty.is_integer()) {
                let message = format!("non-integer slice index {}", ty.name());
                return Err(Fault::new(bound.at, message));
            }
        }
        Ok(sliced)
    }
}

fn optional(node: &Node) -> bool {
    matches!(node.kind, Kind::Member { optional: true, .. })
}

/// A field or method of something that is neither list nor map.
fn named_member(at: usize, base: &Ty, name: Option<&str>, key: &Ty, method: bool) -> Result<Ty> {
    let shown = match base {
        Ty::Nil if name.is_some() => "nil",
        other => other.name(),
    };
    let Some(name) = name else {
        let message = format!("type {shown}[{}] is undefined", key.name());
        return Err(Fault::new(at, message));
    };
    if time::method(base, name).is_some() {
        return Ok(Ty::Function);
    }
    let what = if method { "method" } else { "field" };
    Err(Fault::new(at, format!("type {shown} has no {what} {name}")))
}

/// Whether `key` can select from the map type `map`.
pub(crate) fn check_key(at: usize, map: &Ty, key: &Ty) -> Result<()> {
    if matches!(map, Ty::Groups | Ty::AnyMap) || key.is_unknown() || *key == Ty::String {
        return Ok(());
    }
    let (key, map) = (key.name(), map.name());
    Err(Fault::new(
        at,
        format!("cannot use {key} to get an element from {map}"),
    ))
}
