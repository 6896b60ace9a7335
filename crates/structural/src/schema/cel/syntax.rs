//! Whether a text is an expression of the Common Expression Language, as the API server's parser
//! takes it: the grammar of the language's definition with optional selection, without macros'
//! rules for their arguments and without types.

use super::lexer::{self, Fault, Parsed};
use super::parser::{self, Read};

/// The longest expression, in characters, as in cel-go.
const LONGEST: usize = 100_000;

/// What is wrong with an expression, in the form in which cel-go says it.
pub(in crate::schema) fn syntax_error(text: &str) -> Option<String> {
    let fault = parse(text).err()?;
    Some(told(
        text,
        fault.at,
        &format!("Syntax error: {}", fault.words),
    ))
}

/// A message about a place in an expression: the line that it is in follows, and a mark under it.
pub(super) fn told(text: &str, at: usize, words: &str) -> String {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.matches('\n').count() + 1;
    let before = before.get(start..).unwrap_or_default();
    let rest = text.get(start..).unwrap_or_default();
    let source = rest.split('\n').next().unwrap_or_default();
    let wide = |c: char, narrow: char, wide: char| if c.len_utf8() > 1 { wide } else { narrow };
    let mut under: String = before.chars().map(|c| wide(c, '.', '．')).collect();
    let marked = source.chars().nth(before.chars().count()).unwrap_or(' ');
    under.push(wide(marked, '^', '＾'));
    let column = before.chars().count() + 1;
    let source = source.replace('\t', " ");
    format!("ERROR: <input>:{line}:{column}: {words}\n | {source}\n | {under}")
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
    let (tokens, read) = parse(text).ok()?;
    Some(Form {
        tokens,
        depth: read.deepest,
        doubled_sign: read.doubled_sign,
    })
}

/// The expression itself; `None` for what is none.
pub(super) fn tree(text: &str) -> Option<Read> {
    Some(parse(text).ok()?.1)
}

/// An expression, and how many words and marks it has.
fn parse(text: &str) -> Result<(usize, Read), Fault> {
    let size = text.chars().count();
    if size > LONGEST {
        let what = "expression code point size exceeds limit";
        return lexer::fault(0, format!("{what}: size: {size}, limit {LONGEST}"));
    }
    let tokens = lexer::tokens(text)?;
    let count = tokens.len();
    let read: Parsed<Read> = parser::read(text, tokens);
    Ok((count, read?))
}

#[cfg(test)]
mod tests {
    use super::{Form, form, syntax_error};
    use crate::schema::cel::parser::BEGINNINGS;

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
                "1:6: Syntax error: mismatched input '<EOF>' expecting IDENTIFIER",
            ),
            (
                "a ? b",
                "1:6: Syntax error: mismatched input '<EOF>' expecting ':'",
            ),
            ("for", "1:1: Syntax error: reserved identifier: for"),
            (
                "self and self",
                "1:6: Syntax error: mismatched input 'and' expecting <EOF>",
            ),
            ("naïve", "1:3: Syntax error: token recognition error"),
            (
                "",
                "1:1: Syntax error: mismatched input '<EOF>' expecting an expression",
            ),
        ] {
            let found = syntax_error(rule).unwrap_or_default();
            let first = found.lines().next().unwrap_or_default();
            let wanted = wanted.replace("an expression", BEGINNINGS);
            assert_eq!(first, format!("ERROR: <input>:{wanted}"), "{rule}");
        }
        let deep = "(".repeat(100_000);
        let found = syntax_error(&deep).unwrap_or_default();
        assert!(found.contains("recursion limit exceeded: 250"));
        let long = |size: usize| syntax_error(&"a".repeat(size)).unwrap_or_default();
        assert_eq!(long(100_000), "");
        assert!(long(100_001).contains("exceeds limit: size: 100001, limit 100000"));
    }

    #[test]
    fn the_line_of_a_fault_follows_with_a_mark_under_its_place() {
        let found = syntax_error("a\n && é = 'b'").unwrap_or_default();
        let first = "ERROR: <input>:2:5: Syntax error: token recognition error";
        assert_eq!(found, format!("{first}\n |  && é = 'b'\n | ....＾"));
        let found = syntax_error("(self").unwrap_or_default();
        assert!(found.ends_with("\n | (self\n | .....^"), "{found}");
    }
}
