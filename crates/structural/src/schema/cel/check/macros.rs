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
        let range = match (name, target, args) {
            ("has", None, [arg]) => return Some(self.has(at, arg)),
            (
                "all" | "exists" | "exists_one" | "existsOne" | "filter" | "map" | "optMap"
                | "optFlatMap",
                Some(range),
                [_, _],
            )
            | ("map", Some(range), [_, _, _]) => range,
            // With two variables, or of a library.
            ("all" | "exists" | "exists_one" | "existsOne", Some(range), [_, _, _])
            | ("sortBy", Some(range), [_, _])
            | (
                "transformList" | "transformMap" | "transformMapEntry",
                Some(range),
                [_, _, _] | [_, _, _, _],
            ) => {
                self.node(range);
                return Some(self.unknown(0));
            }
            _ => return None,
        };
        let [variable, bodies @ ..] = args else {
            return None;
        };
        let Kind::Name(variable_name) = &variable.kind else {
            return Some(self.fault(variable.at, "argument must be a simple name".to_owned()));
        };
        let found = self.node(range);
        if name.starts_with("opt") {
            return Some(self.optional_map((at, name), &found, variable_name, bodies));
        }
        let item = self.item(range.at, &found);
        self.variables.push((variable_name.as_str(), item.clone()));
        let bodies = self.nodes(bodies);
        self.variables.pop();
        Some(self.comprehension((at, name), &found, &item, &bodies))
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
            return self.fault(arg.at, "invalid argument to has() macro".to_owned());
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
            [body] if name == "map" => (None, body),
            [body, ..] => (Some(body), body),
            [] => return self.unknown(0),
        };
        let is_listed = matches!(name, "map" | "filter");
        let element = if name == "map" { body } else { item };
        if let Some(test) = test.filter(|test| !test.kind.may_be_bool()) {
            let (operator, signature) = match name {
                "all" => ("_&&_", format!("(bool, {})", test.kind)),
                "exists" => ("_||_", format!("(bool, {})", test.kind)),
                "map" | "filter" => {
                    let list = format!("list({})", element.kind);
                    ("_?_:_", format!("({}, {list}, {list})", test.kind))
                }
                _ => ("_?_:_", format!("({}, int, int)", test.kind)),
            };
            return self.mismatched(at, operator, &signature);
        }
        if is_listed {
            let tested = test.map_or(0, |test| test.cost);
            let round = if name == "map" {
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
