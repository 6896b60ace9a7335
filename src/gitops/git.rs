//! Running `git`: with a configuration of our own, a few at a time for each server, in a folder
//! that is ours. What is kept of repositories is in `mirrors.rs`.

use super::disk::Scratch;
use super::error::{Result, SourceError};
use super::hosts::{Caller, Hosts, host_of};
use super::login::Login;
use super::mirrors::Mirrors;
use super::process::{
    Bounds, Output, ProcessError, harden, run, run_with, without_credentials, without_times,
};
use super::ranges::Range;
use super::source::Builds;
use super::url::{bad_url, check_url, is_commit, is_ref_name, local_path};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};
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
    /// Bytes that all trees take that are on disk at a time. What has no room waits for it.
    pub trees_bytes_max: u64,
    /// Bytes that the mirror of one repository may take.
    pub mirror_bytes_max: u64,
    /// Bytes that all mirrors may take; those that were asked for longest ago go first.
    pub mirrors_bytes_max: u64,
    /// Commits, the newest, that are kept of each repository beside those that are in use.
    pub commits_max: usize,
    /// Bytes that a program may print.
    pub output_max: usize,
}

const MIB: u64 = 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(90),
            tree_bytes_max: 512 * MIB,
            tree_files_max: 100_000,
            trees_bytes_max: 1024 * MIB,
            mirror_bytes_max: 4 * 1024 * MIB,
            mirrors_bytes_max: 8 * 1024 * MIB,
            commits_max: 256,
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
    pub(super) mirrors: Mirrors,
    /// Turns of what needs no server.
    runs: Semaphore,
    /// Turns of renderers.
    pub(super) builds: Builds,
    hosts: Hosts,
}

/// The configuration in place of the system's and the user's. A repository on this machine may
/// belong to somebody else: nothing of its configuration is run (no hooks, no filters). A transfer
/// is given up when there is nothing at all for [`SILENCE`]: a server that packs a large repository
/// says little more than that it is there. A large file is passed on, never held in memory as a
/// whole.
///
/// `git submodule`, which Kustomize runs for each remote base, is a script for a shell. Where it is
/// not installed, as in our image, the alias holds: what the script runs is a part of git itself.
const CONFIG: &str = "\
[safe]
\tdirectory = *
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tbigFileThreshold = 16m
[http]
\tlowSpeedLimit = 1
\tlowSpeedTime = 60
[protocol]
\tversion = 2
[fetch]
\trecurseSubmodules = false
[submodule]
\trecurse = false
[gc]
\tauto = 0
[advice]
\tdetachedHead = false
[init]
\tdefaultBranch = main
[alias]
\tsubmodule = submodule--helper
";

/// Nobody is there to be asked for a password.
const BATCH: &str = "[core]\n\tsshCommand = ssh -o BatchMode=yes\n";

/// What fails only after so long has had no answer, whatever git makes of that.
const SILENCE: Duration = Duration::from_mins(1);

/// Programs at a time: a process that begins to lead has all repositories to look at at once.
const RUNS_MAX: usize = 8;

/// Where in the cache directory there is what is needed for a moment.
const SCRATCH: &str = "scratch";
const MIRRORS: &str = "repositories";

