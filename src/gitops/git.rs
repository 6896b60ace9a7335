//! Repositories, by running `git`.
//!
//! For each URL there is one bare mirror under the cache directory. A revision is resolved by
//! asking the server (`ls-remote`); its commit is fetched alone, without history, where the server
//! allows that, else with all branches and tags. Every commit that was fetched is kept under a ref of
//! its own, so a branch that is rewound or deleted takes nothing away from us.

use super::error::{Result, SourceError};
use super::hosts::{Hosts, host_of};
use super::process::{Bounds, Output, ProcessError, harden, run, without_credentials};
use super::{leftovers, tree};
use gitops::sync::Commit;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::{Mutex as AsyncMutex, OnceCell, Semaphore};
use tokio::time::Instant;

/// What a repository may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For each run of `git` or a renderer.
    pub timeout: Duration,
    /// Bytes of all files of one tree.
    pub tree_bytes_max: u64,
    /// Files of one tree.
    pub tree_files_max: usize,
    /// Bytes that a program may print.
    pub output_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(90),
            tree_bytes_max: 512 * 1024 * 1024,
            tree_files_max: 100_000,
            output_max: 64 * 1024 * 1024,
        }
    }
}

/// Runs `git` on mirrors in a cache directory.
#[derive(Debug)]
pub struct Git {
    cache: PathBuf,
    limits: Limits,
    /// Whether the cache directory was looked through.
    opened: OnceCell<()>,
    /// One writer for each mirror.
    locks: Mutex<BTreeMap<PathBuf, Arc<AsyncMutex<()>>>>,
    /// Turns of what needs no server.
    runs: Semaphore,
    hosts: Hosts,
}

/// The configuration in place of the system's and the user's. A repository on this machine may
/// belong to somebody else: nothing of its configuration is run (no hooks, no filters). A transfer is
/// given up when there is nothing at all for [`SILENCE`]: a server that packs a large repository
/// says little more than that it is there.
const CONFIG: &str = "\
[safe]
\tdirectory = *
[core]
\thooksPath = /dev/null
\tfsmonitor = false
[http]
\tlowSpeedLimit = 1
\tlowSpeedTime = 60
[protocol]
\tversion = 2
[gc]
\tauto = 0
[advice]
\tdetachedHead = false
[init]
\tdefaultBranch = main
";

/// Nobody is there to be asked for a password.
const BATCH: &str = "[core]\n\tsshCommand = ssh -o BatchMode=yes\n";

/// What fails only after so long has had no answer, whatever git makes of that.
const SILENCE: Duration = Duration::from_mins(1);

/// Programs at a time: a process that begins to lead has all repositories to look at at once.
const RUNS_MAX: usize = 8;

/// Where in the cache directory there is what is needed for a moment.
const SCRATCH: &str = "scratch";

