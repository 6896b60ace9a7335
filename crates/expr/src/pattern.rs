//! Patterns as Go's `regexp` reads them (RE2), for the `regex` crate.
//!
//! The two agree on most of the syntax. What is rewritten, so that a pattern means the same here:
//! - `\d`, `\s`, `\w` and `\b` are about ASCII. (`.`, literals and `\p{…}` are about characters in
//!   both.)
//! - A class has neither classes nor set operations inside: `[`, `&&`, `--` and `~~` stand for
//!   themselves, and so does the `-` of `[\w-.]`.
//! - A `{` that begins no repetition, `\<` and `\>` stand for themselves; `\Q…\E` quotes.

use crate::limits;
use regex::{Error, Regex, RegexBuilder};

/// Length that most patterns stay below, in bytes.
const USUAL_LENGTH: usize = 16 << 10;
/// Bytes that the program of most patterns stays below.
const USUAL_BYTES: usize = 1 << 20;
/// Largest program, in bytes. Go bounds what a repetition comes to instead.
const MAX_BYTES: usize = 10 << 20;

/// A pattern that is ready.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    /// It took much work to make.
    pub(crate) is_large: bool,
}

/// Compiles a pattern in Go's syntax. The error speaks of the pattern as it is rewritten.
pub fn go_regex(pattern: &str) -> Result<Regex, Error> {
    build(pattern).map(|built| built.regex)
}

pub(crate) fn build(pattern: &str) -> Result<Pattern, Error> {
    // The size limit below is about the program; to parse a pattern takes memory before that, some
    // hundred bytes for each of its own. A pattern can be a provider's answer of many megabytes.
    if pattern.len() > limits::PATTERN_BYTES {
        return Err(Error::CompiledTooBig(limits::PATTERN_BYTES));
    }
    let is_long = pattern.len() > USUAL_LENGTH;
    let pattern = Translation::new(pattern).whole();
    let within = |bytes| RegexBuilder::new(&pattern).size_limit(bytes).build();
    match within(USUAL_BYTES) {
        Ok(regex) => Ok(Pattern {
            regex,
            is_large: is_long,
        }),
        Err(Error::CompiledTooBig(_)) => within(MAX_BYTES).map(|regex| Pattern {
            regex,
            is_large: true,
        }),
        Err(error) => Err(error),
    }
}

/// Goes through a pattern. What is wrong with it is left in, for the compiler to say.
struct Translation<'p> {
    rest: &'p str,
    out: String,
}

impl<'p> Translation<'p> {
    fn new(pattern: &'p str) -> Self {
        Self {
            rest: pattern,
            out: String::with_capacity(pattern.len()),
        }
    }

    fn whole(mut self) -> String {
        while let Some(next) = self.bump() {
            match next {
                '\\' => self.escape(),
                '[' => self.class(),
                '{' if !is_repetition(self.rest) => self.out.push_str("\\{"),
                other => self.out.push(other),
            }
        }
        self.out
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    /// After a backslash that is not in a class.
    fn escape(&mut self) {
        match self.bump() {
            None => self.out.push('\\'),
            Some('b') => self.out.push_str(r"(?-u:\b)"),
            Some('B') => self.out.push_str(r"(?-u:\B)"),
            Some('Q') => {
                let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.out.push_str(&regex::escape(text));
                self.rest = rest;
            }
            Some(escaped) => match perl_class(escaped) {
                Some(class) => self.out.push_str(class),
                None => self.escaped(escaped),
            },
        }
    }

    /// An escape that means the same in both, or is an error in both.
    fn escaped(&mut self, escaped: char) {
        if !matches!(escaped, '<' | '>') {
            self.out.push('\\');
        }
        self.out.push(escaped);
        // `\x{2014}`, `\p{Greek}`: no repetition.
        if matches!(escaped, 'x' | 'p' | 'P')
            && self.rest.starts_with('{')
            && let Some(end) = self.rest.find('}')
        {
            let (name, rest) = self.rest.split_at(end + 1);
            self.out.push_str(name);
            self.rest = rest;
        }
    }

    /// After the `[` of a class.
    fn class(&mut self) {
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.out.push('^');
            self.rest = rest;
        }
        let mut is_first = true;
        while let Some(next) = self.bump() {
            if next == ']' && !is_first {
                self.out.push(']');
                return;
            }
            is_first = false;
            let is_taken = match next {
                '[' => self.named_class(),
                '\\' => self.escaped_class(),
                _ => false,
            };
            if !is_taken {
                self.range(next);
            }
        }
    }

    /// `[:alpha:]`, after its `[`.
    fn named_class(&mut self) -> bool {
        let name = self.rest.strip_prefix(':');
        let Some(length) = name.and_then(|name| name.find(":]")) else {
            return false;
        };
        let (name, rest) = self.rest.split_at(length + ":".len() + ":]".len());
        self.out.push('[');
        self.out.push_str(name);
        self.rest = rest;
        true
    }

    /// `\w` or `\pL` within a class, after the backslash.
    fn escaped_class(&mut self) -> bool {
        let Some(escaped) = self.rest.chars().next() else {
            return false;
        };
        if let Some(class) = perl_class(escaped) {
            self.bump();
            self.out.push_str(class);
            return true;
        }
        let is_unicode = matches!(escaped, 'p' | 'P');
        if is_unicode {
            self.bump();
            self.escaped(escaped);
        }
        is_unicode
    }

