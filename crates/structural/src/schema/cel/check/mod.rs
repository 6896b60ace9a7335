//! Whether an expression fits the schema that it stands in, as the API server judges it when a
//! definition is installed: its types, what is written down in it, and what it may cost.
//!
//! What is refused here the API server refuses. What nobody here knows, such as functions of
//! libraries, has a type that fits everywhere and a cost that is not judged.

mod literals;
mod macros;
mod patterns;

use std::sync::Arc;

use super::declare::Declared;
use super::estimate::{Estimate, Found, Parts, Place, Size, either};
use super::lexer;
use super::overloads::{NAMESPACES, Resolved, resolve};
use super::syntax::{told, tree};
use super::tree::{Kind, Node};
use super::types::Type;

/// The most faults that are told of one expression.
const TOLD: usize = 100;
/// In an expression longer than this, in bytes, only the first fault is told.
const LONG: usize = 16 << 10;
const LIST_COST: u64 = 10;
const MAP_COST: u64 = 30;
/// The names of types, which are values too.
const TYPES: [&str; 11] = [
    "bool",
    "bytes",
    "double",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

/// What an expression must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::schema) enum Wanted {
    Truth,
    Text,
}

/// Why the API server refuses an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::schema) enum Refusal {
    /// What its compiler says.
    Compilation(String),
    /// It comes to something else.
    Result,
}

/// An expression that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::schema) struct Fit {
    /// The estimate of its cost; `None` if it is not known.
    pub(in crate::schema) cost: Option<u64>,
    pub(in crate::schema) names_old: bool,
}

/// Judges an expression at a place of a schema. It was found to be one.
pub(in crate::schema) fn check(
    text: &str,
    root: &Arc<Declared>,
    optional_old: bool,
    wanted: Wanted,
) -> Result<Fit, Refusal> {
    let Some(read) = tree(text) else {
        let cost = None;
        return Ok(Fit {
            cost,
            names_old: false,
        });
    };
    let mut checker = Checker {
        text,
        root,
        optional_old,
        variables: Vec::new(),
        formats: 0,
        formatted: Vec::new(),
        malformed: Vec::new(),
        faults: Vec::new(),
        wrong: Vec::new(),
        estimate: Estimate::default(),
    };
    let found = checker.node(&read.root);
    let mut stages = [checker.malformed, checker.faults, checker.wrong].into_iter();
    if let Some(mut faults) = stages.find(|faults| !faults.is_empty()) {
        faults.sort_by_key(|(at, _)| *at);
        faults.truncate(if text.len() > LONG { 1 } else { TOLD });
        let lines = faults.iter().map(|(at, words)| told(text, *at, words));
        return Err(Refusal::Compilation(lines.collect::<Vec<_>>().join("\n")));
    }
    match (wanted, found.kind) {
        (_, Type::Unknown) | (Wanted::Truth, Type::Bool) | (Wanted::Text, Type::Text) => Ok(Fit {
            cost: (!checker.estimate.unsure).then_some(found.cost),
            names_old: read.names_old,
        }),
        _ => Err(Refusal::Result),
    }
}

/// What is wrong, each with its byte offset.
type Faults = Vec<(usize, String)>;

/// Faults of a later stage are told where there are none of an earlier one.
struct Checker<'n> {
    text: &'n str,
    root: &'n Arc<Declared>,
    optional_old: bool,
    /// The variables of the macros around, the innermost last.
    variables: Vec<(&'n str, Found)>,
    /// How many calls of `format` are around.
    formats: usize,
    /// The types of what is listed in them, by the byte offset of the list.
    formatted: Vec<(usize, Vec<Type>)>,
    /// Macros that can't be unfolded.
    malformed: Faults,
    /// What does not fit its types.
    faults: Faults,
    /// What fits, and is yet refused as it is written down.
    wrong: Faults,
    estimate: Estimate,
}

impl<'n> Checker<'n> {
    fn node(&mut self, node: &'n Node) -> Found {
        let text = |kind, length| Found::made(kind, 0).sized(Some(Size::exactly(length)));
        match &node.kind {
            Kind::Opaque => self.unknown(0),
            Kind::Null => text(Type::Null, 1),
            Kind::Bool => Found::made(Type::Bool, 0),
            Kind::Int => Found::made(Type::Int, 0),
            Kind::Uint => Found::made(Type::Uint, 0),
            Kind::Double => Found::made(Type::Double, 0),
            Kind::Text(length) => text(Type::Text, *length),
            Kind::Bytes(length) => text(Type::Bytes, *length),
            Kind::Name(name) => self.name(node.at, name),
            Kind::Select {
                from,
                field,
                optional,
            } => {
                let from = self.node(from);
                self.select(node.at, &from, field, *optional)
            }
            Kind::Index {
                from,
                key,
                optional,
            } => {
                let parts = [self.node(from), self.node(key)];
                self.index(node.at, &parts, *optional)
            }
            Kind::List(items) => self.list(node.at, items),
            Kind::Map(entries) => self.map(entries),
            Kind::Call { target, name, args } => {
                let target = target.as_deref();
                let done = self.macros(node.at, name, target, args);
                done.unwrap_or_else(|| self.call(node.at, name, target, args))
            }
        }
    }

