//! The words and marks of an expression.

/// Longer ones first.
const MARKS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}",
];

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    /// Byte offset.
    pub(super) at: usize,
    pub(super) words: String,
}

pub(super) type Parsed<T = ()> = Result<T, Fault>;

pub(super) fn fault<T>(at: usize, words: impl Into<String>) -> Parsed<T> {
    let words = words.into();
    Err(Fault { at, words })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'s> {
    Name(&'s str),
    Number(Number),
    /// A text of so many characters.
    Text(u64),
    /// So many bytes.
    Bytes(u64),
    Mark(&'static str),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Int,
    Uint,
    Double,
}

/// All words and marks with their byte offsets; the last is the end.
pub(super) fn tokens(text: &str) -> Parsed<Vec<(usize, Token<'_>)>> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        tokens.push(token);
        if token.1 == Token::End {
            return Ok(tokens);
        }
    }
}

/// What the text says that begins at a byte offset, with its escape sequences resolved.
pub(super) fn literal(text: &str, at: usize) -> Option<String> {
    let rest = text.get(at..)?;
    let quoted = rest.strip_prefix(['r', 'R']);
    let is_raw = quoted.is_some();
    let quoted = quoted.unwrap_or(rest);
    let is_long = quoted.starts_with("\"\"\"") || quoted.starts_with("'''");
    let (quote, mut rest) = quoted.split_at_checked(if is_long { 3 } else { 1 })?;
    let mut value = String::new();
    while !rest.starts_with(quote) {
        let mut chars = rest.chars();
        let next = chars.next()?;
        rest = chars.as_str();
        if next == '\\' && !is_raw {
            let (character, after) = resolved(rest)?;
            value.push(character);
            rest = after;
        } else {
            value.push(next);
        }
    }
    Some(value)
}

/// The character that an escape sequence stands for, without its backslash, and what follows it.
fn resolved(text: &str) -> Option<(char, &str)> {
    let coded = |start: usize, digits: usize, radix: u32| {
        let code = text.get(start..start + digits)?;
        let code = u32::from_str_radix(code, radix).ok()?;
        Some((char::from_u32(code)?, text.get(start + digits..)?))
    };
    let mut chars = text.chars();
    let plain = match chars.next()? {
        'x' | 'X' => return coded(1, 2, 16),
        'u' => return coded(1, 4, 16),
        'U' => return coded(1, 8, 16),
        '0'..='3' => return coded(0, 3, 8),
        'a' => '\u{07}',
        'b' => '\u{08}',
        'f' => '\u{0C}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{0B}',
        itself => itself,
    };
    Some((plain, chars.as_str()))
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
            [b'"' | b'\'', ..] => Token::Text(self.quoted(false)?),
            [b'r' | b'R', b'"' | b'\'', ..] => Token::Text(self.prefixed(1, true)?),
            [b'b' | b'B', b'"' | b'\'', ..] => Token::Bytes(self.prefixed(1, false)?),
            [b'b' | b'B', b'r' | b'R', b'"' | b'\'', ..] => Token::Bytes(self.prefixed(2, true)?),
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
        if let [b'0', b'x' | b'X', digit, ..] = self.rest()
            && digit.is_ascii_hexdigit()
        {
            self.at += 2;
            self.skip(|byte| byte.is_ascii_hexdigit());
            return Token::Number(self.sign());
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
            return Token::Number(self.sign());
        }
        Token::Number(Number::Double)
    }

    /// Whether a whole number says that it has no sign.
    fn sign(&mut self) -> Number {
        if let [b'u' | b'U', ..] = self.rest() {
            self.at += 1;
            return Number::Uint;
        }
        Number::Int
    }

    fn prefixed(&mut self, prefix: usize, raw: bool) -> Parsed<u64> {
        self.at += prefix;
        self.quoted(raw)
    }

    /// A text from its opening quote, of one character or three, to its end: how long it is.
    fn quoted(&mut self, raw: bool) -> Parsed<u64> {
        let start = self.at;
        let mut length = 0;
        let long = [&b"\"\"\""[..], b"'''"]
            .iter()
            .any(|quote| self.rest().starts_with(quote));
        let quote = &self.bytes()[start..start + if long { 3 } else { 1 }];
        self.at += quote.len();
        while let Some(byte) = self.rest().first() {
            if self.rest().starts_with(quote) {
                self.at += quote.len();
                return Ok(length);
            }
            // Bytes that go on with a character do not count.
            length += u64::from(byte & 0xC0 != 0x80);
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

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn texts_are_resolved_as_they_are_written() {
        for (text, wanted) in [
            (r"'a\\.b' == c", r"a\.b"),
            (r"r'a\.b'", r"a\.b"),
            (r#"R"""a"\""" + b"#, r#"a"\"#),
            ("'''it's'''", "it's"),
            (r#""\x41\u00e9\U0001F600\101\n\"\?""#, "Aé😀A\n\"?"),
            ("''", ""),
        ] {
            assert_eq!(literal(text, 0).as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(literal("f('é')", 2).as_deref(), Some("é"));
        assert_eq!(literal("'a", 0), None);
    }
}
