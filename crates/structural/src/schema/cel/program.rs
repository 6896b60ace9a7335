//! Compiled expressions.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use kube_cel::cel::objects::Value;
use kube_cel::cel::parser::{Expression, Parser};
use kube_cel::cel::{Context, ExecutionError};
use serde_json::Value as Json;

use super::bind::{Size, Unordered, bind, is_unordered};
use super::functions::{ROOT, UNORDERED, optional};
use super::{cost, rewrite, syntax};
use crate::schema::model::Schema;

/// The longest expression that is compiled and remembered, in bytes.
const LENGTH: usize = 16 << 10;
/// The same in words and marks.
const TOKENS: usize = 1_000;
/// The most parts in parts. Parser and interpreter recurse, on whatever stack the caller has.
const NESTING: usize = 32;
/// What one evaluation may cost: the most values that it may touch.
const COST: u64 = 10_000_000;
/// How many expressions are remembered.
const REMEMBERED: usize = 10_000;

/// By their text: all that took `oldSelf` for a value, and all that took it for an optional one.
///
/// Every version of every definition has its rules, and every server its definitions; an
/// expression is compiled once for them all. What is remembered makes no difference to anything
/// but time.
static COMPILED: [RwLock<BTreeMap<String, Option<Arc<Program>>>>; 2] =
    [const { RwLock::new(BTreeMap::new()) }; 2];

/// An expression that can be evaluated.
#[derive(Debug)]
pub(in crate::schema) struct Program {
    expression: Expression,
    /// Whether `oldSelf` occurs.
    pub(in crate::schema) uses_old: bool,
    optional_old: bool,
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::schema) enum Fault {
    /// The object makes the expression fail, in the API server's words.
    Told(String),
    /// It costs too much, or fails here as it might not in the API server.
    Unsure,
}

impl Program {
    /// The program of an expression; `None` for what is none, and for what can't be evaluated here.
    pub(in crate::schema) fn of(text: &str, optional_old: bool) -> Option<Arc<Self>> {
        if text.len() > LENGTH {
            return None;
        }
        let compiled = &COMPILED[usize::from(optional_old)];
        let known = compiled.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = known.get(text) {
            return program.clone();
        }
        drop(known);
        let program = Self::compile(text, optional_old).map(Arc::new);
        let mut known = compiled.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(text.to_owned(), program.clone());
        program
    }

    fn compile(text: &str, optional_old: bool) -> Option<Self> {
        let form = syntax::form(text)?;
        // The parser takes `!!a` for `!a`.
        if form.tokens > TOKENS || form.depth > NESTING || form.doubled_sign {
            return None;
        }
        // What it parses was found to be an expression, yet the parser is large and generated.
        let parse = || Parser::new().enable_optional_syntax(true).parse(text).ok();
        let mut expression = catch_unwind(parse).ok()??;
        let uses_old = rewrite::rewrite(&mut expression, optional_old)?;
        Some(Self {
            expression,
            uses_old,
            optional_old,
        })
    }

    /// Whether a rule holds. `budget` is what all rules of an object may cost together.
    pub(in crate::schema) fn truth(&self, scope: &Scope, budget: &mut u64) -> Result<bool, Fault> {
        match self.run(scope, budget)? {
            Value::Bool(holds) => Ok(holds),
            _ => Err(Fault::Unsure),
        }
    }

    /// The text that a message's expression makes, if it makes one.
    pub(in crate::schema) fn text(&self, scope: &Scope, budget: &mut u64) -> Option<String> {
        match self.run(scope, budget) {
            Ok(Value::String(text)) => Some(text.as_ref().clone()),
            _ => None,
        }
    }

