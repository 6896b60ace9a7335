//! Macros: what the parser of the API server unfolds into loops over lists and maps.

use std::sync::Arc;

use super::super::estimate::{Found, Parts, Size, either};
use super::super::tree::{Kind, Node};
use super::super::types::Type;
use super::{Checker, LIST_COST};

impl<'n> Checker<'n> {
    /// What the parser unfolds; `None` for what is no macro.
    pub(super) fn macros(
        &mut self,
        at: usize,
        name: &str,
        target: Option<&'n Node>,
        args: &'n [Node],
    ) -> Option<Found> {
        let (range, count) = match (name, target, args) {
            ("has", None, [arg]) => return Some(self.has(at, arg)),
            (
                "all" | "exists" | "exists_one" | "existsOne" | "filter" | "map" | "optMap"
                | "optFlatMap",
                Some(range),
                [_, _],
            )
            | ("map", Some(range), [_, _, _]) => (range, 1),
            ("all" | "exists" | "exists_one" | "existsOne", Some(range), [_, _, _])
            | (
                "transformList" | "transformMap" | "transformMapEntry",
                Some(range),
                [_, _, _] | [_, _, _, _],
            ) => (range, 2),
            // Of a library.
            ("sortBy", Some(range), [_, _]) => {
                self.node(range);
                return Some(self.unknown(0));
            }
            _ => return None,
        };
        let (variables, bodies) = args.split_at_checked(count)?;
        let mut names = Vec::new();
        for variable in variables {
            let Kind::Name(own) = &variable.kind else {
                let words = no_name(name);
                return Some(self.malformed(variable.at, &words));
            };
            names.push(own.as_str());
        }
        let found = self.node(range);
        if name.starts_with("opt") {
            let variable = names.first().copied()?;
            return Some(self.optional_map((at, name), &found, variable, bodies));
        }
        let items = match names.as_slice() {
            [_] => vec![self.item(range.at, &found)],
            _ => Vec::from(self.pair(range.at, &found)),
        };
        let outer = self.variables.len();
        self.variables.extend(names.into_iter().zip(items.clone()));
        let made = self.nodes(bodies);
        self.variables.truncate(outer);
        if matches!(name, "all" | "exists") {
            self.truths(&made, bodies);
        }
        let first = items.first()?;
        Some(match name {
            "transformMap" | "transformMapEntry" => self.transform((at, name), first, &made),
            _ => self.comprehension((at, name), &found, first, &made),
        })
    }

    fn has(&mut self, at: usize, arg: &'n Node) -> Found {
        let Kind::Select {
            from,
            field,
            optional: false,
        } = &arg.kind
        else {
            if matches!(arg.kind, Kind::Opaque) {
                return self.unknown(0);
            }
            return self.malformed(arg.at, "invalid argument to has() macro");
        };
        let from = self.node(from);
        self.select(at, &from, field, false);
        // To ask costs nothing.
        Found::made(Type::Bool, from.cost)
    }

