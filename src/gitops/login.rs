//! Who asks a server, where the URL of the repository says so. Everybody on the machine can see
//! with which arguments a program runs: git gets such a URL without the user and the password, and
//! these by its environment, as the header that it would send.
//!
//! A name without a password may be a token, or just the name in the URL that a server shows to be
//! copied. As that it is no login at all, and a server that anybody may read from refuses it: then
//! it is asked once more for nobody ([`Login::anonymous`]).

use super::process::user_length;
use super::url::decode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plan::Redacted;

/// A URL as git may be given it, and what it must be told beside that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) url: String,
    header: Option<Header>,
}

/// A line of git's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    /// Good for the server of the URL, and no other.
    key: String,
    value: Redacted<String>,
    has_password: bool,
}

impl Login {
    pub(super) fn of(url: &str) -> Self {
        let plain = || Self {
            url: url.to_owned(),
            header: None,
        };
        let Some((scheme, rest)) = url.split_once("://") else {
            return plain();
        };
        let (who, place) = rest.split_at(user_length(rest));
        let Some(who) = who.strip_suffix('@') else {
            return plain();
        };
        let (user, password) = who.split_once(':').unwrap_or((who, ""));
        match scheme {
            "http" | "https" => Self {
                url: format!("{scheme}://{place}"),
                header: Some(header(scheme, place, user, password)),
            },
            // Nobody asks for a password there.
            "ssh" => Self {
                url: format!("{scheme}://{user}@{place}"),
                header: None,
            },
            _ => plain(),
        }
    }

    /// The same server, asked for nobody: for when it has refused a name that came without a
    /// password.
    pub(super) fn anonymous(&self) -> Option<Self> {
        let header = self.header.as_ref()?;
        (!header.has_password).then(|| Self {
            url: self.url.clone(),
            header: None,
        })
    }

    /// The variables by which git is told, if there is anything to tell.
    pub(super) fn variables(&self) -> Vec<(&'static str, &str)> {
        let Some(Header { key, value, .. }) = &self.header else {
            return Vec::new();
        };
        vec![
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", key.as_str()),
            ("GIT_CONFIG_VALUE_0", value.reveal().as_str()),
        ]
    }
}

fn header(scheme: &str, place: &str, user: &str, password: &str) -> Header {
    let is_end = |c: char| c == '/' || c == '?' || c == '#';
    let host = &place[..place.find(is_end).unwrap_or(place.len())];
    // A URL has them encoded, a header has not.
    let mut who = decode(user);
    who.push(b':');
    who.extend(decode(password));
    let value = format!("Authorization: Basic {}", STANDARD.encode(who));
    Header {
        key: format!("http.{scheme}://{host}/.extraHeader"),
        value: Redacted::new(value),
        has_password: !password.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_goes_without_who_asks_and_the_header_says_it() {
        for (url, plain, server, who) in [
            (
                "https://ann:hunter2@git.example:8443/a/b.git",
                "https://git.example:8443/a/b.git",
                "https://git.example:8443/",
                "ann:hunter2",
            ),
            // A token alone.
            (
                "https://t0ken@git.example/a.git",
                "https://git.example/a.git",
                "https://git.example/",
                "t0ken:",
            ),
            (
                "http://a%40b:p%3A%2Fw@git.example",
                "http://git.example",
                "http://git.example/",
                "a@b:p:/w",
            ),
            // As it is, though it should be encoded.
            (
                "https://ann:p/w@git.example/a",
                "https://git.example/a",
                "https://git.example/",
                "ann:p/w",
            ),
        ] {
            let login = Login::of(url);
            assert_eq!(login.url, plain);
            let key = format!("http.{server}.extraHeader");
            let value = format!("Authorization: Basic {}", STANDARD.encode(who));
            assert_eq!(
                login.variables(),
                [
                    ("GIT_CONFIG_COUNT", "1"),
                    ("GIT_CONFIG_KEY_0", key.as_str()),
                    ("GIT_CONFIG_VALUE_0", value.as_str()),
                ]
            );
            let shown = format!("{login:?}");
            assert!(!shown.contains(&STANDARD.encode(who)), "{shown}");
        }
    }

    #[test]
    fn a_name_without_a_password_may_be_left_out() {
        for url in ["https://org@git.example/a", "https://org:@git.example/a"] {
            let anonymous = Login::of(url).anonymous().unwrap();
            assert_eq!(anonymous.url, "https://git.example/a");
            assert!(anonymous.variables().is_empty(), "{url}");
            assert_eq!(anonymous.anonymous(), None);
        }
        for url in [
            "https://ann:hunter2@git.example/a",
            "https://git.example/a",
            "ssh://git@git.example/a",
        ] {
            assert_eq!(Login::of(url).anonymous(), None, "{url}");
        }
    }

    #[test]
    fn what_needs_no_login_is_left_as_it_is() {
        for url in [
            "https://git.example/a@b.git",
            "https://git.example:8443/a@b.git",
            "git@git.example:a/b.git",
            "ssh://git@git.example/a",
            "git://git.example/a",
            "file:///srv/git/a@b",
            "/srv/git/a@b",
        ] {
            let login = Login::of(url);
            assert_eq!(login.url, url);
            assert!(login.variables().is_empty(), "{url}");
        }
        let login = Login::of("ssh://ann:hunter2@git.example/a");
        assert_eq!(login.url, "ssh://ann@git.example/a");
        assert!(login.variables().is_empty());
    }
}
