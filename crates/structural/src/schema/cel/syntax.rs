//! Whether a text is an expression of the Common Expression Language, as the API server's parser
//! takes it: the grammar of the language's definition with optional selection, without macros'
//! rules for their arguments and without types.

/// How deeply an expression may be nested, as in cel-go.
const MAX_DEPTH: usize = 250;
/// Words that name nothing by themselves.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
/// Between two operands. Which binds tighter makes no difference to whether the whole is an
/// expression.
const OPERATORS: [&str; 13] = [
    "||", "&&", "<", "<=", ">=", ">", "==", "!=", "+", "-", "*", "/", "%",
];
/// Longer ones first.
const MARKS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}",
];

/// What is wrong with an expression, in the form in which cel-go says it.
pub(in crate::schema) fn syntax_error(text: &str) -> Option<String> {
    let fault = parse(text).err()?;
    let before = text.get(..fault.at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    Some(format!(
        "ERROR: <input>:{line}:{column}: Syntax error: {}",
        fault.words
    ))
}

/// What of an expression's form matters to who evaluates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// How many words and marks it has.
    pub(super) tokens: usize,
    /// How deeply its parts are nested.
    pub(super) depth: usize,
    /// Whether two signs follow one another, as in `!!a`.
    pub(super) doubled_sign: bool,
}

/// The form of an expression; `None` for what is none.
pub(super) fn form(text: &str) -> Option<Form> {
    parse(text).ok()
}

#[derive(Debug)]
struct Fault {
    /// Byte offset.
    at: usize,
    words: String,
}

type Parsed<T = ()> = Result<T, Fault>;

fn fault<T>(at: usize, words: impl Into<String>) -> Parsed<T> {
    let words = words.into();
    Err(Fault { at, words })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'s> {
    Name(&'s str),
    Number,
    /// Text or bytes.
    Text,
    Mark(&'static str),
    End,
}

fn parse(text: &str) -> Parsed<Form> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        tokens.push(token);
        if token.1 == Token::End {
            break;
        }
    }
    let mut parser = Parser {
        text,
        tokens,
        next: 0,
        depth: 0,
        deepest: 0,
        doubled_sign: false,
    };
    parser.expression()?;
    match parser.peek() {
        Token::End => Ok(Form {
            tokens: parser.tokens.len(),
            depth: parser.deepest,
            doubled_sign: parser.doubled_sign,
        }),
        _ => parser.unexpected("the end"),
    }
}

