//! Globs, as in project rules and file filters: `*`, `**`, `?`, `[…]`, `{a,b}`.
//!
//! Every plan asks thousands of times, almost always about patterns that are plain names or names
//! with a `*`. Those are compared as they are: compiling one to a regular expression costs a
//! thousand times more.

use globset::GlobBuilder;
use regex::bytes::{Regex, RegexBuilder};

/// Longer patterns, and patterns with more alternatives, are not read: most are compiled anew for
/// each text, and alternatives nest.
const PATTERN_MAX: usize = 4096;
const ALTERNATIVES_MAX: usize = 100;

/// Whether `text` matches `pattern`; with `separator`, `*` does not cross a `/`. A pattern that is
/// no valid glob matches only itself, and so does one that [`is_too_large`].
pub fn matches(pattern: &str, text: &str, separator: bool) -> bool {
    if pattern == text || pattern == "*" && !separator {
        return true;
    }
    if is_plain(pattern) {
        return stars_match(pattern, text, separator);
    }
    compiled_match(pattern, text, separator)
}

/// Whether any of `texts` matches: the same for many, which compiles the pattern once.
pub fn matches_any<'t>(
    pattern: &str,
    texts: impl IntoIterator<Item = &'t str>,
    separator: bool,
) -> bool {
    let mut texts = texts.into_iter();
    if is_plain(pattern) {
        return texts.any(|text| matches(pattern, text, separator));
    }
    let compiled = compile(pattern, separator);
    texts.any(|text| {
        let regex = compiled.as_ref();
        pattern == text || regex.is_some_and(|regex| regex.is_match(text.as_bytes()))
    })
}

/// Whether a pattern is more than is read. Where it forbids something, nothing may pass for that.
pub fn is_too_large(pattern: &str) -> bool {
    !is_plain(pattern)
        && (pattern.len() > PATTERN_MAX || pattern.matches('{').count() > ALTERNATIVES_MAX)
}

/// Whether all wildcards are single stars.
fn is_plain(pattern: &str) -> bool {
    !pattern.contains(['?', '[', ']', '{', '}', '\\']) && !pattern.contains("**")
}

/// A pattern whose only wildcards are single stars: its pieces occur in order, the first at the
/// start, the last at the end. With `separator`, this holds between slashes, one by one.
fn stars_match(pattern: &str, text: &str, separator: bool) -> bool {
    if separator {
        let (patterns, parts) = (pattern.split('/'), text.split('/'));
        return patterns.clone().count() == parts.clone().count()
            && patterns
                .zip(parts)
                .all(|(pattern, part)| stars_match(pattern, part, false));
    }
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(text) = text.strip_prefix(first) else {
        return false;
    };
    let Some(mut text) = text.strip_suffix(last) else {
        return false;
    };
    for piece in middle.split('*') {
        let Some(at) = text.find(piece) else {
            return false;
        };
        text = &text[at + piece.len()..];
    }
    true
}

/// Any pattern.
fn compiled_match(pattern: &str, text: &str, separator: bool) -> bool {
    compile(pattern, separator).is_some_and(|regex| regex.is_match(text.as_bytes()))
}

/// `None` if the pattern is no valid glob, or too large.
fn compile(pattern: &str, separator: bool) -> Option<Regex> {
    if is_too_large(pattern) {
        return None;
    }
    let glob = GlobBuilder::new(pattern)
        .literal_separator(separator)
        .backslash_escape(true)
        .build()
        .ok()?;
    // As the glob would do it by itself, which panics where the expression has no program: it may
    // be too large, or nested too deeply.
    RegexBuilder::new(glob.regex())
        .dot_matches_new_line(true)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_stars_match_as_the_compiled_glob_does(
            pattern in "[ab/*é]{0,8}",
            text in "[ab/é]{0,10}",
            separator: bool,
        ) {
            prop_assume!(!pattern.contains("**"));
            prop_assert_eq!(
                stars_match(&pattern, &text, separator),
                compiled_match(&pattern, &text, separator)
            );
        }

        #[test]
        fn a_pattern_matches_as_the_library_matches_it(
            pattern in r"[ab*?/é{},!\[\]\\-]{0,8}",
            text in "[ab/é,\n]{0,10}",
            separator: bool,
        ) {
            let glob = GlobBuilder::new(&pattern)
                .literal_separator(separator)
                .backslash_escape(true)
                .build();
            prop_assert_eq!(
                compiled_match(&pattern, &text, separator),
                glob.is_ok_and(|glob| glob.compile_matcher().is_match(&text))
            );
        }

        #[test]
        fn one_of_many_texts_matches_as_it_does_alone(
            pattern in r"[ab*?/{},\[]{0,6}",
            texts in prop::collection::vec(r"[ab/,\[]{0,4}", 0..4),
            separator: bool,
        ) {
            let alone = texts.iter().any(|text| matches(&pattern, text, separator));
            let texts = texts.iter().map(String::as_str);
            prop_assert_eq!(matches_any(&pattern, texts, separator), alone);
        }
    }

    #[test]
    fn a_pattern_beyond_the_limits_matches_itself_alone() {
        let nested = |depth: usize| format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
        for pattern in [
            "**/".repeat(100_000),
            "a/**/".repeat(100_000),
            "?".repeat(1_000_000),
            nested(ALTERNATIVES_MAX + 1),
            nested(2_000),
            nested(1_000_000),
        ] {
            let head = &pattern[..8];
            assert!(!matches(&pattern, "a", true), "{head}");
            assert!(!matches(&pattern, "a/b", false), "{head}");
            assert!(matches(&pattern, &pattern, true), "{head}");
            assert!(is_too_large(&pattern), "{head}");
        }
        let stars = "a*".repeat(PATTERN_MAX);
        assert!(!is_too_large(&stars));
        assert!(matches(&stars, &"ab".repeat(PATTERN_MAX), true));
        // The longest ones that are read.
        let (longest, text) = ("?".repeat(PATTERN_MAX), "a".repeat(PATTERN_MAX));
        assert!(matches(&longest, &text, true));
        let lists = "{a,b}".repeat(ALTERNATIVES_MAX);
        assert!(matches(&lists, &"ab".repeat(ALTERNATIVES_MAX / 2), true));
    }

    #[test]
    fn stars_stop_at_separators_where_asked() {
        assert!(matches("backend-*", "backend-prod", false));
        assert!(!matches("backend-*", "production", false));
        assert!(matches("*", "a/b", false));
        assert!(matches(
            "https://git.example/*",
            "https://git.example/one",
            true
        ));
        assert!(!matches(
            "https://git.example/*",
            "https://git.example/one/two",
            true
        ));
        assert!(matches(
            "https://git.example/**",
            "https://git.example/one/two",
            true
        ));
        assert!(matches("{a,b}-[0-9]", "b-7", false));
        assert!(!matches("[", "x", false));
        assert!(matches("[", "[", false));
    }
}
