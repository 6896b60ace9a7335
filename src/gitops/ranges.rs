//! Ranges of versions in place of a revision: the newest tag in one is what is meant (gitops.md
//! item 7). Tags that are no versions are passed over, and so are pre-releases, unless the range
//! names one.

use std::cmp::Ordering;

/// The longest range, in bytes.
const TEXT_MAX: usize = 250;

/// A version as tags write them: with a `v` or without, and of one number up to three.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    /// Empty for a release.
    pre: String,
}

/// A part of what stands after the hyphen. Numbers come before words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier<'t> {
    Number(u64),
    Word(&'t str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// The last of the numbers that are named may grow.
    Tilde,
    /// All but the first number that is not zero may grow.
    Caret,
}

/// One comparison. Numbers that are not given, or are wildcards, are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    operator: Operator,
    named: Vec<u64>,
    pre: String,
}

/// Alternatives, each of bounds that all have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    alternatives: Vec<Vec<Bound>>,
}

impl Range {
    /// Reads a range; `None` for what is none. A single version is none either: it names a tag.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_MAX || Version::parse(text).is_some() {
            return None;
        }
        let alternatives = text.split("||").map(bounds);
        let alternatives = alternatives.collect::<Option<Vec<_>>>()?;
        Some(Self { alternatives })
    }

    /// The commit of the newest version among tags, as `git ls-remote` lists them.
    pub(super) fn newest<'l>(&self, listed: &'l str) -> Option<&'l str> {
        let mut best: Option<(Version, &str, &str)> = None;
        for (commit, name) in listed.lines().filter_map(|line| line.split_once('\t')) {
            let Some(name) = name.strip_prefix("refs/tags/") else {
                continue;
            };
            // Of a tag what it points to, which is listed after it.
            let tag = name.strip_suffix("^{}").unwrap_or(name);
            let Some(version) = Version::parse(tag).filter(|version| self.has(version)) else {
                continue;
            };
            let is_better = match &best {
                None => true,
                Some((known, _, _)) if version != *known => version > *known,
                Some((_, known, _)) => *known == tag,
            };
            if is_better {
                best = Some((version, tag, commit));
            }
        }
        best.map(|(_, _, commit)| commit)
    }

    fn has(&self, version: &Version) -> bool {
        let mut alternatives = self.alternatives.iter();
        alternatives.any(|bounds| bounds.iter().all(|bound| bound.holds(version)))
    }
}

/// The bounds of one alternative.
fn bounds(text: &str) -> Option<Vec<Bound>> {
    if let Some((from, to)) = text.split_once(" - ") {
        return Some(vec![
            Bound::of(Operator::GreaterOrEqual, from.trim())?,
            Bound::of(Operator::LessOrEqual, to.trim())?,
        ]);
    }
    let is_gap = |letter: char| letter == ',' || letter.is_whitespace();
    let mut out = Vec::new();
    let mut rest = text.trim_start_matches(is_gap);
    while !rest.is_empty() {
        let is_version = |letter: char| !"=!<>~^".contains(letter);
        let (operator, after) = rest.split_at(rest.find(is_version)?);
        let after = after.trim_start();
        let (version, after) = after.split_at(after.find(is_gap).unwrap_or(after.len()));
        out.push(Bound::of(Operator::parse(operator)?, version)?);
        rest = after.trim_start_matches(is_gap);
    }
    (!out.is_empty()).then_some(out)
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "=" | "==" => Self::Equal,
            "!=" => Self::NotEqual,
            ">" => Self::Greater,
            ">=" | "=>" => Self::GreaterOrEqual,
            "<" => Self::Less,
            "<=" | "=<" => Self::LessOrEqual,
            "~" | "~>" => Self::Tilde,
            "^" => Self::Caret,
            _ => return None,
        })
    }
}

