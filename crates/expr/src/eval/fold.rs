//! What Go's optimizer evaluates while compiling, as far as it can fail.

use super::ops;
use crate::ast::{BinaryOp, Kind, Node};
use crate::error::{Fault, Result};

/// Reports constant divisions by zero and constant patterns that are wrong: compile errors in Go,
/// wherever they stand.
pub(crate) fn fold_errors(node: &Node) -> Result<()> {
    if let Kind::Binary {
        op, left, right, ..
    } = &node.kind
    {
        match (op, &left.kind, &right.kind) {
            (BinaryOp::Rem, Kind::Int(_), Kind::Int(0)) => {
                return Err(Fault::new(node.at, "integer divide by zero"));
            }
            (BinaryOp::Matches, _, Kind::Str(pattern)) => {
                ops::compile_regex(pattern).map_err(|message| Fault::new(node.at, message))?;
            }
            _ => {}
        }
    }
    for child in children(node) {
        fold_errors(child)?;
    }
    Ok(())
}

fn children(node: &Node) -> Vec<&Node> {
    match &node.kind {
        Kind::Nil
        | Kind::Bool(_)
        | Kind::Int(_)
        | Kind::Float(_)
        | Kind::Str(_)
        | Kind::Ident(_)
        | Kind::Pointer(_) => Vec::new(),
        Kind::Unary { operand: node, .. } | Kind::Chain(node) | Kind::Predicate(node) => {
            vec![node]
        }
        Kind::Binary { left, right, .. } => vec![left, right],
        Kind::Member { base, property, .. } => vec![base, property],
        Kind::Slice { base, from, to } => {
            let mut nodes: Vec<&Node> = vec![base];
            nodes.extend([from, to].into_iter().flatten().map(|node| &**node));
            nodes
        }
        Kind::Call { callee, args } => {
            let mut nodes: Vec<&Node> = vec![callee];
            nodes.extend(args);
            nodes
        }
        Kind::Builtin { args: nodes, .. } | Kind::Sequence(nodes) | Kind::Array(nodes) => {
            nodes.iter().collect()
        }
        Kind::Conditional {
            condition,
            then,
            otherwise,
        } => vec![condition, then, otherwise],
        Kind::Let { value, body, .. } => vec![value, body],
        Kind::Map(pairs) => pairs.iter().flat_map(|(k, v)| [k, v]).collect(),
    }
}