    /// The variable of a macro: an item of a list, or a key of a map.
    fn item(&mut self, at: usize, range: &Found) -> Found {
        let known = |value: bool| {
            let parts = range.parts?;
            if value { parts.value } else { parts.key }
        };
        match &range.kind {
            Type::List(item) => {
                let place = range.place.element(self.root);
                Found::at(place, Type::clone(item), 1).sized(known(true))
            }
            Type::Map(key, _) => {
                let place = range.place.key(self.root);
                Found::at(place, Type::clone(key), 1).sized(known(false))
            }
            Type::Dyn => Found::at(range.place.element(self.root), Type::Dyn, 1),
            Type::Unknown => self.unknown(1),
            kind => {
                let words = format!(
                    "expression of type '{kind}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.fault(at, words)
            }
        }
    }

    /// The two variables of a macro: index and item of a list, or key and value of an entry.
    fn pair(&mut self, at: usize, range: &Found) -> [Found; 2] {
        let item = self.item(at, range);
        match &range.kind {
            Type::List(_) => [Found::made(Type::Int, 1), item],
            Type::Map(_, value) => {
                let place = range.place.element(self.root);
                let size = range.parts.and_then(|parts| parts.value);
                let value = Found::at(place, Type::clone(value), 1).sized(size);
                [item, value]
            }
            _ => {
                self.estimate.unsure = true;
                [item.clone(), item]
            }
        }
    }

    /// What a macro comes to, and what its unfolded rounds cost.
    fn comprehension(
        &mut self,
        (at, name): (usize, &str),
        range: &Found,
        item: &Found,
        bodies: &[Found],
    ) -> Found {
        let rounds = self.estimate.most(range.size);
        let spent = |once: u64, round: u64| {
            let round = round.saturating_mul(rounds);
            range.cost.saturating_add(once).saturating_add(round)
        };
        let (test, body) = match bodies {
            [test, body] => (Some(test), body),
            [body] if matches!(name, "map" | "transformList") => (None, body),
            [body, ..] => (Some(body), body),
            [] => return self.unknown(0),
        };
        let is_mapped = matches!(name, "map" | "transformList");
        let is_listed = is_mapped || name == "filter";
        let element = if is_mapped { body } else { item };
        // Those of `all` and `exists` are operands of `&&` and `||`.
        let is_operand = matches!(name, "all" | "exists");
        if let Some(test) = test.filter(|test| !is_operand && !test.kind.may_be_bool()) {
            let made = if is_listed {
                format!("list({})", element.kind)
            } else {
                "int".to_owned()
            };
            return self.mismatched(at, "_?_:_", &format!("({}, {made}, {made})", test.kind));
        }
        if is_listed {
            let tested = test.map_or(0, |test| test.cost);
            let round = if is_mapped {
                body.cost.saturating_add(12).saturating_add(tested)
            } else {
                tested.saturating_add(13)
            };
            let kind = Type::List(Arc::new(element.kind.clone()));
            let value = either(Some(Size::exactly(0)), element.size);
            let key = Some(Size::exactly(1));
            let found = Found::made(kind, spent(LIST_COST + 1, round)).sized(range.size);
            return Found {
                parts: Some(Parts { key, value }),
                ..found
            };
        }
        let (once, round) = match name {
            "all" => (1, 3),
            "exists" => (1, 4),
            _ => (2, 2),
        };
        Found::made(Type::Bool, spent(once, body.cost.saturating_add(round)))
    }

    /// `a.transformMap(k, v, f)` and `a.transformMapEntry(k, v, {f: g})`, each with or without a
    /// test before what it makes.
    fn transform(&mut self, (at, name): (usize, &str), key: &Found, bodies: &[Found]) -> Found {
        let (test, body) = match bodies {
            [test, body] => (Some(test), body),
            [body] => (None, body),
            _ => return self.unknown(0),
        };
        let kind = match &body.kind {
            made if name == "transformMap" => {
                Type::Map(Arc::new(key.kind.clone()), Arc::new(made.clone()))
            }
            Type::Map(..) => body.kind.clone(),
            open if open.is_open() => Type::Map(Arc::new(Type::Unknown), Arc::new(Type::Unknown)),
            other => {
                // It unfolds into a call of this function with the map that is made.
                let signature = format!("(map(dyn, dyn), {other})");
                return self.mismatched(at, "cel.@mapInsert", &signature);
            }
        };
        if let Some(test) = test.filter(|test| !test.kind.may_be_bool()) {
            let signature = format!("({}, {kind}, {kind})", test.kind);
            return self.mismatched(at, "_?_:_", &signature);
        }
        let unknown = self.unknown(0);
        Found { kind, ..unknown }
    }

    /// `a.optMap(x, f)` and `a.optFlatMap(x, f)`.
    fn optional_map(
        &mut self,
        (at, name): (usize, &str),
        target: &Found,
        variable: &'n str,
        bodies: &'n [Node],
    ) -> Found {
        let inner = match &target.kind {
            Type::Optional(inner) => Type::clone(inner),
            kind if kind.is_open() => Type::Unknown,
            kind => {
                // It unfolds into a question to the optional.
                let signature = format!("{kind}.()");
                return self.mismatched(at, "hasValue", &signature);
            }
        };
        let value = Found {
            kind: inner,
            ..self.unknown(0)
        };
        self.variables.push((variable, value));
        let bodies = self.nodes(bodies);
        self.variables.pop();
        let made = bodies
            .into_iter()
            .next()
            .map_or(Type::Unknown, |body| body.kind);
        let kind = if name == "optMap" {
            Type::Optional(Arc::new(made))
        } else {
            made
        };
        let unknown = self.unknown(0);
        Found { kind, ..unknown }
    }
}

/// What is told where a macro's variable is no name.
fn no_name(name: &str) -> String {
    match name {
        "optMap" | "optFlatMap" => format!("{name}() variable name must be a simple identifier"),
        "map" | "filter" => "argument is not an identifier".to_owned(),
        _ => "argument must be a simple name".to_owned(),
    }
}