    fn run(&self, scope: &Scope, budget: &mut u64) -> Result<Value, Fault> {
        let cost = cost::cost(&self.expression, scope.size);
        if cost > COST.min(*budget) {
            return Err(Fault::Unsure);
        }
        *budget -= cost;
        let mut context = scope.context.new_inner_scope();
        if self.optional_old {
            context.add_variable_from_value("oldSelf", optional(scope.old.clone()));
        }
        // The interpreter has functions that are not meant to be called as users may call them.
        let run = AssertUnwindSafe(|| context.resolve(&self.expression));
        match catch_unwind(run) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(words(&error).map_or(Fault::Unsure, Fault::Told)),
            Err(_) => Err(Fault::Unsure),
        }
    }
}

/// What went wrong as the API server says it, if it is the object's fault beyond doubt.
fn words(error: &ExecutionError) -> Option<String> {
    let words = match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => {
            format!("index out of bounds: {index}")
        }
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(_, Value::Int(_), Value::Int(_)) => "integer overflow".to_owned(),
        ExecutionError::FunctionError { function, .. } if function == "value" => {
            "optional.none() dereference".to_owned()
        }
        _ => return None,
    };
    Some(words)
}

/// What the expressions of one place see.
pub(in crate::schema) struct Scope {
    context: Context<'static>,
    old: Option<Value>,
    size: Size,
}

