//! The parser. Error texts are client-go's.

use super::node::{Filter, List, Node, Slice};
use std::str::Chars;

/// Longest template that is read.
const MAX_LEN: usize = 64 * 1024;

/// Deepest nesting of filters and unions.
const MAX_DEPTH: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("unclosed action")]
    UnclosedAction,
    #[error("unrecognized character in action: U+{:04X} '{}'", u32::from(*.0), .0)]
    Character(char),
    #[error("unterminated array")]
    UnterminatedArray,
    #[error("invalid array index {0}")]
    ArrayIndex(String),
    #[error("array index {0} is not a number")]
    ArrayIndexRange(String),
    #[error("unterminated filter")]
    UnterminatedFilter,
    #[error("unclosed array expect ]")]
    UnclosedFilter,
    #[error("unterminated quoted string")]
    UnterminatedString,
    #[error("unquote string {0} error invalid syntax")]
    Unquote(String),
    #[error("cannot parse number {0}")]
    Number(String),
    #[error("invalid multiple recursive descent")]
    MultipleRecursion,
    #[error("template is longer than {MAX_LEN} bytes")]
    TooLong,
    #[error("template is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

pub(super) fn parse(template: &str) -> Result<List, ParseError> {
    if template.len() > MAX_LEN {
        return Err(ParseError::TooLong);
    }
    parse_nested(template, 0)
}

fn parse_nested(template: &str, depth: usize) -> Result<List, ParseError> {
    if depth > MAX_DEPTH {
        return Err(ParseError::TooDeep);
    }
    let mut nodes = List::new();
    let mut parser = Parser {
        rest: template,
        depth,
    };
    while !parser.rest.is_empty() {
        let (text, after) = parser
            .rest
            .split_at(parser.rest.find('{').unwrap_or(parser.rest.len()));
        if !text.is_empty() {
            nodes.push(Node::Text(text.to_owned()));
        }
        parser.rest = after;
        if let Some(action) = after.strip_prefix('{') {
            parser.rest = action;
            nodes.push(Node::Action(parser.action()?));
        }
    }
    Ok(nodes)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Parses `text` as the inside of an action of its own.
    fn nested(&self, text: &str) -> Result<List, ParseError> {
        let nodes = parse_nested(&format!("{{{text}}}"), self.depth + 1)?;
        match nodes.into_iter().next() {
            Some(Node::Action(list)) => Ok(list),
            _ => Ok(List::new()),
        }
    }

    fn action(&mut self) -> Result<List, ParseError> {
        let mut list = List::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix("[?(") {
                self.rest = rest;
                list.push(self.filter()?);
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix("..") {
                self.rest = rest;
                self.recursive(&mut list)?;
                continue;
            }
            let start = self.rest;
            match self.next() {
                None | Some('\r' | '\n') => return Err(ParseError::UnclosedAction),
                Some('}') => return Ok(list),
                Some(' ' | '@' | '$') => {}
                Some('[') => self.array(&mut list)?,
                Some(quote @ ('"' | '\'')) => list.push(self.quoted(quote, start)?),
                Some('.') => list.push(self.field()),
                Some(c) if c == '+' || c == '-' || c.is_numeric() => {
                    self.rest = start;
                    list.push(self.number()?);
                }
                Some(c) if c == '_' || c.is_alphabetic() => {
                    self.rest = start;
                    list.push(self.identifier());
                }
                Some(c) => return Err(ParseError::Character(c)),
            }
        }
    }

    fn recursive(&mut self, list: &mut List) -> Result<(), ParseError> {
        if matches!(list.last(), Some(Node::Recursive)) {
            return Err(ParseError::MultipleRecursion);
        }
        list.push(Node::Recursive);
        let next = self.rest.chars().next();
        if next.is_some_and(|c| c == '_' || c.is_alphanumeric()) {
            list.push(self.field());
        }
        Ok(())
    }

    fn identifier(&mut self) -> Node {
        let end = self.rest.find(is_terminator).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        match name {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            name => Node::Identifier(name.to_owned()),
        }
    }

    /// A field name up to a terminator; a backslash makes the next character part of it.
    fn field(&mut self) -> Node {
        let mut escaped = false;
        let end = self.rest.find(|c| {
            let ends = !escaped && is_terminator(c);
            escaped = !escaped && c == '\\';
            ends
        });
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match name {
            "*" => Node::Wildcard,
            name => Node::Field(name.replace('\\', "")),
        }
    }

    fn number(&mut self) -> Result<Node, ParseError> {
        let signed = usize::from(self.rest.starts_with(['+', '-']));
        let digits = &self.rest[signed..];
        let length = digits
            .find(|c: char| c != '.' && !c.is_numeric())
            .unwrap_or(digits.len());
        let (text, rest) = self.rest.split_at(signed + length);
        self.rest = rest;
        if let Ok(int) = text.parse() {
            return Ok(Node::Int(int));
        }
        let float = text
            .parse()
            .map_err(|_| ParseError::Number(text.to_owned()))?;
        Ok(Node::Float(float))
    }

    fn quoted(&mut self, quote: char, start: &'a str) -> Result<Node, ParseError> {
        let mut previous = quote;
        loop {
            match self.next() {
                None | Some('\n') => return Err(ParseError::UnterminatedString),
                Some(c) if c == quote && previous != '\\' => break,
                Some(c) => previous = c,
            }
        }
        let text = &start[..start.len() - self.rest.len()];
        let inner = &text[1..text.len() - 1];
        let inner = unquote(inner, quote).ok_or_else(|| ParseError::Unquote(text.to_owned()))?;
        Ok(Node::Text(inner))
    }

    fn array(&mut self, list: &mut List) -> Result<(), ParseError> {
        let end = self
            .rest
            .find([']', '\n'])
            .ok_or(ParseError::UnterminatedArray)?;
        if self.rest[end..].starts_with('\n') {
            return Err(ParseError::UnterminatedArray);
        }
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        if text.contains(',') {
            let members = text
                .split(',')
                .map(|member| self.nested(&format!("[{}]", member.trim_matches(' '))));
            list.push(Node::Union(members.collect::<Result<_, _>>()?));
            return Ok(());
        }
        let key = text
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''));
        if let Some(key) = key.filter(|key| !key.contains('\'')) {
            list.extend(self.nested(&format!(".{key}"))?);
            return Ok(());
        }
        list.push(Node::Slice(slice(if text == "*" { ":" } else { text })?));
        Ok(())
    }

    fn filter(&mut self) -> Result<Node, ParseError> {
        let start = self.rest;
        let (mut opened, mut closed) = (None, false);
        let mut previous = '(';
        loop {
            let Some(c) = self.next().filter(|c| *c != '\n') else {
                return Err(ParseError::UnterminatedFilter);
            };
            match (c, opened) {
                ('"' | '\'', None) => opened = Some(c),
                (c, Some(quote)) if c == quote && previous != '\\' => closed = true,
                // A parenthesis inside quotes doesn't end the filter.
                (')', opened) if opened.is_some() == closed => break,
                _ => {}
            }
            previous = c;
        }
        let text = &start[..start.len() - self.rest.len() - 1];
        if self.next() != Some(']') {
            return Err(ParseError::UnclosedFilter);
        }
        let filter = match split_comparison(text) {
            None => Filter {
                left: self.nested(text)?,
                comparison: None,
            },
            Some((left, operator, right)) => Filter {
                left: self.nested(left)?,
                comparison: Some((operator.to_owned(), self.nested(right)?)),
            },
        };
        Ok(Node::Filter(Box::new(filter)))
    }
}

