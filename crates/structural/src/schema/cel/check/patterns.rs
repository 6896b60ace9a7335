//! Whether a text is a regular expression, as Go's package `regexp` compiles it.
//!
//! Of the names of Unicode classes only the form is looked at, and nothing is too large: what is
//! refused here is refused there, not the other way round.

/// The most that a counted repetition may ask for.
const MOST: u32 = 1000;
/// The names between `[:` and `:]`.
const NAMED: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Whether Go compiles it.
pub(super) fn is_pattern(text: &str) -> bool {
    let mut reader = Reader {
        rest: text,
        open: 0,
        names: Vec::new(),
    };
    reader.whole().is_some()
}

/// What stands before a place, as far as a repetition there is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Something,
    /// A repetition, which can't be repeated again.
    Repetition,
}

/// Answers are `None` where the text is no pattern.
struct Reader<'t> {
    rest: &'t str,
    /// How many groups are open.
    open: usize,
    /// The names of groups.
    names: Vec<&'t str>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn eat(&mut self, start: &str) -> bool {
        let after = self.rest.strip_prefix(start);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn whole(&mut self) -> Option<()> {
        let mut before = Before::Nothing;
        while let Some(next) = self.peek() {
            before = match next {
                '(' => self.group(before)?,
                '[' => self.class()?,
                '\\' => self.escape(before)?,
                '{' => self.counted(before)?,
                _ => {
                    self.next();
                    match next {
                        '|' => Before::Nothing,
                        '*' | '+' | '?' => self.repetition(before)?,
                        ')' => {
                            self.open = self.open.checked_sub(1)?;
                            Before::Something
                        }
                        _ => Before::Something,
                    }
                }
            };
        }
        (self.open == 0).then_some(())
    }

    /// What follows the sign of a repetition.
    fn repetition(&mut self, before: Before) -> Option<Before> {
        self.eat("?");
        (before == Before::Something).then_some(Before::Repetition)
    }

    /// `{2}`, `{2,}` or `{2,3}`; anything else in braces stands for itself.
    fn counted(&mut self, before: Before) -> Option<Before> {
        let Some((least, most, rest)) = bounds(self.rest) else {
            self.next();
            return Some(Before::Something);
        };
        if least > MOST || most.is_some_and(|most| most > MOST || most < least) {
            return None;
        }
        self.rest = rest;
        self.repetition(before)
    }

    /// A group that opens, or flags in parentheses.
    fn group(&mut self, before: Before) -> Option<Before> {
        self.next();
        if !self.eat("?") {
            self.open += 1;
            return Some(Before::Nothing);
        }
        if !(self.eat("P<") || self.eat("<")) {
            return self.flags(before);
        }
        let (name, rest) = self.rest.split_once('>')?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_word) || self.names.contains(&name) {
            return None;
        }
        self.names.push(name);
        self.rest = rest;
        self.open += 1;
        Some(Before::Nothing)
    }

    fn flags(&mut self, before: Before) -> Option<Before> {
        let (mut negated, mut any) = (false, false);
        loop {
            match self.next()? {
                'i' | 'm' | 's' | 'U' => any = true,
                '-' if !negated => (negated, any) = (true, false),
                ':' if any || !negated => {
                    self.open += 1;
                    return Some(Before::Nothing);
                }
                ')' if any || !negated => return Some(after_nothing(before)),
                _ => return None,
            }
        }
    }

    /// What a backslash begins outside of brackets.
    fn escape(&mut self, before: Before) -> Option<Before> {
        let after = self.rest.strip_prefix('\\')?;
        if after.starts_with(['A', 'b', 'B', 'z']) {
            self.rest = after.get(1..)?;
        } else if let Some(quoted) = after.strip_prefix('Q') {
            let (quoted, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            self.rest = rest;
            if quoted.is_empty() {
                return Some(after_nothing(before));
            }
        } else if !self.sort()? {
            self.character()?;
        }
        Some(Before::Something)
    }

    /// A sort of characters, such as `\d` and `\pL`; whether there is one.
    fn sort(&mut self) -> Option<bool> {
        let Some(after) = self.rest.strip_prefix('\\') else {
            return Some(false);
        };
        if after.starts_with(['d', 'D', 's', 'S', 'w', 'W']) {
            self.rest = after.get(1..)?;
            return Some(true);
        }
        let Some(name) = after.strip_prefix(['p', 'P']) else {
            return Some(false);
        };
        self.rest = match name.strip_prefix('{') {
            Some(name) => name.split_once('}')?.1,
            None => name.strip_prefix(['C', 'L', 'M', 'N', 'P', 'S', 'Z'])?,
        };
        Some(true)
    }

    /// The one character that a backslash and what follows it stand for.
    fn character(&mut self) -> Option<u32> {
        self.next();
        let next = self.next()?;
        match next {
            '0'..='7' => self.octal(next),
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0C),
            'n' => Some(0x0A),
            'r' => Some(0x0D),
            't' => Some(0x09),
            'v' => Some(0x0B),
            _ => (next.is_ascii() && !next.is_ascii_alphanumeric()).then_some(u32::from(next)),
        }
    }

    fn octal(&mut self, first: char) -> Option<u32> {
        let mut value = first.to_digit(8)?;
        for index in 0..2 {
            let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else {
                // A digit alone would refer to a group, which this language can't.
                return (index > 0 || first == '0').then_some(value);
            };
            value = value * 8 + digit;
            self.next();
        }
        Some(value)
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        if !self.eat("{") {
            let high = self.next()?.to_digit(16)?;
            return Some(high * 16 + self.next()?.to_digit(16)?);
        }
        let (digits, rest) = self.rest.split_once('}')?;
        self.rest = rest;
        let value = u32::from_str_radix(digits, 16).ok()?;
        let is_plain = digits.chars().all(|digit| digit.is_ascii_hexdigit());
        (is_plain && value <= u32::from(char::MAX)).then_some(value)
    }

    /// Characters in brackets.
    fn class(&mut self) -> Option<Before> {
        self.next();
        self.eat("^");
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            if self.named()? || self.sort()? {
                continue;
            }
            let low = self.member()?;
            if let Some(after) = self.rest.strip_prefix('-')
                && !after.is_empty()
                && !after.starts_with(']')
            {
                self.rest = after;
                if self.member()? < low {
                    return None;
                }
            }
        }
        self.next();
        Some(Before::Something)
    }

    /// `[:alpha:]` within brackets; whether there is one.
    fn named(&mut self) -> Option<bool> {
        let named = self.rest.strip_prefix("[:");
        let Some((name, rest)) = named.and_then(|named| named.split_once(":]")) else {
            return Some(false);
        };
        self.rest = rest;
        let name = name.strip_prefix('^').unwrap_or(name);
        NAMED.contains(&name).then_some(true)
    }

    /// One character within brackets.
    fn member(&mut self) -> Option<u32> {
        if self.rest.starts_with('\\') {
            return self.character();
        }
        self.next().map(u32::from)
    }
}

