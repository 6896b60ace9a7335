//! Source text to tokens.

use crate::error::{Fault, Result};
use crate::go;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Identifier,
    Number,
    String,
    Operator,
    Bracket,
    Eof,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// Of strings the unescaped content.
    pub(crate) text: String,
    /// Character offset.
    pub(crate) at: usize,
}

impl Token {
    pub(crate) fn is(&self, kind: TokenKind, text: &str) -> bool {
        self.kind == kind && self.text == text
    }

    /// As messages name it: `Operator("+")`.
    pub(crate) fn describe(&self) -> String {
        let kind = match self.kind {
            TokenKind::Identifier => "Identifier",
            TokenKind::Number => "Number",
            TokenKind::String => "String",
            TokenKind::Operator => "Operator",
            TokenKind::Bracket => "Bracket",
            TokenKind::Eof => return "EOF".to_owned(),
        };
        format!("{kind}({})", go::quote(&self.text))
    }
}

/// Words that are operators wherever they stand alone.
const WORDS: [&str; 11] = [
    "and",
    "contains",
    "else",
    "endsWith",
    "if",
    "in",
    "let",
    "matches",
    "not",
    "or",
    "startsWith",
];

pub(crate) fn lex(source: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer {
        chars: source.chars().collect(),
        position: 0,
        tokens: Vec::new(),
    };
    while lexer.step()? {}
    Ok(lexer.tokens)
}