    fn nodes(&mut self, nodes: &'n [Node]) -> Vec<Found> {
        nodes.iter().map(|node| self.node(node)).collect()
    }

    /// A value of which nothing is known, and what went before has cost so much.
    fn unknown(&mut self, cost: u64) -> Found {
        self.estimate.unsure = true;
        Found::made(Type::Unknown, cost)
    }

    /// Notes what is wrong; what comes of it is not complained of again.
    fn fault(&mut self, at: usize, words: String) -> Found {
        note(&mut self.faults, at, words);
        self.unknown(0)
    }

    /// Notes a macro that can't be unfolded.
    fn malformed(&mut self, at: usize, words: &str) -> Found {
        note(&mut self.malformed, at, words.to_owned());
        self.unknown(0)
    }

    fn undeclared(&mut self, at: usize, name: &str) -> Found {
        self.fault(
            at,
            format!("undeclared reference to '{name}' (in container '')"),
        )
    }

    fn mismatched(&mut self, at: usize, name: &str, signature: &str) -> Found {
        self.fault(
            at,
            format!("found no matching overload for '{name}' applied to '{signature}'"),
        )
    }

    fn variable(&self, name: &str) -> Option<&Found> {
        let mut variables = self.variables.iter().rev();
        variables
            .find(|(known, _)| *known == name)
            .map(|(_, found)| found)
    }

    fn name(&mut self, at: usize, name: &str) -> Found {
        if let Some(found) = self.variable(name) {
            return Found {
                cost: 1,
                ..found.clone()
            };
        }
        let place = Place::At(Some(Arc::clone(self.root)));
        match name {
            "oldSelf" if self.optional_old => {
                let kind = Type::Optional(Arc::new(self.root.kind()));
                Found::at(place, kind, 1)
            }
            "self" | "oldSelf" => Found::at(place, self.root.kind(), 1),
            // The estimate takes it for the whole object.
            _ if TYPES.contains(&name) => Found::at(place, Type::Meta, 1),
            _ if NAMESPACES.contains(&name) => self.unknown(1),
            _ => self.undeclared(at, name),
        }
    }

    /// `a.b` and `a.?b`, at the place that messages name.
    fn select(&mut self, at: usize, from: &Found, field: &str, optional: bool) -> Found {
        let (inner, lifted) = match &from.kind {
            Type::Optional(inner) => (Type::clone(inner), true),
            kind => (kind.clone(), optional),
        };
        let kind = match &inner {
            Type::Unknown => return self.unknown(from.cost),
            Type::Dyn => Type::Dyn,
            Type::Map(_, value) => Type::clone(value),
            Type::Object(declared) => match declared.field(field) {
                Some(declared) => declared.kind(),
                None => return self.fault(at, format!("undefined field '{field}'")),
            },
            other => {
                let words = format!("type '{other}' does not support field selection");
                return self.fault(at, words);
            }
        };
        let kind = if lifted {
            Type::Optional(Arc::new(kind))
        } else {
            kind
        };
        if optional {
            return Found::made(kind, from.cost.saturating_add(1));
        }
        let own = u64::from(matches!(from.kind, Type::Map(..) | Type::Object(_)));
        let place = from.place.field(self.root, field);
        Found::at(place, kind, from.cost.saturating_add(own))
    }

    /// `a[b]` and `a[?b]`.
    fn index(&mut self, at: usize, [from, key]: &[Found; 2], optional: bool) -> Found {
        let cost = from.cost.saturating_add(key.cost).saturating_add(1);
        let (inner, lifted) = match &from.kind {
            Type::Optional(inner) => (Type::clone(inner), true),
            kind => (kind.clone(), optional),
        };
        let kind = match &inner {
            Type::Unknown => return self.unknown(cost),
            Type::Dyn => Type::Dyn,
            Type::List(item) if Type::Int.fits(&key.kind) => Type::clone(item),
            Type::Map(own, value) if own.fits(&key.kind) => Type::clone(value),
            _ => {
                let name = if optional { "_[?_]" } else { "_[_]" };
                let signature = format!("({}, {})", from.kind, key.kind);
                return self.mismatched(at, name, &signature);
            }
        };
        if lifted {
            let kind = Type::Optional(Arc::new(kind));
            return Found::made(kind, cost);
        }
        let known = from.parts.and_then(|parts| parts.value);
        let found = Found::at(from.place.element(self.root), kind, cost);
        Found {
            size: known.or(found.size),
            ..found
        }
    }

