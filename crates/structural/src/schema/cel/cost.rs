//! A bound to what evaluating an expression costs, found before it is evaluated.
//!
//! The interpreter has no limit of its own, and an expression can make values that are much larger
//! than the object: each `.map(a, a + a)` doubles a text. So the size of every value on the way is
//! estimated from above, and to make it or to copy it costs as much.

use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators,
};
use kube_cel::cel::parser::Expression;

use super::bind::{BYTES, Size};
use super::functions::{CONTAINS, DIFFERS, EQUALS, LIST_TO_OPTIONAL, OPTIONAL_TO_LIST, PICK};
use super::rewrite::RESULT;

/// Calls that answer a number or a truth, however large what they are given.
const SCALAR: [&str; 24] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    EQUALS,
    DIFFERS,
    CONTAINS,
    "contains",
    "endsWith",
    "hasValue",
    "isSorted",
    "matches",
    "size",
    "startsWith",
    "type",
];
/// Calls that answer what they are given, or a part of it.
const PASSING: [&str; 7] = [
    operators::INDEX,
    PICK,
    OPTIONAL_TO_LIST,
    LIST_TO_OPTIONAL,
    "or",
    "orValue",
    "value",
];
/// What a pattern costs each time that it is compiled.
const PATTERN: u64 = 1_000;
/// What `format` makes of one number at most: 65,535 digits, and those before the point.
const FORMATTED: u64 = 4_200;

/// The most values that evaluating an expression touches.
pub(super) fn cost(expression: &Expression, size: Size) -> u64 {
    let whole = size.whole.max(1);
    let object = Bound {
        whole,
        most: whole,
        longest: size.longest,
    };
    let mut cost = Cost {
        object,
        variables: Vec::new(),
    };
    // The shape was made once; comparisons only look it up along the values that they compare.
    cost.of(expression).0.saturating_add(size.shape)
}

/// A bound to the size of a value. Texts are counted as in [`Size`].
#[derive(Clone, Copy, Debug)]
struct Bound {
    /// Values in values; of the variable of a loop, on average of its rounds.
    whole: u64,
    /// The same of the largest value that the variables may stand for.
    most: u64,
    /// Of the longest list or map in it.
    longest: u64,
}

impl Bound {
    const NONE: Self = Self::scalar(0);
    const ONE: Self = Self::scalar(1);

    /// A value without values in it, such as a text.
    const fn scalar(whole: u64) -> Self {
        Self {
            whole,
            most: whole,
            longest: 0,
        }
    }

    fn text(bytes: usize) -> Self {
        Self::scalar(1 + bytes as u64 / BYTES)
    }

    /// Both in one value.
    fn with(self, other: Self) -> Self {
        Self {
            whole: self.whole.saturating_add(other.whole),
            most: self.most.saturating_add(other.most),
            longest: self.longest.max(other.longest),
        }
    }

    /// The one or the other.
    fn or(self, other: Self) -> Self {
        Self {
            whole: self.whole.max(other.whole),
            most: self.most.max(other.most),
            longest: self.longest.max(other.longest),
        }
    }

    fn times(self, factor: u64) -> Self {
        Self {
            whole: self.whole.saturating_mul(factor),
            most: self.most.saturating_mul(factor),
            longest: self.longest,
        }
    }
}

struct Cost<'e> {
    /// Of `self` and of `oldSelf`.
    object: Bound,
    /// The variables of the loops around, the innermost last.
    variables: Vec<(&'e str, Bound)>,
}

impl<'e> Cost<'e> {
    /// What it costs to evaluate an expression, and how large its value is.
    fn of(&mut self, expression: &'e Expression) -> (u64, Bound) {
        match &expression.expr {
            Expr::Literal(LiteralValue::String(text)) => (1, Bound::text(text.inner().len())),
            Expr::Literal(LiteralValue::Bytes(bytes)) => (1, Bound::text(bytes.inner().len())),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => (1, Bound::ONE),
            Expr::Ident(name) => (1, self.variable(name)),
            Expr::Select(select) => {
                // What is selected from is copied.
                let (cost, from) = self.of(&select.operand);
                let value = if select.test { Bound::ONE } else { from };
                (cost.saturating_add(from.whole), value)
            }
            Expr::Call(call) => {
                let (cost, parts) = self.parts(expression);
                let (own, value) = called(call, &parts);
                let made = own.saturating_add(value.whole);
                (cost.saturating_add(made), value)
            }
            Expr::List(_) | Expr::Map(_) => {
                let (cost, parts) = self.parts(expression);
                let all = together(&parts).with(Bound::ONE);
                let longest = all.longest.max(parts.len() as u64);
                (cost, Bound { longest, ..all })
            }
            Expr::Comprehension(node) => self.comprehension(node),
        }
    }

    fn variable(&self, name: &str) -> Bound {
        let mut variables = self.variables.iter().rev();
        match variables.find(|(known, _)| *known == name) {
            Some((_, bound)) => *bound,
            None if ["self", "oldSelf"].contains(&name) => self.object,
            None => Bound::ONE,
        }
    }