struct Lexer<'s> {
    text: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn bytes(&self) -> &'s [u8] {
        self.text.as_bytes()
    }

    fn rest(&self) -> &'s [u8] {
        self.bytes().get(self.at..).unwrap_or_default()
    }

    /// Moves over bytes of one sort, and says how many they were.
    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> usize {
        let count = self.rest().iter().take_while(|byte| wanted(**byte)).count();
        self.at += count;
        count
    }

    fn next(&mut self) -> Parsed<(usize, Token<'s>)> {
        loop {
            self.skip(|byte| byte.is_ascii_whitespace());
            if !self.rest().starts_with(b"//") {
                break;
            }
            self.skip(|byte| byte != b'\n');
        }
        let start = self.at;
        let token = match self.rest() {
            [] => Token::End,
            [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => self.number(),
            [b'"' | b'\'', ..] => self.quoted(false)?,
            [b'r' | b'R', b'"' | b'\'', ..] => self.prefixed(1, true)?,
            [b'b' | b'B', b'"' | b'\'', ..] => self.prefixed(1, false)?,
            [b'b' | b'B', b'r' | b'R', b'"' | b'\'', ..] => self.prefixed(2, true)?,
            [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => {
                self.skip(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Token::Name(&self.text[start..self.at])
            }
            rest => {
                let mut marks = MARKS.into_iter();
                let Some(mark) = marks.find(|mark| rest.starts_with(mark.as_bytes())) else {
                    return fault(start, "token recognition error");
                };
                self.at += mark.len();
                Token::Mark(mark)
            }
        };
        Ok((start, token))
    }

    fn number(&mut self) -> Token<'s> {
        let unsigned = |byte: u8| matches!(byte, b'u' | b'U');
        if let [b'0', b'x' | b'X', digit, ..] = self.rest()
            && digit.is_ascii_hexdigit()
        {
            self.at += 2;
            self.skip(|byte| byte.is_ascii_hexdigit());
            self.at += usize::from(self.rest().first().is_some_and(|byte| unsigned(*byte)));
            return Token::Number;
        }
        self.skip(|byte| byte.is_ascii_digit());
        let mut whole = true;
        if let [b'.', b'0'..=b'9', ..] = self.rest() {
            whole = false;
            self.at += 1;
            self.skip(|byte| byte.is_ascii_digit());
        }
        let exponent = match self.rest() {
            [b'e' | b'E', b'+' | b'-', b'0'..=b'9', ..] => 2,
            [b'e' | b'E', b'0'..=b'9', ..] => 1,
            _ => 0,
        };
        if exponent > 0 {
            self.at += exponent;
            self.skip(|byte| byte.is_ascii_digit());
        } else if whole {
            self.at += usize::from(self.rest().first().is_some_and(|byte| unsigned(*byte)));
        }
        Token::Number
    }

    fn prefixed(&mut self, prefix: usize, raw: bool) -> Parsed<Token<'s>> {
        self.at += prefix;
        self.quoted(raw)
    }

    /// A text from its opening quote, of one character or three, to its end.
    fn quoted(&mut self, raw: bool) -> Parsed<Token<'s>> {
        let start = self.at;
        let long = [&b"\"\"\""[..], b"'''"]
            .iter()
            .any(|quote| self.rest().starts_with(quote));
        let quote = &self.bytes()[start..start + if long { 3 } else { 1 }];
        self.at += quote.len();
        while let Some(byte) = self.rest().first() {
            if self.rest().starts_with(quote) {
                self.at += quote.len();
                return Ok(Token::Text);
            }
            match byte {
                b'\n' | b'\r' if !long => break,
                b'\\' if !raw => self.escape()?,
                _ => self.at += 1,
            }
        }
        fault(start, "the text has no closing quote")
    }

    fn escape(&mut self) -> Parsed {
        let rest = self.rest();
        let digits = |count: usize, valid: fn(&u8) -> bool| {
            rest.get(2..2 + count)
                .is_some_and(|digits| digits.iter().all(valid))
        };
        let octal: fn(&u8) -> bool = |digit| matches!(digit, b'0'..=b'7');
        let hex: fn(&u8) -> bool = u8::is_ascii_hexdigit;
        self.at += match rest.get(1) {
            Some(
                b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'\\' | b'?' | b'"' | b'\'' | b'`',
            ) => 2,
            Some(b'x' | b'X') if digits(2, hex) => 4,
            Some(b'u') if digits(4, hex) => 6,
            Some(b'U') if digits(8, hex) => 10,
            Some(b'0'..=b'3') if digits(2, octal) => 4,
            _ => return fault(self.at, "there is no such escape sequence"),
        };
        Ok(())
    }
}

struct Parser<'s> {
    text: &'s str,
    tokens: Vec<(usize, Token<'s>)>,
    next: usize,
    depth: usize,
    deepest: usize,
    doubled_sign: bool,
}

