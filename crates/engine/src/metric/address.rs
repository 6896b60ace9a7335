//! URLs as messages show them: a status, events and conditions are read by people who may not read
//! the metric.

use gocompat::number;

/// `url` in quotes, with `***` in place of its password, as Go's client tells of a request that
/// failed.
pub(super) fn quoted(url: &str) -> String {
    number::quote(&without_password(url))
}

fn without_password(url: &str) -> String {
    // Without a scheme, the first part may be the user.
    let scheme = url.split_once(':').filter(|(scheme, rest)| {
        rest.starts_with(SLASHES) && !scheme.contains(['@', '/', '?', '#'])
    });
    let after = scheme.map_or(0, |(scheme, _)| scheme.len() + 1);
    let slashes = url[after..].len() - url[after..].trim_start_matches(SLASHES).len();
    let (before, rest) = url.split_at(after + slashes);
    let user = &rest[..user_length(rest)];
    match user.split_once(':') {
        Some((name, _)) => format!("{before}{name}:***{}", &rest[user.len()..]),
        None => url.to_owned(),
    }
}

/// A client takes both for the same.
const SLASHES: [char; 2] = ['/', '\\'];

/// How much of what comes after `://` says who asks, up to the `@`. In doubt that is more: a
/// password may have characters that have no place in a URL.
fn user_length(rest: &str) -> usize {
    let is_end = |c: char| SLASHES.contains(&c) || matches!(c, '?' | '#');
    let authority = &rest[..rest.find(is_end).unwrap_or(rest.len())];
    if let Some(at) = authority.rfind('@') {
        return at;
    }
    // What is behind the colon would be a port, if it were not a password with a slash.
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    if port.bytes().all(|byte| byte.is_ascii_digit()) || port.ends_with(']') {
        return 0;
    }
    rest.rfind('@').unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown_and_all_else_is() {
        for (url, shown) in [
            ("http://p:9090/api/v1/query", "http://p:9090/api/v1/query"),
            ("https://ann:hunter2@p/a?b=c@d", "https://ann:***@p/a?b=c@d"),
            (
                "http://ann:hunter2@[::1]:9090/a",
                "http://ann:***@[::1]:9090/a",
            ),
            ("http://:hunter2@p/", "http://:***@p/"),
            ("http://ann:@p/", "http://ann:***@p/"),
            ("http://ann@p/", "http://ann@p/"),
            ("http://p/@scope:a/b@v1", "http://p/@scope:a/b@v1"),
            ("http://[::1]/a@v1", "http://[::1]/a@v1"),
            ("http://p?by=ann@example:1", "http://p?by=ann@example:1"),
            // Not as it should be written, and a password all the same.
            ("http://ann:hun@ter2@p/a", "http://ann:***@p/a"),
            ("http://ann:hun/ter2@p/a", "http://ann:***@p/a"),
            ("http://ann:hun?t#er2@p/a", "http://ann:***@p/a"),
            ("http:///ann:hunter2@p/a", "http:///ann:***@p/a"),
            ("http:\\\\ann:hunter2@p/a", "http:\\\\ann:***@p/a"),
            ("http:ann:hunter2@p/a", "http:***@p/a"),
            ("ann:hunter2@p/a?from=http://q", "ann:***@p/a?from=http://q"),
            ("//ann:hunter2@p/a", "//ann:***@p/a"),
            ("", ""),
            ("://", "://"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn quotes_are_those_of_go() {
        assert_eq!(quoted("http://a:b@p/\"\n"), r#""http://a:***@p/\"\n""#);
    }
}