impl Git {
    pub fn new(cache: impl Into<PathBuf>, limits: Limits) -> Self {
        let cache = cache.into();
        Self {
            // Git runs in other folders than ours.
            cache: std::path::absolute(&cache).unwrap_or(cache),
            limits,
            opened: OnceCell::new(),
            locks: Mutex::default(),
            runs: Semaphore::new(RUNS_MAX),
            hosts: Hosts::new(),
        }
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            timeout: self.limits.timeout,
            output_max: self.limits.output_max,
        }
    }

    /// Removes what an earlier process that was killed has left, and its configuration, which may
    /// be that of another version.
    async fn open(&self) {
        let (scratch, config) = (self.cache.join(SCRATCH), self.cache.join("gitconfig"));
        // What can't be removed takes room, and nothing else.
        let _ = tokio::fs::remove_dir_all(scratch).await;
        let _ = tokio::fs::remove_file(config).await;
    }

    fn unwritable(&self) -> String {
        let cache = self.cache.display();
        format!("the cache directory {cache} can't be written")
    }

    /// A new folder for what is needed for a moment.
    pub(super) async fn scratch(&self, prefix: &str) -> Result<tempfile::TempDir> {
        self.opened.get_or_init(|| self.open()).await;
        let folder = self.cache.join(SCRATCH);
        tokio::fs::create_dir_all(&folder)
            .await
            .map_err(SourceError::io(self.unwritable()))?;
        tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(&folder)
            .map_err(SourceError::io(self.unwritable()))
    }

    /// The configuration file that git is to follow; written if it is not there.
    pub(super) async fn config(&self) -> Result<PathBuf> {
        self.opened.get_or_init(|| self.open()).await;
        let path = self.cache.join("gitconfig");
        if tokio::fs::metadata(&path).await.is_ok() {
            return Ok(path);
        }
        // Two may do this at once: each writes a file of its own and moves it into place.
        let folder = self.scratch("config-").await?;
        let draft = folder.path().join("gitconfig");
        // With arguments, git runs it through a shell. Where there is none, in our image, the configuration
        // of ssh says the same.
        let shell = Path::new("/bin/sh").exists();
        let ssh = if shell { BATCH } else { "" };
        tokio::fs::write(&draft, format!("{CONFIG}{ssh}"))
            .await
            .map_err(SourceError::io(self.unwritable()))?;
        tokio::fs::rename(&draft, &path)
            .await
            .map_err(SourceError::io(self.unwritable()))?;
        Ok(path)
    }

    async fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        arguments: I,
    ) -> Result<Command> {
        let mut command = Command::new("git");
        harden(&mut command, &self.config().await?);
        command.current_dir(&self.cache).args(arguments);
        Ok(command)
    }

    /// Runs what needs no server.
    async fn git<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        arguments: I,
        index: Option<&Path>,
    ) -> Result<Output> {
        let mut command = self.command(arguments).await?;
        if let Some(index) = index {
            command.env("GIT_INDEX_FILE", index);
        }
        // It is never closed.
        let _turn = self.runs.acquire().await;
        run(command, self.bounds())
            .await
            .map_err(SourceError::process("git failed"))
    }

    /// Runs what asks the server of `url`, when it is its turn there.
    async fn ask(&self, url: &str, arguments: Vec<&OsStr>) -> Result<Output> {
        let Some(host) = host_of(url) else {
            return self.git(arguments, None).await;
        };
        let silent = |reason: String| SourceError::Unreachable {
            url: without_credentials(url),
            reason,
        };
        // A fetch may take long because there is much to fetch.
        let is_short = arguments.first() == Some(&OsStr::new("ls-remote"));
        let command = self.command(arguments).await?;
        let turn = self.hosts.turn(host).await.map_err(silent)?;
        let began = Instant::now();
        let result = run(command, self.bounds()).await;
        let silence = match &result {
            Err(error @ ProcessError::TimedOut { .. }) => Some(error.to_string()),
            Ok(output) if !output.success && began.elapsed() >= SILENCE => Some(reason(output)),
            _ => None,
        };
        match &silence {
            Some(reason) if is_short => turn.unanswered(reason),
            Some(_) => drop(turn),
            None => turn.answered(),
        }
        match (result, silence) {
            (Err(_), Some(reason)) => Err(silent(reason)),
            (result, _) => result.map_err(SourceError::process("git failed")),
        }
    }

    /// The full commit that `revision` names now: `HEAD`, a branch, a tag, a full ref, a commit.
    pub async fn resolve(&self, url: &str, revision: &str) -> Result<String> {
        check_url(url)?;
        let revision = revision.trim();
        if is_commit(revision, 40..=64) {
            return Ok(revision.to_lowercase());
        }
        if !is_ref_name(revision) {
            let (url, revision) = (without_credentials(url), revision.to_owned());
            return Err(SourceError::BadRevision { url, revision });
        }
        let wanted: Vec<String> = if revision == "HEAD" || revision.starts_with("refs/") {
            vec![format!("{revision}^{{}}"), revision.to_owned()]
        } else {
            // A branch goes before a tag of the same name; of a tag what it points to, not itself.
            vec![
                format!("refs/heads/{revision}"),
                format!("refs/tags/{revision}^{{}}"),
                format!("refs/tags/{revision}"),
            ]
        };
        let mut arguments = vec![OsStr::new("ls-remote"), OsStr::new("--"), OsStr::new(url)];
        arguments.extend(wanted.iter().map(OsStr::new));
        let output = self.ask(url, arguments).await?;
        if !output.success {
            return Err(unreachable(url, &output));
        }
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = wanted.iter().find_map(|name| {
            listed
                .lines()
                .filter_map(|line| line.split_once('\t'))
                .find(|(_, found)| found == name)
        });
        match found {
            Some((commit, _)) => Ok(commit.to_owned()),
            None if revision == "HEAD" => Err(SourceError::Empty {
                url: without_credentials(url),
            }),
            None if is_commit(revision, 4..=39) => self.resolve_short(url, revision).await,
            None => Err(no_such_revision(url, revision)),
        }
    }

    /// A commit by its first digits: only a mirror with all commits can tell.
    async fn resolve_short(&self, url: &str, revision: &str) -> Result<String> {
        let mirror = self.mirror(url).await?;
        let lock = self.lock(&mirror);
        let _held = lock.lock().await;
        for fetched in [false, true] {
            if fetched {
                self.fetch_all(url, &mirror).await?;
            }
            let name = format!("{revision}^{{commit}}");
            let output = self
                .in_mirror(&mirror, ["rev-parse", "--verify", "--quiet", &name])
                .await?;
            if output.success {
                return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
            }
        }
        Err(no_such_revision(url, revision))
    }

    async fn in_mirror<const N: usize>(
        &self,
        mirror: &Path,
        arguments: [&str; N],
    ) -> Result<Output> {
        let mut all: Vec<&OsStr> = vec![OsStr::new("--git-dir"), mirror.as_os_str()];
        all.extend(arguments.iter().map(OsStr::new));
        self.git(all, None).await
    }

    /// The mirror of a URL, made if it is not there.
    async fn mirror(&self, url: &str) -> Result<PathBuf> {
        check_url(url)?;
        let mut name = String::new();
        for byte in &Sha256::digest(url.as_bytes())[..16] {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        let mirror = self.cache.join("repositories").join(name);
        let lock = self.lock(&mirror);
        let _held = lock.lock().await;
        // Made last by `git init`, so a mirror that has it is complete.
        if tokio::fs::metadata(mirror.join("objects/info"))
            .await
            .is_ok()
        {
            return Ok(mirror);
        }
        clean(&mirror).await?;
        let arguments = ["init", "--quiet", "--bare", "--template="].map(OsStr::new);
        let output = self
            .git(arguments.into_iter().chain([mirror.as_os_str()]), None)
            .await?;
        if !output.success {
            return Err(unreachable(url, &output));
        }
        Ok(mirror)
    }

    fn lock(&self, mirror: &Path) -> Arc<AsyncMutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.entry(mirror.to_owned()).or_default().clone()
    }

    /// Makes sure that a commit is in the mirror.
    async fn ensure(&self, url: &str, commit: &str) -> Result<PathBuf> {
        let mirror = self.mirror(url).await?;
        let lock = self.lock(&mirror);
        let _held = lock.lock().await;
        let object = format!("{commit}^{{commit}}");
        if self
            .in_mirror(&mirror, ["cat-file", "-e", &object])
            .await?
            .success
        {
            return Ok(mirror);
        }
        let kept = format!("+{commit}:refs/weir/{commit}");
        let alone = ["--no-tags", "--depth=1", "--", url, &kept];
        if !self.fetch(url, &mirror, &alone).await?.success {
            self.fetch_all(url, &mirror).await?;
            let name = format!("refs/weir/{commit}");
            if !self
                .in_mirror(&mirror, ["update-ref", &name, &object])
                .await?
                .success
            {
                return Err(no_such_revision(url, commit));
            }
        }
        Ok(mirror)
    }

    async fn fetch_all(&self, url: &str, mirror: &Path) -> Result<()> {
        let everything = [
            "--force",
            "--prune",
            // As much as there is, also where the mirror has single commits so far.
            "--depth=2147483647",
            "--",
            url,
            "+refs/heads/*:refs/remotes/origin/*",
            "+refs/tags/*:refs/tags/*",
        ];
        let output = self.fetch(url, mirror, &everything).await?;
        if output.success {
            Ok(())
        } else {
            Err(unreachable(url, &output))
        }
    }

    /// Fetches into a mirror whose lock is held: whatever git left there is nobody's.
    async fn fetch(&self, url: &str, mirror: &Path, arguments: &[&str]) -> Result<Output> {
        clean(mirror).await?;
        let mut all = vec![OsStr::new("--git-dir"), mirror.as_os_str()];
        all.extend(["fetch", "--quiet"].map(OsStr::new));
        all.extend(arguments.iter().map(OsStr::new));
        self.ask(url, all).await
    }

    /// Author, date and subject of a commit.
    pub async fn commit(&self, url: &str, commit: &str) -> Result<Commit> {
        let mirror = self.ensure(url, commit).await?;
        let format = "--format=%an%n%cI%n%s";
        let output = self
            .in_mirror(&mirror, ["show", "--no-patch", format, commit])
            .await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        let author = lines.next().unwrap_or_default().to_owned();
        let date = lines.next().and_then(|date| date.parse().ok());
        match date {
            Some(date) => Ok(Commit {
                author,
                date,
                subject: lines.next().unwrap_or_default().to_owned(),
            }),
            None => Err(unreachable(url, &output)),
        }
    }

    /// Writes the tree of a commit into the empty folder `into`. A tree that is too large, or that
    /// has links which lead out of it, is refused.
    pub async fn checkout(&self, url: &str, commit: &str, into: &Path) -> Result<()> {
        let mirror = self.ensure(url, commit).await?;
        self.check_size(url, commit, &mirror).await?;
        let index = self.scratch("index-").await?;
        let index_file = index.path().join("index");
        let place = [
            OsStr::new("-C"),
            into.as_os_str(),
            OsStr::new("--git-dir"),
            mirror.as_os_str(),
            OsStr::new("--work-tree"),
            into.as_os_str(),
        ];
        for step in [
            ["read-tree", commit].as_slice(),
            ["checkout-index", "--all", "--force", "--quiet"].as_slice(),
        ] {
            let arguments = place.into_iter().chain(step.iter().map(OsStr::new));
            let output = self.git(arguments, Some(&index_file)).await?;
            if !output.success {
                return Err(unreachable(url, &output));
            }
        }
        let root = into.to_owned();
        let problem = blocking(move || tree::link_that_leads_out(&root)).await?;
        match problem {
            None => Ok(()),
            Some(link) => Err(SourceError::Tree {
                url: without_credentials(url),
                revision: short(commit).to_owned(),
                problem: format!("the link '{link}' leads out of the repository"),
            }),
        }
    }

    async fn check_size(&self, url: &str, commit: &str, mirror: &Path) -> Result<()> {
        let output = self
            .in_mirror(mirror, ["ls-tree", "-r", "-l", "-z", "--full-tree", commit])
            .await?;
        if !output.success {
            return Err(unreachable(url, &output));
        }
        let (mut files, mut bytes) = (0_usize, 0_u64);
        for entry in output
            .stdout
            .split(|byte| *byte == 0)
            .filter(|entry| !entry.is_empty())
        {
            let entry = String::from_utf8_lossy(entry);
            let head = entry.split('\t').next().unwrap_or_default();
            let size = head
                .split_whitespace()
                .nth(3)
                .and_then(|size| size.parse().ok());
            files += 1;
            bytes = bytes.saturating_add(size.unwrap_or(0));
        }
        let problem = if files > self.limits.tree_files_max {
            format!(
                "{files} files are more than the {} that are allowed",
                self.limits.tree_files_max
            )
        } else if bytes > self.limits.tree_bytes_max {
            format!(
                "{bytes} bytes are more than the {} that are allowed",
                self.limits.tree_bytes_max
            )
        } else {
            return Ok(());
        };
        let (url, revision) = (without_credentials(url), short(commit).to_owned());
        Err(SourceError::Tree {
            url,
            revision,
            problem,
        })
    }
}

