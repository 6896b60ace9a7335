//! The parser's place in the tokens, and its limits.

use crate::ast::{Kind, Node};
use crate::error::{Fault, Result};
use crate::lexer::{Token, TokenKind, lex};
use crate::limits;

pub(crate) fn parse(source: &str) -> Result<Node> {
    let mut parser = Parser {
        tokens: lex(source)?,
        position: 0,
        closures: 0,
        depth: 0,
        nodes: 0,
    };
    let root = parser.sequence()?;
    if parser.current().kind != TokenKind::Eof {
        return Err(parser.unexpected());
    }
    Ok(root)
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    position: usize,
    /// How many predicates are open: inside one, `#` and a leading `.` mean the element.
    pub(super) closures: usize,
    depth: u16,
    nodes: usize,
}

impl Parser {
    /// The lexer always ends with `Eof`, and `next` stops there.
    pub(super) fn current(&self) -> &Token {
        &self.tokens[self.position]
    }

    pub(super) fn next(&mut self) -> Result<()> {
        if self.position + 1 >= self.tokens.len() {
            return Err(self.fault("unexpected end of expression"));
        }
        self.position += 1;
        Ok(())
    }

    pub(super) fn is(&self, kind: TokenKind, text: &str) -> bool {
        self.current().is(kind, text)
    }

    pub(super) fn is_operator(&self, text: &str) -> bool {
        self.is(TokenKind::Operator, text)
    }

    pub(super) fn is_bracket(&self, text: &str) -> bool {
        self.is(TokenKind::Bracket, text)
    }

    /// Skips the operator if it is there.
    pub(super) fn accept(&mut self, operator: &str) -> Result<bool> {
        let there = self.is_operator(operator);
        if there {
            self.next()?;
        }
        Ok(there)
    }

    pub(super) fn expect(&mut self, kind: TokenKind, text: &str) -> Result<()> {
        if self.is(kind, text) {
            return self.next();
        }
        Err(self.unexpected())
    }

    pub(super) fn expect_identifier(&mut self) -> Result<Token> {
        if self.current().kind != TokenKind::Identifier {
            return Err(self.unexpected());
        }
        let token = self.current().clone();
        self.next()?;
        Ok(token)
    }

    /// A fault at the current token.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.current().at, message)
    }

    pub(super) fn unexpected(&self) -> Fault {
        self.fault(format!("unexpected token {}", self.current().describe()))
    }

    /// Runs a parser one level deeper.
    pub(super) fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Result<Node>) -> Result<Node> {
        if self.depth >= limits::DEPTH {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let node = parse(self);
        self.depth -= 1;
        node
    }

    fn too_deep(&self) -> Fault {
        self.fault(format!(
            "expression is nested more than {} levels deep",
            limits::DEPTH
        ))
    }

    /// Makes a node, within the limits.
    pub(super) fn node(&mut self, at: usize, kind: Kind) -> Result<Node> {
        self.nodes += 1;
        if self.nodes > limits::NODES {
            return Err(self.fault("compilation failed: expression exceeds maximum allowed nodes"));
        }
        let depth = 1 + deepest_child(&kind);
        if depth > limits::DEPTH {
            return Err(self.too_deep());
        }
        Ok(Node { at, kind, depth })
    }
}

fn deepest_child(kind: &Kind) -> u16 {
    let max = |nodes: &[Node]| nodes.iter().map(|n| n.depth).max().unwrap_or(0);
    match kind {
        Kind::Nil
        | Kind::Bool(_)
        | Kind::Int(_)
        | Kind::Float(_)
        | Kind::Str(_)
        | Kind::Ident(_)
        | Kind::Pointer(_) => 0,
        Kind::Unary { operand: n, .. } | Kind::Chain(n) | Kind::Predicate(n) => n.depth,
        Kind::Binary { left, right, .. } => left.depth.max(right.depth),
        Kind::Member { base, property, .. } => base.depth.max(property.depth),
        Kind::Slice { base, from, to } => {
            let bound = |n: &Option<Box<Node>>| n.as_ref().map_or(0, |n| n.depth);
            base.depth.max(bound(from)).max(bound(to))
        }
        Kind::Call { callee, args } => callee.depth.max(max(args)),
        Kind::Builtin { args: nodes, .. } | Kind::Sequence(nodes) | Kind::Array(nodes) => {
            max(nodes)
        }
        Kind::Conditional {
            condition,
            then,
            otherwise,
        } => condition.depth.max(then.depth).max(otherwise.depth),
        Kind::Let { value, body, .. } => value.depth.max(body.depth),
        Kind::Map(pairs) => pairs
            .iter()
            .map(|(k, v)| k.depth.max(v.depth))
            .max()
            .unwrap_or(0),
    }
}