impl Scope {
    /// The scope of a value, and of the one that stood in its place.
    pub(in crate::schema) fn new(schema: &Schema, value: &Json, old: Option<&Json>) -> Self {
        let mut size = Size::default();
        size.add(value);
        let unordered =
            is_unordered(schema, value) || old.is_some_and(|old| is_unordered(schema, old));
        let mut context = ROOT.new_inner_scope();
        context.add_variable_from_value("self", bind(Some(schema), value));
        let old = old.map(|old| {
            size.add(old);
            bind(Some(schema), old)
        });
        let (shape, shape_size) = if unordered {
            Unordered::of(schema)
        } else {
            (Value::Null, 0)
        };
        size.shape = shape_size;
        context.add_variable_from_value(UNORDERED, shape);
        if let Some(old) = &old {
            context.add_variable_from_value("oldSelf", old.clone());
        }
        Self { context, old, size }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{Fault, Program, Scope, Value};
    use crate::schema::Schema;

    fn scope(value: &Json, old: Option<&Json>) -> Scope {
        let root = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        Scope::new(&Schema::parse(&root, "").unwrap(), value, old)
    }

    fn answer(program: &Program, scope: &Scope) -> Result<Value, Fault> {
        let mut budget = u64::MAX;
        program.run(scope, &mut budget)
    }

    fn run(text: &str, value: &Json) -> Result<Value, Fault> {
        let program = Program::of(text, false).unwrap_or_else(|| panic!("no program: {text}"));
        answer(&program, &scope(value, None))
    }

    #[test]
    fn expressions_say_what_they_say_in_the_api_server() {
        let value = json!({
            "a": 1, "f": 1.5, "s": "naïve", "n": null, "l": [1, 2, 3], "m": { "x": "y" },
            "items": [{ "k": "a", "v": 1 }, { "k": "b", "v": 2 }], "namespace": "ns", "x-y": true,
        });
        for text in [
            "self.a == 1 && self.a == 1.0 && self.a != 2 && 1.5 == self.f",
            "self.s.size() == 5 && size(self.l) == 3 && self.m.size() == 1",
            "self.n == null && self.m != null",
            "2 in self.l && !(4 in self.l) && 1.0 in self.l && 'x' in self.m",
            "self.items.all(i, i.v > 0) && self.items.exists(i, i.k == 'b')",
            "self.items.exists_one(i, i.v == 2) && self.items.map(i, i.v) == [1, 2]",
            "self.items.filter(i, i.v > 1).size() == 1",
            "self.items.all(a, self.items.exists_one(b, a.k == b.k))",
            "has(self.a) && !has(self.b) && (has(self.b) ? self.b > 1 : true)",
            "self.?b.orValue(3) == 3 && self.?m.x.orValue('') == 'y' && !self.?b.c.hasValue()",
            "self.m[?'z'].orValue('none') == 'none' && self.?l[1].value() == 2",
            "self.?a.optMap(a, a + 1).orValue(0) == 2 && !self.?b.optMap(b, b + 1).hasValue()",
            "self.?m.optFlatMap(m, m.?x).orValue('') == 'y'",
            "self.__namespace__ == 'ns' && self.x__dash__y",
            "self.s.matches('^na') && self.s.startsWith('na') && 'A'.lowerAscii() == 'a'",
            "type(self.a) == int && type(self.s) == string && type(self.l) == list",
            "sets.contains(self.l, [1, 2]) && self.l.sum() == 6 && self.l.isSorted()",
            "quantity('1Gi').isGreaterThan(quantity('1M')) && isURL('https://a.example/')",
            "duration('90s') > duration('1m') && -self.a < 0 && 7 % 4 == 3",
        ] {
            assert_eq!(run(text, &value), Ok(Value::Bool(true)), "{text}");
        }
    }

    #[test]
    fn what_an_object_makes_fail_is_told_and_what_fails_otherwise_is_not() {
        let value = json!({ "l": [1], "zero": 0, "big": i64::MAX, "s": "x" });
        let told = |text: &str| run(text, &value).unwrap_err();
        for (text, words) in [
            ("self.nothing > 1", "no such key: nothing"),
            ("self.l[3] == 1", "index out of bounds: 3"),
            ("1 / self.zero == 1", "division by zero"),
            ("1 % self.zero == 1", "modulus by zero"),
            ("self.big + 1 > 0", "integer overflow"),
            ("self.?a.value() == 1", "optional.none() dereference"),
        ] {
            assert_eq!(told(text), Fault::Told(words.to_owned()), "{text}");
        }
        assert_eq!(told("self.s > 1"), Fault::Unsure);
        assert_eq!(told("duration(self.s) > duration('1s')"), Fault::Unsure);
    }

    #[test]
    fn an_old_value_is_there_or_optional() {
        let text = "oldSelf.?a.orValue(0) <= self.a && oldSelf.optMap(o, o.a > 0).orValue(true)";
        let program = Program::of(text, true).unwrap();
        assert!(program.uses_old);
        let after = |old: Option<&Json>| answer(&program, &scope(&json!({ "a": 1 }), old));
        assert_eq!(after(None), Ok(Value::Bool(true)));
        assert_eq!(after(Some(&json!({ "a": 1 }))), Ok(Value::Bool(true)));
        assert_eq!(after(Some(&json!({ "a": 2 }))), Ok(Value::Bool(false)));
        let plain = Program::of("self.a >= oldSelf.a", false).unwrap();
        let scope = scope(&json!({ "a": 1 }), Some(&json!({ "a": 2 })));
        assert_eq!(answer(&plain, &scope), Ok(Value::Bool(false)));
    }

    #[test]
    fn what_can_not_be_evaluated_has_no_program() {
        let deep = format!("{}self{}", "(".repeat(40), ")".repeat(40));
        let long = format!("self.a{}", " + self.a".repeat(400));
        let wide = format!("self.a == '{}'", "x".repeat(20_000));
        // Short enough for the parser, which must not run out of stack before the tree is refused.
        let sum = format!("1{}", " + 1".repeat(498));
        let path = format!("self{}", ".a".repeat(498));
        for text in [
            "self.a ==",
            "!!self.a",
            "self.l.sortBy(x, x)",
            "self.m.all(k, v, k == v)",
            "cel.bind(x, 1, x == 1)",
            "lists.range(self.n).size() > 0",
            "has(self.?a.b)",
            "k8s.Object{a: 1}.a == 1",
            "[?self.?a].size() == 1",
            "other > 1",
            &deep,
            &long,
            &wide,
            &sum,
            &path,
        ] {
            assert!(Program::of(text, false).is_none(), "{text}");
        }
        assert!(Program::of("self.all(x, x.all(y, y > x))", false).is_some());
    }

    #[test]
    fn no_expression_and_no_object_runs_for_long() {
        let value = json!({ "l": vec![1; 2_000], "s": "x,".repeat(100_000) });
        let nested = "self.l.all(a, self.l.all(b, self.l.all(c, a + b + c > 0)))";
        assert_eq!(run(nested, &value), Err(Fault::Unsure));
        let texts = "self.s.split(',').all(a, self.s.split(',').all(b, a == b))";
        assert_eq!(run(texts, &value), Err(Fault::Unsure));
        let program = Program::of("self.l.all(a, a > 0)", false).unwrap();
        let scope = scope(&value, None);
        let mut budget = 1_000_000;
        let mut runs = 0;
        while program.run(&scope, &mut budget) == Ok(Value::Bool(true)) {
            runs += 1;
            assert!(runs < 1_000, "the budget of an object comes to an end");
        }
        assert!(runs > 0);
    }

    #[test]
    fn a_large_schema_makes_no_comparison_dearer() {
        let set = json!({ "type": "array", "x-kubernetes-list-type": "set",
            "items": { "type": "integer" } });
        let sets = (0..2_000).map(|index| (format!("p{index}"), set.clone()));
        let sets: serde_json::Map<String, Json> = sets.collect();
        let schema = json!({ "type": "object", "properties": sets });
        let numbers: Vec<i64> = (0..30).collect();
        let value = json!({ "p0": numbers });
        let scope = Scope::new(&Schema::parse(&schema, "").unwrap(), &value, None);
        let pairs = "self.p0.all(a, self.p0.all(b, a == b || a != b))";
        let program = Program::of(pairs, false).unwrap();
        assert_eq!(answer(&program, &scope), Ok(Value::Bool(true)));
    }

    #[test]
    fn a_pattern_costs_its_compilation_at_each_call() {
        let value = json!({ "l": vec![1; 20_000] });
        let matched = "self.l.all(a, 'x'.matches('^x'))";
        assert_eq!(run(matched, &value), Err(Fault::Unsure));
        let plain = "self.l.all(a, 'x'.startsWith('x'))";
        assert_eq!(run(plain, &value), Ok(Value::Bool(true)));
        let few = json!({ "l": vec![1; 20] });
        assert_eq!(run(matched, &few), Ok(Value::Bool(true)));
    }

    #[test]
    fn no_expression_makes_values_of_any_size() {
        let value = json!({ "l": vec![1; 20_000], "s": "x".repeat(100_000) });
        let doubled = format!("[self.t]{} == []", ".map(a, a + a)".repeat(30));
        let small = json!({ "t": "x" });
        assert_eq!(run(&doubled, &small), Err(Fault::Unsure));
        let nested = format!("self.l{} == []", ".map(a, self.l.map(b, a))".repeat(8));
        let hundred = json!({ "l": vec![1; 100] });
        assert_eq!(run(&nested, &hundred), Err(Fault::Unsure));
        for text in [
            "self.s.replace('', self.s).size() > 0",
            "self.l.map(i, self.s).join(self.s).size() > 0",
            "self.l.distinct().size() == 1",
            "sets.contains(self.l, self.l)",
            "self.s.indexOf(self.s) == 0",
            "[self.s.replace('', self.s).replace('', self.s).replace('', self.s).replace('', self.s)].all(c, c == 'x')",
        ] {
            assert_eq!(run(text, &value), Err(Fault::Unsure), "{text}");
        }
        let value = json!({ "l": [1, 1], "s": "a-b" });
        for text in [
            "self.s.replace('-', '').size() == 2 && self.s.split('-').join('+') == 'a+b'",
            "self.l.distinct().size() == 1 && '%d'.format([self.l[0]]) == '1'",
            "self.l.map(a, a + 1).map(a, a + 1).filter(a, a > 2).size() == 2",
        ] {
            assert_eq!(run(text, &value), Ok(Value::Bool(true)), "{text}");
        }
    }
}