async fn clean(mirror: &Path) -> Result<()> {
    let mirror = mirror.to_owned();
    blocking(move || {
        leftovers::remove(&mirror);
        Ok(())
    })
    .await
}

/// Runs file work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(SourceError::Io {
            what: "reading the repository failed".to_owned(),
            source: std::io::Error::other(error),
        }),
    }
}

pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

fn is_commit(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether git would take it as a ref, and `ls-remote` as nothing but one.
fn is_ref_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 250
        && !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.contains("..")
        && !text.contains("@{")
        && !text
            .contains(|c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\<>=".contains(c))
}

/// Repositories that git may be asked for: by URL, by `host:path`, or by an absolute path.
fn check_url(url: &str) -> Result<()> {
    let bad = |problem: &str| {
        Err(SourceError::Url(format!(
            "repository '{}': {problem}",
            without_credentials(url)
        )))
    };
    if url.is_empty() {
        return bad("there is no URL");
    }
    if url.starts_with('-') || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return bad("this is no URL");
    }
    match url.split_once("://") {
        Some(("file" | "git" | "http" | "https" | "ssh", _)) => Ok(()),
        Some(_) => bad("only https, http, ssh, git and file are supported"),
        None if url.starts_with('/') => Ok(()),
        None if url.contains("::") => bad("this is no URL"),
        None => match url.split_once(':') {
            Some((host, _)) if !host.contains('/') && !host.is_empty() => Ok(()),
            _ => bad("a path must be absolute"),
        },
    }
}

fn no_such_revision(url: &str, revision: &str) -> SourceError {
    SourceError::NoSuchRevision {
        url: without_credentials(url),
        revision: revision.to_owned(),
    }
}

fn unreachable(url: &str, output: &Output) -> SourceError {
    SourceError::Unreachable {
        url: without_credentials(url),
        reason: reason(output),
    }
}

/// The one line of what git says that says something.
fn reason(output: &Output) -> String {
    let text = without_credentials(&output.stderr);
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("fatal:") || line.starts_with("error:"))
        .or_else(|| text.lines().map(str::trim).rfind(|line| !line.is_empty()))
        .unwrap_or("git gives no reason");
    line.trim_start_matches("fatal:")
        .trim_start_matches("error:")
        .trim()
        .to_owned()
}