/// Left side, operator and right side; none of them is empty.
fn split_comparison(text: &str) -> Option<(&str, &str, &str)> {
    let is_operator = |c: char| matches!(c, '!' | '<' | '>' | '=');
    let start = text.find(is_operator).filter(|start| *start > 0)?;
    let (left, rest) = text.split_at(start);
    let length = rest.find(|c| !is_operator(c)).unwrap_or(rest.len() - 1);
    let (operator, right) = rest.split_at(length);
    (!operator.is_empty() && !right.is_empty()).then_some((left, operator, right))
}

fn is_terminator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}'
    )
}

fn slice(text: &str) -> Result<Slice, ParseError> {
    let invalid = || ParseError::ArrayIndex(text.to_owned());
    let parts: Vec<&str> = text.split(':').collect();
    let well_formed = |part: &&str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if parts.len() > 3 || !parts.iter().all(well_formed) {
        return Err(invalid());
    }
    let number = |part: Option<&&str>| match part.copied() {
        None | Some("") => Ok(None),
        Some(part) => match part.parse::<i64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(ParseError::ArrayIndexRange(part.to_owned())),
        },
    };
    let start = number(parts.first())?;
    let mut slice = Slice {
        start,
        end: number(parts.get(1))?,
        ..Slice::default()
    };
    slice.step = number(parts.get(2))?;
    if parts.len() == 1 {
        slice.end = Some(start.unwrap_or_default().saturating_add(1));
        slice.end_is_derived = true;
    }
    Ok(slice)
}

/// Go's string escapes, also between single quotes.
fn unquote(text: &str, quote: char) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, quote, &mut bytes)?,
            c if c == quote => return None,
            c => push(c, &mut bytes),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn push(c: char, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What follows a backslash.
fn escape(chars: &mut Chars<'_>, quote: char, bytes: &mut Vec<u8>) -> Option<()> {
    let c = chars.next()?;
    match c {
        'a' => bytes.push(0x07),
        'b' => bytes.push(0x08),
        'f' => bytes.push(0x0c),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(0x0b),
        '\\' => bytes.push(b'\\'),
        '\'' | '"' if c == quote => push(c, bytes),
        'x' => bytes.push(u8::try_from(code(chars, None, 2, 16)?).ok()?),
        'u' => push(char::from_u32(code(chars, None, 4, 16)?)?, bytes),
        'U' => push(char::from_u32(code(chars, None, 8, 16)?)?, bytes),
        '0'..='7' => bytes.push(u8::try_from(code(chars, Some(c), 3, 8)?).ok()?),
        _ => return None,
    }
    Some(())
}

/// A number of exactly so many digits.
fn code(chars: &mut Chars<'_>, first: Option<char>, digits: usize, radix: u32) -> Option<u32> {
    let more = digits - usize::from(first.is_some());
    let text: String = first.into_iter().chain(chars.by_ref().take(more)).collect();
    let whole = text.len() == digits && text.chars().all(|c| c.is_digit(radix));
    whole
        .then(|| u32::from_str_radix(&text, radix).ok())
        .flatten()
}
