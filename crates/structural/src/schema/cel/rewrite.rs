//! Parsed expressions, made fit for the interpreter: what it does not know, or takes otherwise than
//! the API server, is replaced or found out.

use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators,
};
use kube_cel::cel::parser::Expression;

use super::bind::BELOW;
use super::functions::{
    CONTAINS, DIFFERS, EQUALS, LIST_TO_OPTIONAL, MADE, OPTIONAL_TO_LIST, PICK, PLACED, TYPES,
    UNORDERED, exists,
};

/// The deepest tree.
const DEPTH: usize = 48;
/// The variable in which a macro gathers its result; no expression can name it.
pub(super) const RESULT: &str = "@result";
const OPERATORS: [&str; 15] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
];

/// Makes an expression fit, and answers whether `oldSelf` occurs; `None` if that is not possible.
pub(super) fn rewrite(expression: &mut Expression, optional_old: bool) -> Option<bool> {
    let mut rewriter = Rewriter {
        optional_old,
        bound: Vec::new(),
        uses_old: false,
    };
    rewriter.node(expression, 0)?;
    Some(rewriter.uses_old)
}

struct Rewriter {
    optional_old: bool,
    /// The variables of the macros around the node, each with the steps to the place that it is
    /// from, if that is known.
    bound: Vec<(String, Option<Vec<String>>)>,
    uses_old: bool,
}

impl Rewriter {
    fn node(&mut self, node: &mut Expression, depth: usize) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        let below = depth + 1;
        match &mut node.expr {
            Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(name)?,
            Expr::Select(select) => {
                self.node(&mut select.operand, below)?;
                if self.is_optional(&select.operand) {
                    node.expr = optional_select(select)?;
                }
            }
            Expr::List(list) if list.optional_indices.is_empty() => {
                self.nodes(&mut list.elements, below)?;
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    match &mut entry.expr {
                        EntryExpr::MapEntry(entry) if !entry.optional => {
                            self.node(&mut entry.key, below)?;
                            self.node(&mut entry.value, below)?;
                        }
                        _ => return None,
                    }
                }
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, below)?,
            Expr::Call(call) => match optional_map(call) {
                Some(unfolded) => {
                    node.expr = unfolded;
                    self.node(node, below)?;
                }
                None => self.call(call, below)?,
            },
            // The interpreter has no message types; the parser leaves nothing unspecified.
            Expr::List(_) | Expr::Struct(_) | Expr::Unspecified => return None,
        }
        Some(())
    }

    fn nodes(&mut self, nodes: &mut [Expression], depth: usize) -> Option<()> {
        nodes.iter_mut().try_for_each(|node| self.node(node, depth))
    }

    fn variable(&mut self, name: &str) -> Option<()> {
        self.uses_old |= name == "oldSelf";
        let known = ["self", "oldSelf", RESULT].contains(&name)
            || self.bound.iter().any(|(bound, _)| bound == name)
            || TYPES.contains(&name);
        known.then_some(())
    }

    fn comprehension(&mut self, node: &mut ComprehensionExpr, depth: usize) -> Option<()> {
        if node.iter_var2.is_some() {
            return None;
        }
        self.node(&mut node.iter_range, depth)?;
        self.node(&mut node.accu_init, depth)?;
        let item = self.place(&node.iter_range).map(item_of);
        self.bound.push((node.iter_var.clone(), item));
        self.node(&mut node.loop_cond, depth)?;
        self.node(&mut node.loop_step, depth)?;
        self.bound.pop();
        self.node(&mut node.result, depth)
    }

    fn call(&mut self, call: &mut CallExpr, depth: usize) -> Option<()> {
        self.nodes(&mut call.args, depth)?;
        if call.target.is_none() {
            return self.function(call);
        }
        let target = call.target.as_deref_mut()?;
        if let Expr::Ident(prefix) = &target.expr
            && exists(&format!("{prefix}.{}", call.func_name))
        {
            return Some(());
        }
        self.node(target, depth)?;
        exists(&call.func_name).then_some(())
    }

    /// A call without a target: an operator, or a function.
    fn function(&self, call: &mut CallExpr) -> Option<()> {
        let known = self.known(call);
        let other = match call.func_name.as_str() {
            operators::EQUALS => EQUALS,
            operators::NOT_EQUALS => DIFFERS,
            operators::IN => CONTAINS,
            operators::OPT_SELECT | operators::OPT_INDEX => PICK,
            operators::INDEX => {
                if self.is_optional(call.args.first()?) {
                    PICK
                } else {
                    return Some(());
                }
            }
            name => {
                let known = OPERATORS.contains(&name) || exists(name);
                return known.then_some(());
            }
        };
        other.clone_into(&mut call.func_name);
        if other != PICK {
            // What compares must know whether order may make no difference.
            let mut parts = vec![node(Expr::Ident(UNORDERED.to_owned()))];
            parts.extend(known.iter().map(|part| text(part)));
            call.args.push(node(Expr::List(ListExpr::new(parts))));
        }
        Some(())
    }

    /// What is known of the value that a comparison starts from.
    fn known(&self, call: &CallExpr) -> Vec<String> {
        let place = match call.args.as_slice() {
            [_, all] if call.func_name == operators::IN => self.place(all).map(item_of),
            _ => None,
        };
        let Some(first) = call.args.first() else {
            return Vec::new();
        };
        if let Some(steps) = place.or_else(|| self.place(first)) {
            return std::iter::once(PLACED.to_owned()).chain(steps).collect();
        }
        if is_made(first) {
            return vec![MADE.to_owned()];
        }
        Vec::new()
    }

    /// The steps to the place that a value is from, if it is from one.
    fn place(&self, node: &Expression) -> Option<Vec<String>> {
        match &node.expr {
            Expr::Ident(name) => {
                let mut bound = self.bound.iter().rev();
                match bound.find(|(bound, _)| bound == name) {
                    Some((_, steps)) => steps.clone(),
                    None if name == "self" => Some(Vec::new()),
                    None if name == "oldSelf" && !self.optional_old => Some(Vec::new()),
                    None => None,
                }
            }
            Expr::Select(select) if !select.test => {
                let mut steps = self.place(&select.operand)?;
                steps.push(format!(".{}", select.field));
                Some(steps)
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                self.place(call.args.first()?).map(item_of)
            }
            _ => None,
        }
    }

    /// Whether a node, rewritten already, is an optional value for sure, so that what is selected
    /// from it is optional too.
    fn is_optional(&self, node: &Expression) -> bool {
        match &node.expr {
            Expr::Call(call) => call.func_name == PICK,
            Expr::Ident(name) => self.optional_old && name == "oldSelf",
            _ => false,
        }
    }
}

