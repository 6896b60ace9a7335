//! Operators and their precedence, conditionals, `let`, sequences.

use super::state::Parser;
use crate::ast::{BinaryOp, Kind, Node, UnaryOp};
use crate::error::Result;
use crate::lexer::{Token, TokenKind};

struct Infix {
    op: BinaryOp,
    text: &'static str,
    precedence: u16,
    right: bool,
}

/// The precedence of `|`, the pipe: the lowest.
const PIPE: u16 = 0;

fn infix(token: &Token) -> Option<Infix> {
    use BinaryOp as B;
    if token.kind != TokenKind::Operator {
        return None;
    }
    let (op, text, precedence) = match token.text.as_str() {
        "or" => (B::Or, "or", 10),
        "||" => (B::Or, "||", 10),
        "and" => (B::And, "and", 15),
        "&&" => (B::And, "&&", 15),
        "==" => (B::Eq, "==", 20),
        "!=" => (B::Ne, "!=", 20),
        "<" => (B::Lt, "<", 20),
        ">" => (B::Gt, ">", 20),
        "<=" => (B::Le, "<=", 20),
        ">=" => (B::Ge, ">=", 20),
        "in" => (B::In, "in", 20),
        "matches" => (B::Matches, "matches", 20),
        "contains" => (B::Contains, "contains", 20),
        "startsWith" => (B::StartsWith, "startsWith", 20),
        "endsWith" => (B::EndsWith, "endsWith", 20),
        ".." => (B::Range, "..", 25),
        "+" => (B::Add, "+", 30),
        "-" => (B::Sub, "-", 30),
        "*" => (B::Mul, "*", 60),
        "/" => (B::Div, "/", 60),
        "%" => (B::Rem, "%", 60),
        "**" => (B::Pow, "**", 100),
        "^" => (B::Pow, "^", 100),
        "??" => (B::Coalesce, "??", 500),
        _ => return None,
    };
    Some(Infix {
        op,
        text,
        precedence,
        right: op == B::Pow,
    })
}

pub(super) fn prefix(token: &Token) -> Option<(UnaryOp, &'static str, u16)> {
    if token.kind != TokenKind::Operator {
        return None;
    }
    Some(match token.text.as_str() {
        "not" => (UnaryOp::Not, "not", 50),
        "!" => (UnaryOp::Not, "!", 50),
        "-" => (UnaryOp::Minus, "-", 90),
        "+" => (UnaryOp::Plus, "+", 90),
        _ => return None,
    })
}

fn is_comparison(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Lt | BinaryOp::Gt | BinaryOp::Le | BinaryOp::Ge
    )
}

impl Parser {
    /// `a; b; c`: the value of the last. A trailing `;` is fine.
    pub(super) fn sequence(&mut self) -> Result<Node> {
        let first = self.expression(0)?;
        if !self.is_operator(";") {
            return Ok(first);
        }
        let at = first.at;
        let mut nodes = vec![first];
        while self.accept(";")? {
            if self.current().kind == TokenKind::Eof {
                break;
            }
            nodes.push(self.expression(0)?);
        }
        self.node(at, Kind::Sequence(nodes))
    }

    pub(super) fn expression(&mut self, precedence: u16) -> Result<Node> {
        self.nested(|parser| parser.expression_inner(precedence))
    }

    fn expression_inner(&mut self, precedence: u16) -> Result<Node> {
        if precedence == 0 && self.is_operator("let") {
            return self.declaration();
        }
        if precedence == 0 && self.is_operator("if") {
            return self.if_else();
        }
        let mut left = self.primary()?;
        let mut previous_coalesce = false;
        while self.current().kind == TokenKind::Operator {
            let negation = self.negation()?;
            if self.is_operator("|") && precedence == PIPE {
                self.next()?;
                let name = self.expect_identifier()?;
                left = self.call(&name, vec![left])?;
                previous_coalesce = false;
                continue;
            }
            let token = self.current().clone();
            let Some(infix) = infix(&token).filter(|infix| infix.precedence >= precedence) else {
                break;
            };
            if previous_coalesce && infix.op != BinaryOp::Coalesce {
                return Err(self.fault(format!(
                    "Operator ({}) and coalesce expressions (??) cannot be mixed. \
                     Wrap either by parentheses.",
                    infix.text
                )));
            }
            self.next()?;
            left = if is_comparison(infix.op) {
                self.comparison(left, token.at, infix)?
            } else {
                let next = infix.precedence + u16::from(!infix.right);
                let right = self.expression(next)?;
                previous_coalesce = infix.op == BinaryOp::Coalesce;
                self.binary(token.at, &infix, left, right)?
            };
            if let Some(at) = negation {
                left = self.node(
                    at,
                    Kind::Unary {
                        op: UnaryOp::Not,
                        text: "not",
                        operand: Box::new(left),
                    },
                )?;
            }
        }
        if precedence == 0 {
            left = self.conditional(left)?;
        }
        Ok(left)
    }

