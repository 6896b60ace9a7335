//! What a repository may be called, and what may be asked of it.

use super::error::{Result, SourceError};
use super::process::without_credentials;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The longest URL that git is asked for, in bytes.
const URL_MAX: usize = 4096;

/// Repositories that git may be asked for: by URL, by `host:path`, or by an absolute path.
pub(super) fn check_url(url: &str) -> Result<()> {
    if url.is_empty() {
        return Err(bad_url(url, "there is no URL"));
    }
    if url.len() > URL_MAX {
        let problem = format!("repository: a URL must not be longer than {URL_MAX} bytes");
        return Err(SourceError::Url(problem));
    }
    if url.starts_with('-') || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(bad_url(url, "this is no URL"));
    }
    let problem = match url.split_once("://") {
        Some(("file" | "git" | "http" | "https" | "ssh", _)) => return Ok(()),
        Some(_) => "only https, http, ssh, git and file are supported",
        None if url.starts_with('/') => return Ok(()),
        None if url.contains("::") => "this is no URL",
        None => match url.split_once(':') {
            Some((host, _)) if !host.contains('/') && !host.is_empty() => return Ok(()),
            _ => "a path must be absolute",
        },
    };
    Err(bad_url(url, problem))
}

pub(super) fn bad_url(url: &str, problem: &str) -> SourceError {
    let url = without_credentials(url);
    SourceError::Url(format!("repository '{url}': {problem}"))
}

/// Where on this machine a repository is, as git reads its URL; `None` if it is elsewhere.
pub(super) fn local_path(url: &str) -> Option<PathBuf> {
    let path = match url.strip_prefix("file://") {
        // What stands before the path would be a host, which git does not look at.
        Some(rest) => decode(&rest[rest.find('/')?..]),
        None if url.starts_with('/') => url.as_bytes().to_vec(),
        None => return None,
    };
    Some(PathBuf::from(OsString::from_vec(path)))
}

/// Resolves `%2F` and its like.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match code {
            Some(code) if byte == b'%' => {
                out.push(code);
                rest = &after[2..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

pub(super) fn is_commit(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether git would take it as a ref, and `ls-remote` as nothing but one.
pub(super) fn is_ref_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 250
        && !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.contains("..")
        && !text.contains("@{")
        && !text
            .contains(|c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\<>=".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_greatest_length() {
        let of = |length: usize| format!("https://{}", "x".repeat(length - "https://".len()));
        assert!(check_url(&of(URL_MAX)).is_ok());
        let refusal = check_url(&of(URL_MAX + 1)).unwrap_err().to_string();
        assert!(refusal.contains("longer than 4096 bytes"), "{refusal}");
        assert!(!refusal.contains("xxx"), "{refusal}");
    }

    #[test]
    fn where_a_repository_is_on_this_machine() {
        for (url, path) in [
            ("/srv/git/a", Some("/srv/git/a")),
            ("file:///srv/git/a", Some("/srv/git/a")),
            ("file://localhost/srv/git/a", Some("/srv/git/a")),
            (
                "file:///srv/g%69t/%2e%2E/a%20b%zz",
                Some("/srv/git/../a b%zz"),
            ),
            ("file://nowhere", None),
            ("https://git.example/srv/git/a", None),
            ("git.example:srv/git/a", None),
        ] {
            assert_eq!(local_path(url), path.map(PathBuf::from), "{url}");
        }
    }
}