impl<'s> Parser<'s> {
    /// The token that comes next; the last one is the end, and stays.
    fn peek(&self) -> Token<'s> {
        self.tokens
            .get(self.next)
            .map_or(Token::End, |(_, token)| *token)
    }

    fn at(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.text.len(), |(at, _)| *at)
    }

    fn unexpected<T>(&self, wanted: &str) -> Parsed<T> {
        let start = self.at();
        let after = self
            .tokens
            .get(self.next + 1)
            .map_or(self.text.len(), |(at, _)| *at);
        let found = self.text.get(start..after).unwrap_or_default().trim_end();
        let found = if found.is_empty() { "<EOF>" } else { found };
        fault(
            start,
            format!("mismatched input '{found}' expecting {wanted}"),
        )
    }

    fn eat(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Token::Mark(own) if own == mark);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Parsed {
        if self.eat(mark) {
            return Ok(());
        }
        self.unexpected(&format!("'{mark}'"))
    }

    /// `a`, or `a ? b : c`.
    fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let words = format!("expression recursion limit exceeded: {MAX_DEPTH}");
            return fault(self.at(), words);
        }
        self.deepest = self.deepest.max(self.depth);
        self.operands()?;
        if self.eat("?") {
            self.operands()?;
            self.expect(":")?;
            self.expression()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn operands(&mut self) -> Parsed {
        self.unary()?;
        loop {
            match self.peek() {
                Token::Mark(mark) if OPERATORS.contains(&mark) => {}
                Token::Name("in") => {}
                _ => return Ok(()),
            }
            self.next += 1;
            self.unary()?;
        }
    }

    fn unary(&mut self) -> Parsed {
        let start = self.next;
        let sign = if self.eat("!") { "!" } else { "-" };
        while self.eat(sign) {}
        self.doubled_sign |= self.next > start + 1;
        self.member()
    }

    /// Something with its selections, indexes and calls.
    fn member(&mut self) -> Parsed {
        let mut is_name = self.primary()?;
        loop {
            if self.eat(".") {
                let optional = self.eat("?");
                self.selector()?;
                let called = !optional && self.eat("(");
                if called {
                    self.list(")", Parser::expression)?;
                }
                is_name &= !optional && !called;
            } else if self.eat("[") {
                self.eat("?");
                self.expression()?;
                self.expect("]")?;
                is_name = false;
            } else if is_name && self.eat("{") {
                self.list("}", |parser| {
                    parser.eat("?");
                    parser.selector()?;
                    parser.expect(":")?;
                    parser.expression()
                })?;
                is_name = false;
            } else {
                return Ok(());
            }
        }
    }

    /// A name after a dot; reserved words will do.
    fn selector(&mut self) -> Parsed {
        match self.peek() {
            Token::Name("true" | "false" | "null" | "in") => self.unexpected("a field"),
            Token::Name(_) => {
                self.next += 1;
                Ok(())
            }
            _ => self.unexpected("a field"),
        }
    }

    /// Answers whether it was a bare name, which a message's fields may follow.
    fn primary(&mut self) -> Parsed<bool> {
        let is_number =
            |token: Option<&(usize, Token<'_>)>| matches!(token, Some((_, Token::Number)));
        match self.peek() {
            Token::Number | Token::Text | Token::Name("true" | "false" | "null") => self.next += 1,
            Token::Mark("-") if is_number(self.tokens.get(self.next + 1)) => self.next += 2,
            Token::Mark("(") => {
                self.next += 1;
                self.expression()?;
                self.expect(")")?;
            }
            Token::Mark("[") => {
                self.next += 1;
                self.list("]", |parser| {
                    parser.eat("?");
                    parser.expression()
                })?;
            }
            Token::Mark("{") => {
                self.next += 1;
                self.list("}", |parser| {
                    parser.eat("?");
                    parser.expression()?;
                    parser.expect(":")?;
                    parser.expression()
                })?;
            }
            Token::Mark(".") | Token::Name(_) => return self.name(),
            _ => self.unexpected("an expression")?,
        }
        Ok(false)
    }

    fn name(&mut self) -> Parsed<bool> {
        self.eat(".");
        let at = self.at();
        let Token::Name(name) = self.peek() else {
            return self.unexpected("a name");
        };
        self.selector()?;
        if RESERVED.contains(&name) {
            return fault(at, format!("reserved identifier: {name}"));
        }
        if self.eat("(") {
            self.list(")", Parser::expression)?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Items up to the closing mark, which was opened; lists and maps may end with a comma.
    fn list(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Parsed) -> Parsed {
        while !self.eat(close) {
            item(self)?;
            if self.eat(close) {
                return Ok(());
            }
            self.expect(",")?;
            if close == ")" && self.peek() == Token::Mark(")") {
                return self.unexpected("an expression");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, form, syntax_error};

    #[test]
    fn rules_as_definitions_have_them_are_expressions() {
        for rule in [
            "self == oldSelf",
            "self.num < 3 && self.num >= -1",
            "has(self.minReplicas) ? self.minReplicas <= self.replicas : true",
            "self.all(l, self.exists_one(l2, l.name == l2.name && l.port == l2.port))",
            "!has(self.sectionName) || self.sectionName != ''",
            "self.type == 'ReplaceFullPath' ? has(self.replaceFullPath) : !has(self.replaceFullPath)",
            r"self.matches(r'^\d+$') && self.matches('^[a-z\\.]+\x41\u00e9\101$')",
            "size(self.rules) > 0 ? self.rules[0].matches.size() + (has(self.a) ? 1u : 0x1Fu) <= 128 : true",
            "self in [1, 2.5e-3, .5, 4,] && self['a'] in {'a': 1, 'b': 2,}",
            "oldSelf.optMap(o, o == self).orValue(true) && self.?spec[?'a'].hasValue()",
            "duration(self.timeout) >= duration('1s') // at least\n && true",
            "\"\"\"two\nlines\"\"\" == b'bytes' || br\"\\\" == self.namespace",
            "self.x == k8s.Object{a: 1, ?b: optional.none()}.a || .self.y",
            "--self.a % 2 == 0 && !!self.b",
            "self == 'naïve'",
        ] {
            assert_eq!(syntax_error(rule), None, "{rule}");
        }
    }

    #[test]
    fn the_form_of_an_expression_is_measured() {
        let measured = |text: &str| form(text).map(|form| (form.depth, form.doubled_sign));
        assert_eq!(measured("a.b"), Some((1, false)));
        assert_eq!(measured("f(a[(b)])"), Some((4, false)));
        assert_eq!(measured("!!a"), Some((1, true)));
        assert_eq!(measured("a - -b"), Some((1, false)));
        assert_eq!(measured("a - --b"), Some((1, true)));
        assert_eq!(measured("a ="), None);
        let sum = Form {
            tokens: 4,
            depth: 1,
            doubled_sign: false,
        };
        assert_eq!(form("a + b"), Some(sum));
    }

    #[test]
    fn what_is_no_expression_is_told_with_its_place() {
        for (rule, wanted) in [
            (
                "self.nope ((",
                "1:13: Syntax error: mismatched input '<EOF>' expecting an expression",
            ),
            (
                "(self.a",
                "1:8: Syntax error: mismatched input '<EOF>' expecting ')'",
            ),
            (
                "self.a ==",
                "1:10: Syntax error: mismatched input '<EOF>' expecting an expression",
            ),
            ("self.a = 3", "1:8: Syntax error: token recognition error"),
            (
                "a\n && 'b",
                "2:5: Syntax error: the text has no closing quote",
            ),
            (
                "'\\d'",
                "1:2: Syntax error: there is no such escape sequence",
            ),
            (
                "f(a,)",
                "1:5: Syntax error: mismatched input ')' expecting an expression",
            ),
            (
                "self.",
                "1:6: Syntax error: mismatched input '<EOF>' expecting a field",
            ),
            (
                "a ? b",
                "1:6: Syntax error: mismatched input '<EOF>' expecting ':'",
            ),
            ("for", "1:1: Syntax error: reserved identifier: for"),
            (
                "self and self",
                "1:6: Syntax error: mismatched input 'and' expecting the end",
            ),
            ("naïve", "1:3: Syntax error: token recognition error"),
            (
                "",
                "1:1: Syntax error: mismatched input '<EOF>' expecting an expression",
            ),
        ] {
            let found = syntax_error(rule).unwrap_or_default();
            assert_eq!(found, format!("ERROR: <input>:{wanted}"), "{rule}");
        }
        let deep = "(".repeat(100_000);
        let found = syntax_error(&deep).unwrap_or_default();
        assert!(found.ends_with("recursion limit exceeded: 250"), "{found}");
    }
}