    /// The `not` of `not in`, `not contains` and their like; its offset.
    fn negation(&mut self) -> Result<Option<usize>> {
        if !self.is_operator("not") {
            return Ok(None);
        }
        let at = self.current().at;
        self.next()?;
        let negatable = infix(self.current()).is_some_and(|infix| {
            matches!(
                infix.op,
                BinaryOp::In
                    | BinaryOp::Matches
                    | BinaryOp::Contains
                    | BinaryOp::StartsWith
                    | BinaryOp::EndsWith
            )
        });
        if negatable {
            return Ok(Some(at));
        }
        Err(self.unexpected())
    }

    fn binary(&mut self, at: usize, infix: &Infix, left: Node, right: Node) -> Result<Node> {
        self.node(
            at,
            Kind::Binary {
                op: infix.op,
                text: infix.text,
                left: Box::new(left),
                right: Box::new(right),
            },
        )
    }

    /// `a < b < c` is `a < b && b < c`.
    fn comparison(&mut self, left: Node, at: usize, first: Infix) -> Result<Node> {
        let (mut at, mut operator, mut left) = (at, first, left);
        let mut root: Option<Node> = None;
        loop {
            let right = self.expression(operator.precedence + 1)?;
            let compared = self.binary(at, &operator, left, right.clone())?;
            root = Some(match root {
                None => compared,
                Some(so_far) => self.node(
                    at,
                    Kind::Binary {
                        op: BinaryOp::And,
                        text: "&&",
                        left: Box::new(so_far),
                        right: Box::new(compared),
                    },
                )?,
            });
            match infix(self.current()).filter(|next| is_comparison(next.op)) {
                Some(next) => {
                    at = self.current().at;
                    self.next()?;
                    operator = next;
                    left = right;
                }
                None => break,
            }
        }
        Ok(root.expect("the loop sets it in its first round"))
    }

    fn conditional(&mut self, node: Node) -> Result<Node> {
        let mut node = node;
        while self.accept("?")? {
            let (then, otherwise) = if self.accept(":")? {
                (node.clone(), self.expression(0)?)
            } else {
                let then = self.expression(0)?;
                self.expect(TokenKind::Operator, ":")?;
                (then, self.expression(0)?)
            };
            let at = self.current().at;
            node = self.node(
                at,
                Kind::Conditional {
                    condition: Box::new(node),
                    then: Box::new(then),
                    otherwise: Box::new(otherwise),
                },
            )?;
        }
        Ok(node)
    }

    fn declaration(&mut self) -> Result<Node> {
        self.next()?;
        let name = self.expect_identifier()?;
        self.expect(TokenKind::Operator, "=")?;
        let value = self.expression(0)?;
        self.expect(TokenKind::Operator, ";")?;
        let body = self.sequence()?;
        self.node(
            name.at,
            Kind::Let {
                name: name.text,
                value: Box::new(value),
                body: Box::new(body),
            },
        )
    }

    fn if_else(&mut self) -> Result<Node> {
        let at = self.current().at;
        self.next()?;
        let condition = self.expression(0)?;
        let then = self.block()?;
        self.expect(TokenKind::Operator, "else")?;
        let otherwise = if self.is_operator("if") {
            self.nested(Self::if_else)?
        } else {
            self.block()?
        };
        self.node(
            at,
            Kind::Conditional {
                condition: Box::new(condition),
                then: Box::new(then),
                otherwise: Box::new(otherwise),
            },
        )
    }

    fn block(&mut self) -> Result<Node> {
        self.expect(TokenKind::Bracket, "{")?;
        let node = self.sequence()?;
        self.expect(TokenKind::Bracket, "}")?;
        Ok(node)
    }
}