    /// What it costs to evaluate and to copy the parts of a node, and how large each is.
    fn parts(&mut self, node: &'e Expression) -> (u64, Vec<Bound>) {
        let mut cost = 1_u64;
        let mut bounds = Vec::new();
        for part in children(node) {
            let (own, bound) = self.of(part);
            cost = cost.saturating_add(own).saturating_add(bound.whole);
            bounds.push(bound);
        }
        (cost, bounds)
    }

    fn comprehension(&mut self, node: &'e ComprehensionExpr) -> (u64, Bound) {
        let (range_cost, range) = self.of(&node.iter_range);
        let (init_cost, init) = self.of(&node.accu_init);
        let rounds = range.longest.max(1);
        let item = Bound {
            whole: (range.whole / rounds).saturating_add(1),
            ..range
        };
        self.variables.push((node.iter_var.as_str(), item));
        // What was gathered in the rounds before comes below, for all rounds together.
        self.variables.push((RESULT, Bound::NONE));
        let (cond_cost, _) = self.of(&node.loop_cond);
        let (step_cost, step) = self.of(&node.loop_step);
        self.variables.pop();
        let gathered = init.with(step.times(rounds));
        let longest = gathered.longest.max(rounds);
        let gathered = Bound {
            longest,
            ..gathered
        };
        self.variables.push((RESULT, gathered));
        let (result_cost, value) = self.of(&node.result);
        self.variables.pop();
        self.variables.pop();
        // A list is copied for each item that it gets.
        let copied = if gathers(&node.loop_step) {
            gathered.whole
        } else {
            0
        };
        let round = sum([cond_cost, step_cost, item.whole, copied]);
        let rounds_cost = round.saturating_mul(rounds);
        let once = sum([range_cost, range.whole, init_cost, result_cost]);
        (once.saturating_add(rounds_cost), value)
    }
}

/// What a call costs beyond its parts and its value, and how large that value is.
fn called(call: &CallExpr, parts: &[Bound]) -> (u64, Bound) {
    let all = together(parts);
    let factors = parts.iter().map(|part| part.most.max(1));
    let product = factors.fold(1, u64::saturating_mul);
    let name = call.func_name.as_str();
    let value = match name {
        operators::CONDITIONAL => parts.iter().copied().fold(Bound::NONE, Bound::or),
        operators::ADD => {
            let lengths = parts.iter().map(|part| part.longest);
            let longest = lengths.fold(0, u64::saturating_add);
            Bound { longest, ..all }
        }
        "flatten" => Bound {
            longest: all.most,
            ..all
        },
        // As many pieces as a text has bytes.
        "split" | "findAll" | "getQuery" => Bound {
            longest: all.most.saturating_mul(BYTES),
            ..all.times(BYTES + 1)
        },
        // A text between any two bytes of another, or between any two items.
        "replace" | "join" => {
            let inserted = product.saturating_mul(BYTES);
            Bound::scalar(inserted.saturating_add(all.most.saturating_mul(4)))
        }
        "format" => {
            // The target is the last part; a verb takes two of its bytes.
            let verbs = parts.last().map_or(1, |text| text.most);
            let numbers = verbs.saturating_mul(BYTES / 2 * FORMATTED);
            Bound::scalar(numbers.saturating_add(all.most.saturating_mul(4)))
        }
        _ if SCALAR.contains(&name) => Bound::ONE,
        _ if PASSING.contains(&name) => all,
        // Quotes and escapes at worst double a text.
        _ => all.times(2),
    };
    let own = match name {
        // Every item is compared with every other.
        "distinct" => all.longest.saturating_mul(all.most),
        // The order of lists is looked at after their items.
        EQUALS | DIFFERS | CONTAINS => all.whole,
        // The interpreter compiles the pattern at each call.
        "matches" | "find" | "findAll" => PATTERN,
        "indexOf" | "lastIndexOf" => product.saturating_mul(BYTES),
        _ if is_of_sets(call) => all.longest.saturating_mul(all.most),
        _ => 0,
    };
    (own, value)
}

fn is_of_sets(call: &CallExpr) -> bool {
    let target = call.target.as_deref().map(|target| &target.expr);
    matches!(target, Some(Expr::Ident(name)) if name == "sets")
}

/// Whether the step of a loop adds an item to a list.
fn gathers(step: &Expression) -> bool {
    let Expr::Call(call) = &step.expr else {
        return false;
    };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::ADD, [first, item]) => {
            matches!(&first.expr, Expr::Ident(name) if name == RESULT)
                && matches!(item.expr, Expr::List(_))
        }
        (operators::CONDITIONAL, [_, then, _]) => gathers(then),
        _ => false,
    }
}

fn together(parts: &[Bound]) -> Bound {
    parts.iter().copied().fold(Bound::NONE, Bound::with)
}

fn sum<const N: usize>(costs: [u64; N]) -> u64 {
    costs.into_iter().fold(0, u64::saturating_add)
}

/// The parts of a call, its target last, and those of a list or map.
fn children(expression: &Expression) -> Vec<&Expression> {
    match &expression.expr {
        Expr::Call(call) => call.args.iter().chain(call.target.as_deref()).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => {
            let entries = map.entries.iter().filter_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => Some([&entry.key, &entry.value]),
                EntryExpr::StructField(_) => None,
            });
            entries.flatten().collect()
        }
        _ => Vec::new(),
    }
}