struct Lexer {
    chars: Vec<char>,
    position: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.position + ahead).copied()
    }

    fn push(&mut self, kind: TokenKind, start: usize, text: String) {
        self.tokens.push(Token {
            kind,
            text,
            at: start,
        });
    }

    fn take(&mut self, kind: TokenKind, length: usize) {
        let start = self.position;
        self.position += length;
        let text = self.text_from(start);
        self.push(kind, start, text);
    }

    fn text_from(&self, start: usize) -> String {
        self.chars[start..self.position].iter().collect()
    }

    /// Lexes one token; false at the end.
    fn step(&mut self) -> Result<bool> {
        let Some(c) = self.peek(0) else {
            let at = self.chars.len().saturating_sub(1);
            self.push(TokenKind::Eof, at, String::new());
            return Ok(false);
        };
        match c {
            c if c.is_whitespace() => self.position += 1,
            '\'' | '"' => self.string(c)?,
            '`' => self.raw_string()?,
            '0'..='9' => self.number()?,
            '/' if self.peek(1) == Some('/') => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.position += 1;
                }
            }
            '/' if self.peek(1) == Some('*') => self.block_comment()?,
            '(' | ')' | '[' | ']' | '{' | '}' => self.take(TokenKind::Bracket, 1),
            '.' if self.peek(1).is_some_and(|c| c.is_ascii_digit()) => self.number()?,
            c if is_identifier_start(c) => self.word(),
            _ => self.operator(c)?,
        }
        Ok(true)
    }

    fn word(&mut self) {
        let start = self.position;
        while self.peek(0).is_some_and(is_identifier) {
            self.position += 1;
        }
        let text = self.text_from(start);
        let kind = if WORDS.contains(&text.as_str()) {
            TokenKind::Operator
        } else {
            TokenKind::Identifier
        };
        self.push(kind, start, text);
    }

    fn operator(&mut self, c: char) -> Result<()> {
        let next = self.peek(1);
        let length = match (c, next) {
            ('?', Some('.' | '?'))
            | ('!' | '=' | '<' | '>', Some('='))
            | ('&', Some('&'))
            | ('|', Some('|'))
            | ('*', Some('*'))
            | ('.', Some('.'))
            | (':', Some(':')) => 2,
            (
                '#' | ',' | '?' | ':' | ';' | '%' | '+' | '-' | '^' | '/' | '&' | '!' | '=' | '<'
                | '>' | '|' | '*' | '.',
                _,
            ) => 1,
            _ => {
                return Err(Fault::new(
                    self.position,
                    format!("unrecognized character: U+{:04X} '{c}'", c as u32),
                ));
            }
        };
        self.take(TokenKind::Operator, length);
        Ok(())
    }

    fn block_comment(&mut self) -> Result<()> {
        self.position += 2;
        while !(self.peek(0) == Some('*') && self.peek(1) == Some('/')) {
            if self.position >= self.chars.len() {
                return Err(Fault::new(self.chars.len(), "unclosed comment"));
            }
            self.position += 1;
        }
        self.position += 2;
        Ok(())
    }

    fn digits(&mut self, allowed: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(|c| c == '_' || allowed(c)) {
            self.position += 1;
        }
    }

    fn number(&mut self) -> Result<()> {
        let start = self.position;
        let radix = match (self.peek(0), self.peek(1)) {
            (Some('0'), Some('x' | 'X')) => 16,
            (Some('0'), Some('o' | 'O')) => 8,
            (Some('0'), Some('b' | 'B')) => 2,
            _ => 10,
        };
        if radix == 10 {
            self.decimal(start);
        } else {
            self.position += 2;
            self.digits(|c| c.is_digit(radix));
        }
        if self.peek(0).is_some_and(is_identifier) {
            let at = self.position;
            self.position += 1;
            let text = go::quote(&self.text_from(start));
            return Err(Fault::new(at, format!("bad number syntax: {text}")));
        }
        let text = self.text_from(start);
        self.push(TokenKind::Number, start, text);
        Ok(())
    }

    fn decimal(&mut self, start: usize) {
        self.digits(|c| c.is_ascii_digit());
        // A second point belongs to a range, as in `1..3`.
        if self.peek(0) == Some('.') && self.peek(1) != Some('.') {
            self.position += 1;
            self.digits(|c| c.is_ascii_digit());
        }
        // `.5.5` is read as one (wrong) number.
        if self.chars[start] == '.'
            && self.peek(0) == Some('.')
            && self.peek(1).is_some_and(|c| c.is_ascii_digit())
        {
            self.position += 1;
            self.digits(|c| c.is_ascii_digit());
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            self.position += 1;
            if matches!(self.peek(0), Some('+' | '-')) {
                self.position += 1;
            }
            self.digits(|c| c.is_ascii_digit());
        }
    }

    /// A backquoted string; two backquotes stand for one.
    fn raw_string(&mut self) -> Result<()> {
        let start = self.position;
        self.position += 1;
        let mut text = String::new();
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('`'), Some('`')) => {
                    text.push('`');
                    self.position += 2;
                }
                (Some('`'), _) => break,
                (Some(c), _) => {
                    text.push(c);
                    self.position += 1;
                }
                (None, _) => return Err(self.not_terminated()),
            }
        }
        self.position += 1;
        self.push(TokenKind::String, start, text);
        Ok(())
    }

    fn not_terminated(&self) -> Fault {
        Fault::new(self.position, "literal not terminated")
    }

    fn string(&mut self, quote: char) -> Result<()> {
        let start = self.position;
        self.position += 1;
        let mut text = String::new();
        let mut too_large = false;
        loop {
            match self.peek(0) {
                None | Some('\n') => return Err(self.not_terminated()),
                Some('\\') => match self.escape(quote)? {
                    Some(c) => text.push(c),
                    None => too_large = true,
                },
                Some(c) => {
                    self.position += 1;
                    if c == quote {
                        break;
                    }
                    text.push(c);
                }
            }
        }
        if too_large {
            return Err(Fault::new(self.position - 1, "unable to unescape string"));
        }
        self.push(TokenKind::String, start, text);
        Ok(())
    }

    /// One escape sequence; `None` for an octal one beyond a byte.
    fn escape(&mut self, quote: char) -> Result<Option<char>> {
        self.position += 1;
        let Some(c) = self.peek(0) else {
            return Err(self.not_terminated());
        };
        let plain = match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' => '\\',
            c if c == quote => c,
            'x' => return self.code(1, 2, 16).map(Some),
            'u' if self.peek(1) == Some('{') => return self.braced_code().map(Some),
            'u' => return self.code(1, 4, 16).map(Some),
            'U' => return self.code(1, 8, 16).map(Some),
            '0'..='7' => {
                let value = self.code_value(0, 3, 8)?;
                return Ok((value < 256).then(|| replace_invalid(value)));
            }
            _ => return Err(Fault::new(self.position, "invalid char escape")),
        };
        self.position += 1;
        Ok(Some(plain))
    }

    fn code(&mut self, skip: usize, length: usize, radix: u32) -> Result<char> {
        self.code_value(skip, length, radix).map(replace_invalid)
    }

    fn code_value(&mut self, skip: usize, length: usize, radix: u32) -> Result<u32> {
        self.position += skip;
        let mut value: u32 = 0;
        for _ in 0..length {
            let Some(digit) = self.peek(0).and_then(|c| c.to_digit(radix)) else {
                return Err(Fault::new(self.position, "invalid char escape"));
            };
            value = value.saturating_mul(radix).saturating_add(digit);
            self.position += 1;
        }
        Ok(value)
    }

    fn braced_code(&mut self) -> Result<char> {
        self.position += 2;
        let start = self.position;
        let mut value: u32 = 0;
        while let Some(digit) = self.peek(0).and_then(|c| c.to_digit(16)) {
            value = value.saturating_mul(16).saturating_add(digit);
            self.position += 1;
        }
        let length = self.position - start;
        if self.peek(0) != Some('}') || length == 0 || length > 6 {
            return Err(Fault::new(self.position, "invalid char escape"));
        }
        self.position += 1;
        Ok(replace_invalid(value))
    }
}

fn replace_invalid(code: u32) -> char {
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn is_identifier_start(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphabetic()
}

fn is_identifier(c: char) -> bool {
    is_identifier_start(c) || c.is_numeric()
}