impl Git {
    pub fn new(cache: impl Into<PathBuf>, limits: Limits) -> Self {
        let cache = cache.into();
        // Git runs in other folders than ours.
        let cache = std::path::absolute(&cache).unwrap_or(cache);
        Self {
            mirrors: Mirrors::new(cache.join(MIRRORS)),
            cache,
            limits,
            opened: OnceCell::new(),
            runs: Semaphore::new(RUNS_MAX),
            builds: Builds::new(),
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

    /// Makes a folder of the cache directory, for nobody else to look into: repositories may be
    /// private.
    pub(super) async fn folder(&self, path: &Path) -> Result<()> {
        let mut folder = tokio::fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        let done = folder.create(path).await;
        done.map_err(SourceError::io(self.unwritable()))
    }

    fn unwritable(&self) -> String {
        let cache = self.cache.display();
        format!("the cache directory {cache} can't be written")
    }

    /// A new folder for what is needed for a moment.
    pub(super) async fn scratch(&self, prefix: &str) -> Result<Scratch> {
        self.opened.get_or_init(|| self.open()).await;
        let folder = self.cache.join(SCRATCH);
        self.folder(&folder).await?;
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(&folder);
        folder
            .map(Scratch::new)
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
        // With arguments, git runs it through a shell. Where there is none, in our image, the
        // configuration of ssh says the same.
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

    pub(super) async fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        arguments: I,
    ) -> Result<Command> {
        let mut command = Command::new("git");
        harden(&mut command, &self.config().await?);
        command.current_dir(&self.cache).args(arguments);
        Ok(command)
    }

    /// Runs what needs no server.
    pub(super) async fn run(&self, command: Command, stdin: Stdio) -> Result<Output> {
        self.run_within(self.bounds(), command, stdin).await
    }

    async fn run_within(&self, bounds: Bounds, command: Command, stdin: Stdio) -> Result<Output> {
        // It is never closed.
        let _turn = self.runs.acquire().await;
        run_with(command, stdin, bounds)
            .await
            .map_err(SourceError::process("git failed"))
    }

    /// Runs `git` on a mirror.
    pub(super) async fn in_mirror<const N: usize>(
        &self,
        mirror: &Path,
        arguments: [&str; N],
    ) -> Result<Output> {
        self.in_mirror_within(self.bounds(), mirror, arguments)
            .await
    }

    /// The same with bounds of its own.
    pub(super) async fn in_mirror_within<const N: usize>(
        &self,
        bounds: Bounds,
        mirror: &Path,
        arguments: [&str; N],
    ) -> Result<Output> {
        let place = [OsStr::new("--git-dir"), mirror.as_os_str()];
        let all = place.into_iter().chain(arguments.iter().map(OsStr::new));
        let command = self.command(all).await?;
        self.run_within(bounds, command, Stdio::null()).await
    }

    /// The command that asks the server of `url`, which is one of the arguments. Whoever looks at
    /// the process sees no password.
    pub(super) async fn asking(
        &self,
        url: &str,
        login: &Login,
        arguments: Vec<&OsStr>,
    ) -> Result<Command> {
        let arguments = arguments.into_iter().map(|argument| {
            if argument == OsStr::new(url) {
                OsStr::new(&login.url)
            } else {
                argument
            }
        });
        let mut command = self.command(arguments).await?;
        command.envs(login.variables());
        Ok(command)
    }

    /// Runs what asks the server of `url`, when it is its turn there.
    pub(super) async fn ask(
        &self,
        url: &str,
        caller: Caller,
        arguments: Vec<&OsStr>,
    ) -> Result<Output> {
        let login = Login::of(url);
        let output = self.ask_as(&login, url, caller, arguments.clone()).await?;
        let Some(anonymous) = login.anonymous().filter(|_| !output.success) else {
            return Ok(output);
        };
        // What was said first is what whoever gave a token has to know.
        match self.ask_as(&anonymous, url, caller, arguments).await {
            Ok(second) if second.success => Ok(second),
            _ => Ok(output),
        }
    }

    async fn ask_as(
        &self,
        login: &Login,
        url: &str,
        caller: Caller,
        arguments: Vec<&OsStr>,
    ) -> Result<Output> {
        // A fetch may take long because there is much to fetch.
        let is_short = arguments.first() == Some(&OsStr::new("ls-remote"));
        let command = self.asking(url, login, arguments).await?;
        let Some(host) = host_of(&login.url) else {
            return self.run(command, Stdio::null()).await;
        };
        let silent = |reason: String| SourceError::Unreachable {
            url: without_credentials(url),
            reason,
        };
        let turn = self.hosts.turn(host, caller).await.map_err(silent)?;
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

    /// Refuses what git is not to be asked for. Our own folder is among that: it holds what others
    /// may read who ask for this repository, and not for those.
    pub(super) async fn check(&self, url: &str) -> Result<()> {
        check_url(url)?;
        let Some(path) = local_path(url) else {
            return Ok(());
        };
        let path = real_path(path).await;
        if path.starts_with(real_path(self.cache.clone()).await) {
            return Err(bad_url(
                url,
                "this is in the folder that the controller keeps for itself",
            ));
        }
        Ok(())
    }

    /// The full commit that `revision` names now: `HEAD`, a branch, a tag, a full ref, a commit, or
    /// the newest tag in a range of versions. What may be both is a range first, as for the peer.
    pub(super) async fn resolve(
        &self,
        url: &str,
        revision: &str,
        caller: Caller,
    ) -> Result<String> {
        self.check(url).await?;
        let revision = revision.trim();
        if is_commit(revision, 40..=64) {
            return Ok(revision.to_lowercase());
        }
        let range = Range::parse(revision);
        if let Some(range) = &range
            && let Some(commit) = self.newest_in(url, range, caller).await?
        {
            return Ok(commit);
        }
        if !is_ref_name(revision) {
            let (url, revision) = (without_credentials(url), revision.to_owned());
            return Err(if range.is_some() {
                SourceError::NoSuchVersion { url, revision }
            } else {
                SourceError::BadRevision { url, revision }
            });
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
        let output = self.ask(url, caller, arguments).await?;
        if !output.success {
            return Err(unreachable(url, &output));
        }
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = wanted.iter().find_map(|name| {
            listed
                .lines()
                .filter_map(|line| line.split_once('\t'))
                .find(|(commit, found)| found == name && is_commit(commit, 40..=64))
        });
        match found {
            Some((commit, _)) => Ok(commit.to_owned()),
            None if revision == "HEAD" => Err(SourceError::Empty {
                url: without_credentials(url),
            }),
            None if is_commit(revision, 4..=39) => self.resolve_short(url, revision, caller).await,
            None => Err(no_such_revision(url, revision)),
        }
    }

    /// The commit of the newest tag in a range; `None` if there is none in it.
    async fn newest_in(&self, url: &str, range: &Range, caller: Caller) -> Result<Option<String>> {
        let arguments = ["ls-remote", "--tags", "--", url].map(OsStr::new);
        let output = self.ask(url, caller, arguments.to_vec()).await?;
        if !output.success {
            return Err(unreachable(url, &output));
        }
        let listed = String::from_utf8_lossy(&output.stdout);
        let commit = range.newest(&listed);
        let commit = commit.filter(|commit| is_commit(commit, 40..=64));
        Ok(commit.map(str::to_owned))
    }
}

/// As it is with all links followed, where there is such a thing.
async fn real_path(path: PathBuf) -> PathBuf {
    tokio::fs::canonicalize(&path).await.unwrap_or(path)
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

pub(super) fn no_such_revision(url: &str, revision: &str) -> SourceError {
    SourceError::NoSuchRevision {
        url: without_credentials(url),
        revision: revision.to_owned(),
    }
}

pub(super) fn unreachable(url: &str, output: &Output) -> SourceError {
    SourceError::Unreachable {
        url: without_credentials(url),
        reason: reason(output),
    }
}

/// The one line of what git says that says something.
pub(super) fn reason(output: &Output) -> String {
    let text = without_times(&without_credentials(&output.stderr));
    let line = complaint(&text)
        .or_else(|| text.lines().map(str::trim).rfind(|line| !line.is_empty()))
        .unwrap_or("git gives no reason");
    line.trim_start_matches("fatal:")
        .trim_start_matches("error:")
        .trim()
        .to_owned()
}

/// The first line in which git says that something is wrong.
pub(super) fn complaint(stderr: &str) -> Option<&str> {
    let mut lines = stderr.lines().map(str::trim);
    lines.find(|line| line.starts_with("fatal:") || line.starts_with("error:"))
}