/// Numbers, pre-release and the rest of a version.
fn parts(text: &str) -> (&str, &str) {
    let text = text.strip_prefix('v').unwrap_or(text);
    let text = text.split_once('+').map_or(text, |(text, _)| text);
    text.split_once('-').unwrap_or((text, ""))
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (numbers, pre) = parts(text);
        let named = numbers.split('.').map(number);
        let named = named.collect::<Option<Vec<u64>>>()?;
        Self::of(&named, pre)
    }

    /// Numbers that are not there are zero.
    fn of(named: &[u64], pre: &str) -> Option<Self> {
        let mut numbers = [0; 3];
        numbers.get_mut(..named.len())?.copy_from_slice(named);
        let pre = pre.to_owned();
        Some(Self { numbers, pre })
    }

    fn identifiers(&self) -> impl Iterator<Item = Identifier<'_>> {
        let parts = self.pre.split('.');
        parts.map(|part| number(part).map_or(Identifier::Word(part), Identifier::Number))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.identifiers().cmp(other.identifiers()),
            }
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Bound {
    fn of(operator: Operator, text: &str) -> Option<Self> {
        let (numbers, pre) = parts(text);
        let is_wildcard = |part: &str| matches!(part, "*" | "x" | "X");
        let all: Vec<&str> = numbers.split('.').collect();
        let named = all.iter().take_while(|part| !is_wildcard(part));
        let named = named.map(|part| number(part)).collect::<Option<Vec<_>>>()?;
        // After a wildcard there is nothing but wildcards.
        let is_clean = all.iter().skip(named.len()).all(|part| is_wildcard(part));
        let is_whole = named.len() == 3 || pre.is_empty();
        (all.len() <= 3 && is_clean && is_whole).then(|| Self {
            operator,
            named,
            pre: pre.to_owned(),
        })
    }

    fn holds(&self, version: &Version) -> bool {
        if !version.pre.is_empty() && self.pre.is_empty() {
            return false;
        }
        let Some(low) = Version::of(&self.named, &self.pre) else {
            return false;
        };
        let begins_so = |length: usize| {
            let wanted = self.named.iter().take(length);
            wanted
                .zip(&version.numbers)
                .all(|(one, other)| one == other)
        };
        // What is above all versions that begin as this one does.
        let is_above = || {
            let named = self.named.as_slice();
            let same = &version.numbers[..named.len().min(3)];
            if named.len() == 3 {
                *version > low
            } else {
                same > named
            }
        };
        let is_same = || begins_so(3) && (self.named.len() < 3 || version.pre == self.pre);
        match self.operator {
            Operator::Equal => is_same(),
            Operator::NotEqual => !is_same(),
            Operator::Greater => is_above(),
            Operator::GreaterOrEqual => *version >= low,
            Operator::Less => *version < low,
            Operator::LessOrEqual => !is_above(),
            Operator::Tilde => *version >= low && begins_so(2),
            Operator::Caret => {
                let zeros = self.named.iter().take_while(|number| **number == 0);
                *version >= low && begins_so(zeros.count() + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(range: &str, version: &str) -> bool {
        let parsed = Range::parse(range);
        let parsed = parsed.unwrap_or_else(|| panic!("{range} is no range"));
        parsed.has(&Version::parse(version).unwrap())
    }

    #[test]
    fn a_range_has_some_versions_and_not_others() {
        for (range, inside, outside) in [
            ("*", vec!["0.0.1", "9.9.9"], vec!["1.0.0-rc.1"]),
            ("1.2.*", vec!["1.2.0", "v1.2.9"], vec!["1.3.0", "1.1.9"]),
            ("1.x", vec!["1.0.0", "1.9"], vec!["2.0.0", "0.9.0"]),
            ("=1.2", vec!["1.2.3"], vec!["1.3.0"]),
            ("=1.2.3", vec!["1.2.3", "v1.2.3+x"], vec!["1.2.4"]),
            ("!=1.2.*", vec!["1.3.0"], vec!["1.2.4"]),
            (">=1.0 <2", vec!["1.0.0", "1.9.9"], vec!["2.0.0", "0.9.9"]),
            (">= 1.0, < 2.0.0", vec!["1.5.0"], vec!["2.0.0"]),
            (">1.2", vec!["1.3.0"], vec!["1.2.9"]),
            (">1", vec!["2.0.0"], vec!["1.9.9"]),
            (">1.2.3", vec!["1.2.4"], vec!["1.2.3"]),
            ("<=1.2", vec!["1.2.9", "1.0.0"], vec!["1.3.0"]),
            ("<=1.2.3", vec!["1.2.3"], vec!["1.2.4"]),
            ("~1.2.3", vec!["1.2.3", "1.2.9"], vec!["1.2.2", "1.3.0"]),
            ("~1", vec!["1.9.0"], vec!["2.0.0"]),
            ("^1.2.3", vec!["1.2.3", "1.9.0"], vec!["1.2.2", "2.0.0"]),
            ("^0.2.3", vec!["0.2.9"], vec!["0.3.0", "0.2.2"]),
            ("^0.0.3", vec!["0.0.3"], vec!["0.0.4"]),
            ("^0", vec!["0.9.0"], vec!["1.0.0"]),
            (
                "1.2 - 1.4.5",
                vec!["1.2.0", "1.4.5"],
                vec!["1.4.6", "1.1.0"],
            ),
            ("<1 || >=3", vec!["0.5.0", "3.0.0"], vec!["1.0.0", "2.9.9"]),
            (">=1.0.0-0", vec!["1.0.0-rc.1", "1.0.0"], vec!["0.9.0"]),
        ] {
            for version in inside {
                assert!(has(range, version), "{range} has {version}");
            }
            for version in outside {
                assert!(!has(range, version), "{range} has not {version}");
            }
        }
    }

    #[test]
    fn names_and_single_versions_are_no_ranges() {
        let long = format!(">={}", "1".repeat(250));
        for text in [
            "",
            "main",
            "HEAD",
            "v1",
            "1.2",
            "v1.2.3",
            "v1.2.3-rc.1",
            "release-1.x",
            "1.x-dev",
            "1e2",
            "12345678",
            "feature/x",
            "1.*.2",
            ">=",
            "||",
            "1.x ||",
            ">=1.2.3.4",
            "~a",
            "><1",
            &long,
        ] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_newest_tag_is_the_one_that_is_meant() {
        let listed = "a0\trefs/tags/v1.2.0\n\
                      a1\trefs/tags/v1.10.0\n\
                      b1\trefs/tags/v1.10.0^{}\n\
                      a2\trefs/tags/v1.9.0\n\
                      a3\trefs/tags/v1.11.0-rc.1\n\
                      a4\trefs/tags/latest\n\
                      a5\trefs/heads/1.12.0\n\
                      a6\trefs/tags/1.10.0\n\
                      a7\trefs/tags/v2.0.0-rc.2\n\
                      a8\trefs/tags/v2.0.0-rc.10\n";
        for (range, commit) in [
            ("1.*", Some("b1")),
            ("~1.2", Some("a0")),
            (">=2.0.0-0", Some("a8")),
            ("3.*", None),
        ] {
            let range = Range::parse(range).unwrap();
            assert_eq!(range.newest(listed), commit, "{range:?}");
        }
    }
}