    fn list(&mut self, at: usize, items: &'n [Node]) -> Found {
        let found = self.nodes(items);
        if self.formats > 0 {
            let kinds = found.iter().map(|item| item.kind.clone());
            self.formatted.push((at, kinds.collect()));
        }
        let mut kind = None;
        let mut value = Some(Size::exactly(0)).filter(|_| found.is_empty());
        let mut told = false;
        for (index, (item, node)) in found.iter().zip(items).enumerate() {
            kind = Some(joined(kind, &item.kind));
            told = told || self.differs(&found[0].kind, &item.kind, node.at);
            value = if index == 0 {
                item.size
            } else {
                either(value, item.size)
            };
        }
        let cost = found.iter().map(|item| item.cost);
        let kind = Type::List(Arc::new(kind.unwrap_or(Type::Unknown)));
        let key = Some(Size::exactly(1));
        let cost = cost.fold(LIST_COST, u64::saturating_add);
        let made = Found::made(kind, cost).sized(Some(Size::exactly(found.len() as u64)));
        Found {
            parts: Some(Parts { key, value }),
            ..made
        }
    }

    fn map(&mut self, entries: &'n [(Node, Node)]) -> Found {
        let (mut key, mut value) = (None, None);
        let mut first: Option<[Type; 2]> = None;
        let mut cost = MAP_COST;
        for (key_node, value_node) in entries {
            let [of_key, of_value] = [self.node(key_node), self.node(value_node)];
            key = Some(joined(key, &of_key.kind));
            value = Some(joined(value, &of_value.kind));
            let [first_key, first_value] =
                first.get_or_insert_with(|| [of_key.kind.clone(), of_value.kind.clone()]);
            self.differs(first_key, &of_key.kind, key_node.at);
            self.differs(first_value, &of_value.kind, value_node.at);
            let own = of_key.cost.saturating_add(of_value.cost);
            cost = cost.saturating_add(own);
        }
        // Keys with parts are none that a map can have; as types they could grow without end.
        let key = key.unwrap_or(Type::Unknown);
        let key = match key {
            Type::List(_) | Type::Map(..) | Type::Optional(_) => Type::Unknown,
            key => key,
        };
        let kind = Type::Map(Arc::new(key), Arc::new(value.unwrap_or(Type::Unknown)));
        Found::made(kind, cost).sized(Some(Size::exactly(entries.len() as u64)))
    }

    /// Whether one that is listed is of another type than the first, which is wrong unless it is
    /// to be formatted.
    fn differs(&mut self, first: &Type, next: &Type, at: usize) -> bool {
        let differs = self.formats == 0 && !first.is_same(next);
        if differs {
            let words = format!("expected type '{first}' but found '{next}'");
            note(&mut self.wrong, at, words);
        }
        differs
    }

    /// A function, or an operator.
    fn call(&mut self, at: usize, name: &str, target: Option<&'n Node>, args: &'n [Node]) -> Found {
        if let Some(Node {
            kind: Kind::Name(prefix),
            ..
        }) = target
            && NAMESPACES.contains(&prefix.as_str())
            && self.variable(prefix).is_none()
        {
            return self.namespaced(prefix, name, args);
        }
        let written = (target, args);
        let is_format = name == "format";
        self.formats += usize::from(is_format);
        let args = self.nodes(args);
        let target = target.map(|target| self.node(target));
        self.formats -= usize::from(is_format);
        self.written(at, name, written);
        if matches!(name, "_&&_" | "_||_") && target.is_none() {
            return self.truths(&args, written.1);
        }
        let kind = match Self::resolved(name, target.as_ref(), &args) {
            Resolved::As(kind) => kind,
            Resolved::Undeclared => return self.undeclared(at, name),
            Resolved::Mismatched => {
                let kinds: Vec<_> = args.iter().map(|arg| arg.kind.to_string()).collect();
                let signature = match &target {
                    Some(target) => format!("{}.({})", target.kind, kinds.join(", ")),
                    None => format!("({})", kinds.join(", ")),
                };
                return self.mismatched(at, name, &signature);
            }
        };
        self.estimate.unsure |= kind.is_unknown();
        let price = self.estimate.call(name, target.as_ref(), &args);
        let cost = target.map_or(0, |target| target.cost);
        let found = Found::made(kind, price.cost.saturating_add(cost));
        Found {
            size: price.size.or(found.size),
            parts: price.parts,
            ..found
        }
    }

