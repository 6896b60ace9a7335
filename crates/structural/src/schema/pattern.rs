//! The `pattern` of a string, compiled when a value first meets it.

use std::fmt;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

/// The most memory one pattern may take when compiled, in bytes.
const LIMIT: usize = 1 << 20;

/// A regular expression as the schema writes it. Compiling costs far more than matching, hence
/// once; and not at parse time, as most schemas never see a value for most of their patterns.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    /// `None` inside: it does not compile within the limit, and nothing matches.
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Takes the text as it is; a pattern that is none matches nothing.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            compiled: OnceLock::new(),
        }
    }

    /// The regular expression as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern occurs in `value` (unanchored, as in JSON schema).
    pub fn is_match(&self, value: &str) -> bool {
        let compile = || RegexBuilder::new(&self.text).size_limit(LIMIT).build().ok();
        let compiled = self.compiled.get_or_init(compile);
        compiled.as_ref().is_some_and(|regex| regex.is_match(value))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_pattern_matches_anywhere_and_a_broken_one_nowhere() {
        let pattern = Pattern::new("b+c");
        assert!(pattern.is_match("abbc") && pattern.is_match("bc") && !pattern.is_match("ab"));
        assert!(!Pattern::new("(").is_match("("));
        assert!(!Pattern::new("(a{1000}){1000}").is_match("a"));
        assert_eq!(pattern, Pattern::new("b+c"));
    }
}