    /// A character of a class, or a range of them.
    fn range(&mut self, low: char) {
        self.member(low);
        let mut ahead = self.rest.chars();
        let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|next| next != ']');
        if !is_range {
            return;
        }
        self.bump();
        self.out.push('-');
        if let Some(high) = self.bump() {
            self.member(high);
        }
    }

    fn member(&mut self, member: char) {
        match member {
            '\\' => match self.bump() {
                Some(escaped) => self.escaped(escaped),
                None => self.out.push('\\'),
            },
            '[' | ']' | '&' | '~' | '-' | '^' => {
                self.out.push('\\');
                self.out.push(member);
            }
            _ => self.out.push(member),
        }
    }
}

/// What Go's Perl classes hold, as classes that can stand in another one.
fn perl_class(escaped: char) -> Option<&'static str> {
    Some(match escaped {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\f\r\x20]",
        'S' => r"[^\t\n\f\r\x20]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// Whether `{` and this are `{2}`, `{2,}` or `{2,3}`.
fn is_repetition(rest: &str) -> bool {
    let Some((bounds, _)) = rest.split_once('}') else {
        return false;
    };
    let (least, most) = bounds.split_once(',').unwrap_or((bounds, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && is_digits(least) && is_digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let regex = go_regex(pattern).expect("a pattern");
        for text in matching {
            assert!(regex.is_match(text), "{pattern} and {text:?}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{pattern} and {text:?}");
        }
    }

    #[test]
    fn classes_of_perl_are_about_ascii() {
        check(r"^\w+$", &["a_Z9"], &["é", "", "a-b"]);
        check(r"^\d$", &["7"], &["٣"]);
        check(r"^\s$", &[" ", "\t"], &["\u{a0}", "\u{b}"]);
        let others = ["aéé", "é7é", "éé "];
        check(r"^\W\D\S$", &["éé\u{a0}", "-٣\u{b}"], &others);
        check(r"^[\w.]+$", &["a.b"], &["é"]);
        check(r"^[^\W\d]+$", &["ab"], &["a1", "é"]);
        // A word ends where ASCII does.
        check(r"caf\b", &["café", "caf"], &["cafe"]);
        check(r"caf\B", &["cafe"], &["café"]);
    }

    #[test]
    fn everything_else_is_about_characters() {
        check("^.$", &["é", "年"], &["ab"]);
        check("^é[à-ü]$", &["éö"], &["éa"]);
        check(r"^\p{Greek}+\pL$", &["αβγ"], &["abc"]);
        check("(?i)^É$", &["é"], &["e"]);
    }

    #[test]
    fn what_go_takes_for_itself_is_taken_for_itself() {
        check(r"^[\w-.]+@[\w-]+$", &["a-b.c@d-e"], &["a+b@c"]);
        check("^[[]$", &["["], &["]"]);
        check("^[]a]+$", &["a]"], &["["]);
        check("^[a&&b]+$", &["a&b"], &["c"]);
        check("^[+--]$", &["+", ",", "-"], &["."]);
        check(r"^[\--/]$", &["-", ".", "/"], &["0"]);
        check("^[a-]+$", &["-a"], &["b"]);
        check("^[[:alpha:]~]+$", &["a~"], &["1"]);
        check("^{.*}$", &["{}", r#"{"a": 1}"#], &["{"]);
        check("^a{2}b{1,}c{1,2}d{,2}$", &["aabcd{,2}"], &["abc"]);
        check(r"^\Qa.b[\E+$", &["a.b[", "a.b[["], &["axb["]);
        check(r"^\<a\>$", &["<a>"], &["a"]);
        check(r"^\x{2014}[\x{41}-C]$", &["—B"], &["—D"]);
    }

    #[test]
    fn what_is_wrong_stays_wrong() {
        for pattern in [
            "[", "[a", "[]", "(", "a)", "*", "\\", r"[a\", r"[a-\d]", r"\8", "[b-a]",
        ] {
            assert!(go_regex(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_name_may_be_as_long_as_names_are() {
        let within = |pattern: &str| build(pattern).map(|pattern| pattern.is_large);
        assert!(matches!(within(r"^[\w-]{1,64}$"), Ok(false)));
        assert!(matches!(within(r"^[\w-]{1,253}$"), Ok(false)));
        assert!(matches!(within(r"^[\pL\pN]{1,50}$"), Ok(true)));
        let endless = within(r"((\pL{900}){900}){900}");
        assert!(matches!(endless, Err(Error::CompiledTooBig(_))));
    }

    /// Empty groups, which the limit for programs does not see: nothing of them is left there.
    #[test]
    fn the_length_of_a_pattern_is_bounded() {
        let of_length = |bytes: usize| {
            let pattern = "(?:)".repeat(bytes / "(?:)".len());
            build(&pattern).map(|pattern| pattern.is_large)
        };
        assert!(matches!(of_length(USUAL_LENGTH), Ok(false)));
        assert!(matches!(of_length(limits::PATTERN_BYTES), Ok(true)));
        let too_long = of_length(limits::PATTERN_BYTES + 4);
        assert!(matches!(too_long, Err(Error::CompiledTooBig(_))));
    }
}