/// One step further: to an item of a list, or a value of a map.
fn item_of(mut steps: Vec<String>) -> Vec<String> {
    steps.push(BELOW.to_owned());
    steps
}

/// Whether a value is written down as a whole.
fn is_made(node: &Expression) -> bool {
    match &node.expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list.elements.iter().all(is_made),
        Expr::Map(map) => map.entries.iter().all(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => is_made(&entry.value),
            EntryExpr::StructField(_) => false,
        }),
        _ => false,
    }
}

fn text(text: &str) -> Expression {
    node(Expr::Literal(LiteralValue::String(text.into())))
}

fn node(expr: Expr) -> Expression {
    Expression { id: 0, expr }
}

fn call(name: &str, args: Vec<Expression>) -> Expression {
    node(Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: None,
        args,
    }))
}

/// `a.b` of an optional `a`.
fn optional_select(select: &mut SelectExpr) -> Option<Expr> {
    if select.test {
        return None;
    }
    let args = vec![std::mem::take(&mut *select.operand), text(&select.field)];
    Some(call(PICK, args).expr)
}

/// `a.optMap(x, f)` and `a.optFlatMap(x, f)`, which the parser does not unfold: a loop over the one
/// value of `a`, or over none. A loop gathers in a list, as an optional does not survive it.
fn optional_map(found: &mut CallExpr) -> Option<Expr> {
    let flat = match found.func_name.as_str() {
        "optMap" => false,
        "optFlatMap" => true,
        _ => return None,
    };
    let [
        Expression {
            expr: Expr::Ident(variable),
            ..
        },
        body,
    ] = found.args.as_mut_slice()
    else {
        return None;
    };
    let target = found.target.as_deref_mut()?;
    let body = std::mem::take(body);
    let step = if flat {
        call(OPTIONAL_TO_LIST, vec![body])
    } else {
        node(Expr::List(ListExpr::new(vec![body])))
    };
    let result = node(Expr::Ident(RESULT.to_owned()));
    Some(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: call(OPTIONAL_TO_LIST, vec![std::mem::take(target)]),
        iter_var: std::mem::take(variable),
        iter_var2: None,
        accu_var: RESULT.to_owned(),
        accu_init: node(Expr::List(ListExpr::new(Vec::new()))),
        loop_cond: node(Expr::Literal(LiteralValue::Boolean(true.into()))),
        loop_step: step,
        result: call(LIST_TO_OPTIONAL, vec![result]),
    })))
}
