//! What operators stand between: literals, names, lists, maps, and what follows them (`.name`,
//! `[index]`).

use super::expression::prefix;
use super::state::Parser;
use crate::ast::{Kind, Node};
use crate::error::Result;
use crate::go;
use crate::lexer::{Token, TokenKind};

impl Parser {
    pub(super) fn primary(&mut self) -> Result<Node> {
        let token = self.current().clone();
        if let Some((op, text, precedence)) = prefix(&token) {
            self.next()?;
            let operand = Box::new(self.expression(precedence)?);
            let node = self.node(token.at, Kind::Unary { op, text, operand })?;
            return self.postfix(node);
        }
        if self.is_bracket("(") {
            self.next()?;
            let node = self.sequence()?;
            self.expect(TokenKind::Bracket, ")")?;
            return self.postfix(node);
        }
        if self.closures > 0 && (self.is_operator("#") || self.is_operator(".")) {
            return self.pointer(&token);
        }
        if self.is_operator("::") {
            self.next()?;
            let name = self.expect_identifier()?;
            let node = self.call(&name, Vec::new())?;
            return self.postfix(node);
        }
        match token.kind {
            TokenKind::Identifier => self.identifier(token),
            TokenKind::Number => {
                self.next()?;
                let kind = number(&token.text).map_err(|message| self.fault(message))?;
                self.node(token.at, kind)
            }
            TokenKind::String => {
                self.next()?;
                let node = self.node(token.at, Kind::Str(token.text))?;
                self.postfix(node)
            }
            _ if self.is_bracket("[") => {
                let node = self.array(&token)?;
                self.postfix(node)
            }
            _ if self.is_bracket("{") => {
                let node = self.map(&token)?;
                self.postfix(node)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn pointer(&mut self, token: &Token) -> Result<Node> {
        let mut name = String::new();
        if token.text == "#" {
            self.next()?;
            if self.current().kind == TokenKind::Identifier {
                name.clone_from(&self.current().text);
                self.next()?;
            }
        }
        let node = self.node(token.at, Kind::Pointer(name))?;
        self.postfix(node)
    }

    fn identifier(&mut self, token: Token) -> Result<Node> {
        self.next()?;
        let constant = match token.text.as_str() {
            "true" => Some(Kind::Bool(true)),
            "false" => Some(Kind::Bool(false)),
            "nil" => Some(Kind::Nil),
            _ => None,
        };
        if let Some(kind) = constant {
            return self.node(token.at, kind);
        }
        let node = if self.is_bracket("(") {
            self.call(&token, Vec::new())?
        } else {
            self.node(token.at, Kind::Ident(token.text))?
        };
        self.postfix(node)
    }

    fn array(&mut self, token: &Token) -> Result<Node> {
        self.next()?;
        let mut nodes = Vec::new();
        while !self.is_bracket("]") {
            if !nodes.is_empty() {
                self.expect(TokenKind::Operator, ",")?;
                if self.is_bracket("]") {
                    break;
                }
            }
            nodes.push(self.expression(0)?);
        }
        self.next()?;
        self.node(token.at, Kind::Array(nodes))
    }

    fn map(&mut self, token: &Token) -> Result<Node> {
        self.next()?;
        let mut pairs = Vec::new();
        while !self.is_bracket("}") {
            if !pairs.is_empty() {
                self.expect(TokenKind::Operator, ",")?;
                if self.is_bracket("}") {
                    break;
                }
            }
            let key = self.map_key()?;
            self.expect(TokenKind::Operator, ":")?;
            let value = self.expression(0)?;
            pairs.push((key, value));
        }
        self.next()?;
        self.node(token.at, Kind::Map(pairs))
    }

    fn map_key(&mut self) -> Result<Node> {
        let token = self.current().clone();
        match token.kind {
            TokenKind::Number | TokenKind::String | TokenKind::Identifier => {
                self.next()?;
                self.node(token.at, Kind::Str(token.text))
            }
            _ if self.is_bracket("(") => self.expression(0),
            _ => Err(self.fault(format!(
                "a map key must be a quoted string, a number, a identifier, or an expression \
                 enclosed in parentheses (unexpected token {})",
                token.describe()
            ))),
        }
    }

    /// `.name`, `?.name`, `[index]`, `[from:to]`, and calls of methods, as many as follow.
    pub(super) fn postfix(&mut self, node: Node) -> Result<Node> {
        let mut node = node;
        let mut chain = false;
        loop {
            let optional = self.is_operator("?.");
            if optional || self.is_operator(".") {
                self.next()?;
                chain |= optional;
                node = if optional && self.is_bracket("[") {
                    self.index(node, true)?
                } else {
                    self.field(node, optional)?
                };
            } else if self.is_bracket("[") {
                node = self.index(node, false)?;
            } else {
                break;
            }
        }
        if chain {
            node = self.node(node.at, Kind::Chain(Box::new(node)))?;
        }
        Ok(node)
    }

    fn field(&mut self, base: Node, optional: bool) -> Result<Node> {
        let name = self.current().clone();
        self.next()?;
        let word = name.text.chars().all(|c| c.is_alphanumeric() || c == '_');
        let named =
            name.kind == TokenKind::Identifier || (name.kind == TokenKind::Operator && word);
        if !named {
            return Err(self.fault("expected name"));
        }
        let property = Box::new(self.node(name.at, Kind::Str(name.text))?);
        let method = self.is_bracket("(");
        let member = self.node(
            name.at,
            Kind::Member {
                base: Box::new(base),
                property,
                optional,
                method,
            },
        )?;
        if !method {
            return Ok(member);
        }
        let args = self.arguments(Vec::new())?;
        self.node(
            name.at,
            Kind::Call {
                callee: Box::new(member),
                args,
            },
        )
    }

    fn index(&mut self, base: Node, optional: bool) -> Result<Node> {
        let at = self.current().at;
        self.next()?;
        let from = if self.is_operator(":") {
            None
        } else {
            Some(Box::new(self.expression(0)?))
        };
        let base = Box::new(base);
        if let Some(property) = from.as_ref().filter(|_| !self.is_operator(":")) {
            let property = property.clone();
            self.expect(TokenKind::Bracket, "]")?;
            return self.node(
                at,
                Kind::Member {
                    base,
                    property,
                    optional,
                    method: false,
                },
            );
        }
        self.expect(TokenKind::Operator, ":")?;
        let to = if self.is_bracket("]") {
            None
        } else {
            Some(Box::new(self.expression(0)?))
        };
        self.expect(TokenKind::Bracket, "]")?;
        self.node(at, Kind::Slice { base, from, to })
    }
}

/// The value of a number token; the error is a message.
fn number(text: &str) -> std::result::Result<Kind, String> {
    let plain = text.replace('_', "");
    let lower = plain.to_lowercase();
    let radix = match lower.get(..2) {
        Some("0x") => Some((16, "hex")),
        Some("0o") => Some((8, "octal")),
        Some("0b") => Some((2, "binary")),
        _ => None,
    };
    let range = |name: &str, error: &std::num::ParseIntError| {
        let reason = match error.kind() {
            std::num::IntErrorKind::PosOverflow => "value out of range",
            _ => "invalid syntax",
        };
        let quoted = go::quote(&plain);
        format!("invalid {name} literal: strconv.ParseInt: parsing {quoted}: {reason}")
    };
    if let Some((radix, name)) = radix {
        return i64::from_str_radix(&lower[2..], radix)
            .map(Kind::Int)
            .map_err(|error| range(name, &error));
    }
    if !lower.contains(['.', 'e']) {
        return plain
            .parse()
            .map(Kind::Int)
            .map_err(|error| range("integer", &error));
    }
    let parsed = plain.parse::<f64>();
    let reason = match parsed {
        Ok(value) if value.is_finite() => return Ok(Kind::Float(value)),
        Ok(_) => "value out of range",
        Err(_) => "invalid syntax",
    };
    let quoted = go::quote(&plain);
    Err(format!(
        "invalid float literal: strconv.ParseFloat: parsing {quoted}: {reason}"
    ))
}
