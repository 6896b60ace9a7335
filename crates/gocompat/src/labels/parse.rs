//! Lexer and parser of selector strings. Error texts are apimachinery's.

use super::requirement::{Operator, Requirement, key_errors};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    End,
    Open,
    Close,
    Comma,
    Not,
    Operator(Operator),
    Identifier,
}

#[derive(Clone, Debug)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Tokens of a selector; the last one is the end.
fn tokens(text: &str) -> Vec<Token<'_>> {
    const SYMBOLS: [(&str, Kind); 9] = [
        ("==", Kind::Operator(Operator::DoubleEquals)),
        ("!=", Kind::Operator(Operator::NotEquals)),
        ("=", Kind::Operator(Operator::Equals)),
        (">", Kind::Operator(Operator::GreaterThan)),
        ("<", Kind::Operator(Operator::LessThan)),
        ("!", Kind::Not),
        ("(", Kind::Open),
        (")", Kind::Close),
        (",", Kind::Comma),
    ];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        let symbol = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol));
        let (kind, length) =
            symbol.map_or_else(|| word(rest), |(symbol, kind)| (*kind, symbol.len()));
        let (text, after) = rest.split_at(length);
        tokens.push(Token { kind, text });
        rest = after.trim_start_matches(is_blank);
    }
    tokens.push(Token {
        kind: Kind::End,
        text: "",
    });
    tokens
}

/// Kind and length of the word that `text` begins with.
fn word(text: &str) -> (Kind, usize) {
    let length = text
        .find(|c| is_symbol(c) || is_blank(c))
        .unwrap_or(text.len());
    let kind = match &text[..length] {
        "in" => Kind::Operator(Operator::In),
        "notin" => Kind::Operator(Operator::NotIn),
        _ => Kind::Identifier,
    };
    (kind, length)
}

pub(super) struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    position: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            tokens: tokens(text),
            position: 0,
        }
    }

    pub(super) fn parse(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            let token = self.peek();
            match token.kind {
                Kind::End => return Ok(requirements),
                Kind::Identifier | Kind::Not => {}
                _ => {
                    let text = token.text;
                    return Err(format!(
                        "found '{text}', expected: !, identifier, or 'end of string'"
                    ));
                }
            }
            let requirement = self.requirement();
            requirements.push(
                requirement.map_err(|error| format!("unable to parse requirement: {error}"))?,
            );
            let token = self.next();
            match token.kind {
                Kind::End => return Ok(requirements),
                Kind::Comma => {
                    let next = self.peek();
                    if !matches!(next.kind, Kind::Identifier | Kind::Not) {
                        let text = next.text;
                        return Err(format!("found '{text}', expected: identifier after ','"));
                    }
                }
                _ => {
                    let text = token.text;
                    return Err(format!("found '{text}', expected: ',' or 'end of string'"));
                }
            }
        }
    }

    /// The next token where a key or a value may stand: `in` and `notin` are names there.
    fn peek(&self) -> Token<'a> {
        let mut token = self.raw();
        if matches!(token.kind, Kind::Operator(Operator::In | Operator::NotIn)) {
            token.kind = Kind::Identifier;
        }
        token
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn raw(&self) -> Token<'a> {
        // The end is never consumed for good: reading on keeps answering with it.
        let last = self.tokens.len() - 1;
        self.tokens[self.position.min(last)].clone()
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.next();
        let negated = token.kind == Kind::Not;
        if negated {
            token = self.next();
        }
        if token.kind != Kind::Identifier {
            return Err(format!("found '{}', expected: identifier", token.text));
        }
        let key = token.text;
        if let Some(error) = key_errors(key, "<nil>").pop() {
            return Err(error);
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, None, "key");
        }
        if matches!(self.peek().kind, Kind::End | Kind::Comma) {
            return Requirement::new(key, Operator::Exists, None, "key");
        }
        let token = self.raw();
        self.position += 1;
        let Kind::Operator(operator) = token.kind else {
            let text = token.text;
            return Err(format!(
                "found '{text}', expected: in, notin, =, ==, !=, gt, lt"
            ));
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => self.exact_value()?,
        };
        Requirement::new(key, operator, Some(values), "key")
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        let token = self.next();
        if token.kind != Kind::Open {
            return Err(format!("found '{}' expected: '('", token.text));
        }
        let token = self.peek();
        match token.kind {
            Kind::Close => {
                self.next();
                Ok(BTreeSet::from([String::new()]))
            }
            Kind::Identifier | Kind::Comma => {
                let values = self.identifiers()?;
                let token = self.next();
                if token.kind == Kind::Close {
                    Ok(values)
                } else {
                    Err(format!("found '{}', expected: ')'", token.text))
                }
            }
            _ => Err(format!(
                "found '{}', expected: ',', ')' or identifier",
                token.text
            )),
        }
    }

    /// Values between commas; nothing between two commas is the empty string.
    fn identifiers(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        loop {
            let token = self.next();
            let after = self.peek();
            match (token.kind, after.kind) {
                (Kind::Identifier, Kind::Comma) => {
                    values.insert(token.text.to_owned());
                }
                (Kind::Identifier, Kind::Close) => {
                    values.insert(token.text.to_owned());
                    return Ok(values);
                }
                (Kind::Identifier, _) => {
                    return Err(format!("found '{}', expected: ',' or ')'", after.text));
                }
                (Kind::Comma, after) => {
                    if values.is_empty() || matches!(after, Kind::Close | Kind::Comma) {
                        values.insert(String::new());
                    }
                    match after {
                        Kind::Close => return Ok(values),
                        Kind::Comma => self.position += 1,
                        _ => {}
                    }
                }
                _ => {
                    return Err(format!(
                        "found '{}', expected: ',', or identifier",
                        token.text
                    ));
                }
            }
        }
    }

    fn exact_value(&mut self) -> Result<BTreeSet<String>, String> {
        if matches!(self.peek().kind, Kind::End | Kind::Comma) {
            return Ok(BTreeSet::from([String::new()]));
        }
        let token = self.next();
        if token.kind == Kind::Identifier {
            Ok(BTreeSet::from([token.text.to_owned()]))
        } else {
            Err(format!("found '{}', expected: identifier", token.text))
        }
    }
}