/// What may be repeated after what matches nothing by itself.
const fn after_nothing(before: Before) -> Before {
    match before {
        Before::Nothing => Before::Nothing,
        Before::Something | Before::Repetition => Before::Something,
    }
}

/// The numbers of a counted repetition, and what follows it.
fn bounds(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (least, rest) = number(text.strip_prefix('{')?)?;
    let (most, rest) = match rest.strip_prefix(',') {
        None => (Some(least), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (most, rest) = number(rest)?;
            (Some(most), rest)
        }
    };
    Some((least, most, rest.strip_prefix('}')?))
}

fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let is_number = digits == "0" || (!digits.is_empty() && !digits.starts_with('0'));
    is_number.then(|| (digits.parse().unwrap_or(u32::MAX), rest))
}

#[cfg(test)]
mod tests {
    use super::is_pattern;

    #[test]
    fn what_go_compiles_is_a_pattern() {
        for text in [
            "",
            r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            r"^\d{4}-\d{2,}-\d{0,1000}?$",
            r"(?i)a+|(?P<year>\d)|(?<month>\w)|(?s-m:.)|(?:|b)|()",
            r"[]a]|[^]a]|[a-]|[-a]|[[:alpha:][:^digit:]]|[[:a]|[\d\pL-]|[a\-z\]]|[[]",
            r"a{|a{,2}|{|a{01}|x{1,2,3}|]|}",
            r"\x41\x{1F600}\012\0\n\.\/\-\_\Q[(*\E\bx\B\A\z\p{Greek}\PN",
            r"^*|a(?i)*|(a*)*|a*(?i)*",
            r"\Q(",
        ] {
            assert!(is_pattern(text), "{text}");
        }
    }

    #[test]
    fn what_go_does_not_compile_is_none() {
        for text in [
            "[",
            "[a",
            "[]",
            "[z-a]",
            r"[a-\d]",
            r"[\b]",
            "[[:nope:]]",
            "(",
            ")",
            "a)(b",
            "(?",
            "(?=a)",
            "(?<=a)",
            "(?!a)",
            "(?P<a-b>c)",
            "(?P<a>b)(?P<a>c)",
            "(?i-)",
            "*",
            "a|*",
            "(*)",
            "a**",
            "a+*",
            "a{2}{3}",
            "a???",
            "(?i)*",
            r"\Q\E*",
            "a{1001}",
            "a{2,1}",
            "a{99999999999}",
            r"\",
            r"\1",
            r"\8",
            r"\y",
            r"\C",
            r"\é",
            r"\x4",
            r"\x{}",
            r"\x{110000}",
            r"\pX",
            r"\p{Greek",
        ] {
            assert!(!is_pattern(text), "{text}");
        }
    }
}