    /// The operands of `&&` and `||`, of which each that is no truth is told for itself.
    fn truths(&mut self, found: &[Found], nodes: &[Node]) -> Found {
        for (operand, node) in found.iter().zip(nodes) {
            self.truth(&operand.kind, node.at);
        }
        let cost = found.iter().map(|operand| operand.cost);
        Found::made(Type::Bool, cost.fold(0, u64::saturating_add))
    }

    fn truth(&mut self, kind: &Type, at: usize) {
        if !kind.may_be_bool() {
            self.fault(at, format!("expected type 'bool' but found '{kind}'"));
        }
    }

    /// Texts that stand in an expression for what a function can't take.
    fn written(&mut self, at: usize, name: &str, (target, args): (Option<&Node>, &[Node])) {
        let Some(first) = args.first() else { return };
        let text = |node: &Node| match node.kind {
            Kind::Text(_) => lexer::literal(self.text, node.at),
            _ => None,
        };
        let takes: fn(&str) -> bool = match name {
            "duration" => literals::is_duration,
            "timestamp" => literals::is_timestamp,
            "matches" => patterns::is_pattern,
            "format" if args.len() == 1 => {
                let Some(text) = target.and_then(text) else {
                    return;
                };
                let Kind::List(items) = &first.kind else {
                    return;
                };
                let listed = self.formatted.iter().rfind(|(at, _)| *at == first.at);
                let kinds = listed.map(|(_, kinds)| kinds.as_slice());
                let kinds = kinds.unwrap_or_default();
                if let Some((item, words)) = literals::format_fault(&text, kinds) {
                    let item = item.and_then(|index| items.get(index));
                    note(&mut self.wrong, item.map_or(at, |item| item.at), words);
                }
                return;
            }
            _ => return,
        };
        if text(first).is_some_and(|text| !takes(&text)) {
            let words = format!("invalid {name} argument");
            note(&mut self.wrong, first.at, words);
        }
    }

    fn resolved(name: &str, target: Option<&Found>, args: &[Found]) -> Resolved {
        let fitting = |fits: bool, kind: Type| {
            if fits {
                Resolved::As(kind)
            } else {
                Resolved::Mismatched
            }
        };
        match (name, target, args) {
            ("_==_" | "_!=_", None, [one, other]) => {
                fitting(one.kind.fits(&other.kind), Type::Bool)
            }
            ("@in", None, [item, all]) => {
                let fits = match &all.kind {
                    Type::List(own) | Type::Map(own, _) => own.fits(&item.kind),
                    kind => kind.is_open(),
                };
                fitting(fits, Type::Bool)
            }
            ("_?_:_", None, [condition, then, other]) => {
                let fits = condition.kind.may_be_bool() && then.kind.fits(&other.kind);
                fitting(fits, then.kind.or(&other.kind))
            }
            ("_+_", None, [one, other])
                if matches!(&one.kind, Type::List(_)) || matches!(&other.kind, Type::List(_)) =>
            {
                fitting(one.kind.fits(&other.kind), one.kind.or(&other.kind))
            }
            // What an optional has is what is had without one.
            ("value", Some(target), []) | ("orValue", Some(target), [_]) => match &target.kind {
                Type::Optional(inner) => Resolved::As(Type::clone(inner)),
                kind => fitting(kind.is_open(), Type::Unknown),
            },
            _ => {
                let kinds: Vec<&Type> = args.iter().map(|arg| &arg.kind).collect();
                resolve(name, target.map(|target| &target.kind), &kinds)
            }
        }
    }

    /// A function of a library, by its whole name.
    fn namespaced(&mut self, prefix: &str, name: &str, args: &'n [Node]) -> Found {
        let found = self.nodes(args);
        let kind = match (prefix, name, found.as_slice()) {
            ("optional", "of" | "ofNonZeroValue", [of]) => {
                Type::Optional(Arc::new(of.kind.clone()))
            }
            ("optional", "none", []) => Type::Optional(Arc::new(Type::Unknown)),
            ("sets", "contains" | "equivalent" | "intersects", [_, _]) => Type::Bool,
            _ => Type::Unknown,
        };
        let unknown = self.unknown(0);
        Found { kind, ..unknown }
    }
}

fn note(faults: &mut Faults, at: usize, words: String) {
    if faults.len() < TOLD {
        faults.push((at, words));
    }
}

/// The type that what is listed has in common.
fn joined(known: Option<Type>, next: &Type) -> Type {
    match known {
        None => next.clone(),
        Some(known) if known.fits(next) => known.or(next),
        Some(_) => Type::Dyn,
    }
}

#[cfg(test)]
mod tests;
