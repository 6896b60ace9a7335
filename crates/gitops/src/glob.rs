//! Globs, as in project rules and file filters: `*`, `**`, `?`, `[…]`, `{a,b}`.
//!
//! Every plan asks thousands of times, almost always about patterns that are plain names or names
//! with a `*`. Those are compared as they are: compiling one to a regular expression costs a
//! thousand times more.

use globset::GlobBuilder;

/// Whether `text` matches `pattern`; with `separator`, `*` does not cross a `/`. A pattern that is
/// no valid glob matches only itself.
pub fn matches(pattern: &str, text: &str, separator: bool) -> bool {
    if pattern == text || pattern == "*" && !separator {
        return true;
    }
    if !pattern.contains(['?', '[', ']', '{', '}', '\\']) && !pattern.contains("**") {
        return stars_match(pattern, text, separator);
    }
    compiled_match(pattern, text, separator)
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
    GlobBuilder::new(pattern)
        .literal_separator(separator)
        .backslash_escape(true)
        .build()
        .is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

#[cfg(test)]
mod tests {
    use super::{compiled_match, matches, stars_match};
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
