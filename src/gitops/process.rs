//! Runs programs: with a deadline, a bound on their output, and no way to ask anybody anything.
//! Each is the leader of a process group, and ends with all of it: `git` has others do the
//! transfer.

use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// What a program may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub timeout: Duration,
    /// Bytes of standard output.
    pub output_max: usize,
}

/// Bytes of standard error that are kept; the rest is read and dropped.
const STDERR_MAX: usize = 64 * 1024;
/// How long a program that is out of time may take to clean up.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Output {
    pub success: bool,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("{program} is not installed")]
    Missing { program: String },
    #[error("{program} did not end within {seconds} s")]
    TimedOut { program: String, seconds: u64 },
    #[error("{program} printed more than {bytes} bytes")]
    TooMuchOutput { program: String, bytes: usize },
    #[error("{program} can't be run")]
    Io {
        program: String,
        #[source]
        source: std::io::Error,
    },
}

/// Runs a command to its end. Dropping the future kills the process and what it has started.
pub async fn run(command: Command, bounds: Bounds) -> Result<Output, ProcessError> {
    run_with(command, Stdio::null(), bounds).await
}

/// The same with something to read.
pub async fn run_with(
    mut command: Command,
    stdin: Stdio,
    bounds: Bounds,
) -> Result<Output, ProcessError> {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let io = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => ProcessError::Missing {
            program: program.clone(),
        },
        _ => ProcessError::Io {
            program: program.clone(),
            source,
        },
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(&io)?;
    let mut group = Group::of(&child);
    // Tests run on tokio's paused clock, which jumps ahead whenever all tasks wait, as they do
    // while a process works. It stands still while a blocking task is there, so this is one.
    let (hold, held) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || {
        // Ends with an error when `hold` is dropped, which is what it waits for.
        let _ = held.recv();
    });
    // Open until it has ended: who says something as it is asked to end must not die of that.
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let leader = async {
        let status = child.wait().await;
        // What it has left behind does nothing that is waited for, and may hold the pipes open.
        group.kill();
        status.map_err(Stop::Io)
    };
    let work = async {
        tokio::try_join!(
            read(stdout.as_mut(), bounds.output_max, Beyond::Stop),
            read(stderr.as_mut(), STDERR_MAX, Beyond::Drop),
            leader,
        )
    };
    let done = tokio::time::timeout(bounds.timeout, work).await;
    let (stdout, stderr, status) = match done {
        Ok(Ok(all)) => all,
        Ok(Err(Stop::Io(source))) => return Err(io(source)),
        Ok(Err(Stop::TooMuch)) => {
            end(&mut child, &mut group).await;
            let bytes = bounds.output_max;
            return Err(ProcessError::TooMuchOutput { program, bytes });
        }
        Err(_) => {
            end(&mut child, &mut group).await;
            let seconds = bounds.timeout.as_secs();
            return Err(ProcessError::TimedOut { program, seconds });
        }
    };
    drop(hold);
    Ok(Output {
        success: status.success(),
        stdout,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// Ends a program that is out of time, or prints without end. It is asked first: git then removes
/// its locks.
async fn end(child: &mut Child, group: &mut Group) {
    group.ask();
    // Whether it did as asked makes no difference to what comes next.
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
    group.kill();
    // Seldom longer than a moment; one that hangs in the kernel is collected when it comes back.
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
}

/// The processes of a program: its own, and those it has started. They end with this value.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    /// The group that `child` leads.
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn ask(&self) {
        if let Some(leader) = self.0 {
            // That there is nobody any more is what is wanted.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }

    /// Once: after the leader is collected and the others are killed its number may be used again.
    fn kill(&mut self) {
        if let Some(leader) = self.0.take() {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Why reading has ended before its end.
#[derive(Debug)]
enum Stop {
    Io(std::io::Error),
    TooMuch,
}

/// What is done with what is more than may be kept.
#[derive(Clone, Copy, Debug)]
enum Beyond {
    /// It is read all the same, so that the writer is never blocked.
    Drop,
    /// There is no use in going on.
    Stop,
}

/// Reads to the end and keeps the first `max` bytes.
async fn read(
    from: Option<impl AsyncRead + Unpin>,
    max: usize,
    beyond: Beyond,
) -> Result<Vec<u8>, Stop> {
    let mut kept = Vec::new();
    let Some(mut from) = from else {
        return Ok(kept);
    };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await.map_err(Stop::Io)?;
        if count == 0 {
            return Ok(kept);
        }
        let room = max.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&buffer[..room]);
        if room < count && matches!(beyond, Beyond::Stop) {
            return Err(Stop::TooMuch);
        }
    }
}

/// Removes what could be a credential: `user:password@` of URLs.
pub fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        rest = &after[user_length(after)..];
    }
    out.push_str(rest);
    out
}

/// How much of what comes after `://` says who asks. In doubt that is more: a password may have
/// characters that have no place in a URL.
pub(super) fn user_length(after: &str) -> usize {
    let is_end = |c: char| c.is_whitespace() || c == '/' || c == '?' || c == '#';
    let authority = &after[..after.find(is_end).unwrap_or(after.len())];
    if let Some(at) = authority.rfind('@') {
        return at + 1;
    }
    // What is behind the colon would be a port, if it were not a password with a slash.
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || port.ends_with(']');
    if is_port {
        return 0;
    }
    let word = &after[..after.find(char::is_whitespace).unwrap_or(after.len())];
    word.rfind('@').map_or(0, |at| at + 1)
}

/// Without how long it took until something failed. All else is the same each time, and what is the
/// same as before need not be told again.
pub fn without_times(text: &str) -> String {
    const AFTER: &str = " after ";
    let mut parts = text.split(AFTER);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        match rest.strip_prefix(" ms") {
            Some(rest) if !part.starts_with(' ') => out.push_str(rest),
            _ => out.extend([AFTER, part]),
        }
    }
    out
}

/// Of the variables that git reads, those by which an operator says how servers are reached.
const OF_GIT: [&str; 8] = [
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
    "GIT_SSL_NO_VERIFY",
];

/// What else a program needs to be found, and to find servers and who we are to them.
const OF_SYSTEM: [&str; 17] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Of our environment a program gets nothing but what it needs: a renderer may show whatever it
/// finds there. Before [`harden`].
pub fn confine(command: &mut Command) {
    command.env_clear();
    for name in OF_SYSTEM.iter().chain(&OF_GIT) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// Git, and tools that may run it, must ask nobody, run no hooks, and follow no configuration but
/// the one at `config`. What identifies the user to servers (ssh agent, proxies) is inherited.
pub fn harden(command: &mut Command, config: &std::path::Path) {
    // There are many that make git do or show something else, and more with each version of it.
    for (name, _) in std::env::vars_os() {
        let is_read = name.as_encoded_bytes().starts_with(b"GIT_");
        if is_read && !OF_GIT.iter().any(|kept| name == *kept) {
            command.env_remove(&name);
        }
    }
    // A repository further up would be anybody's, and its configuration as well.
    if let Some(above) = config.parent().and_then(std::path::Path::parent) {
        command.env("GIT_CEILING_DIRECTORIES", above);
    }
    command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "true")
        .env("SSH_ASKPASS", "true")
        .env("SSH_ASKPASS_REQUIRE", "never")
        .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", config)
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_LFS_SKIP_SMUDGE", "1")
        .env("LC_ALL", "C");
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(
        script: &str,
        folder: &std::path::Path,
        millis: u64,
    ) -> Result<Output, ProcessError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder);
        let bounds = Bounds {
            timeout: Duration::from_millis(millis),
            output_max: 1024,
        };
        run(command, bounds).await
    }

    /// Whether it has ended: gone, or for its parent to collect.
    fn has_ended(pid: &str) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state comes after the name, which is in brackets.
        let state = state.rsplit(')').next().unwrap_or_default().trim_start();
        state.is_empty() || state.starts_with(['Z', 'X'])
    }

    async fn assert_ends(pid: &str) {
        for _ in 0..500 {
            if has_ended(pid) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("process {pid} goes on");
    }

    #[tokio::test]
    async fn what_a_program_has_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sleep 600 & echo $! > pid; wait";
        let error = shell(script, folder.path(), 1_000).await.unwrap_err();
        assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        assert_ends(pid.trim()).await;
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sleep 600 & echo $!";
        let output = shell(script, folder.path(), 60_000).await.unwrap();
        assert!(output.success);
        assert_ends(String::from_utf8(output.stdout).unwrap().trim()).await;
    }

    #[tokio::test]
    async fn a_program_that_is_out_of_time_may_clean_up() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap 'rm lock; touch cleaned; exit 1' TERM; touch lock; \
                      while :; do sleep 0.05; done";
        let error = shell(script, folder.path(), 1_000).await.unwrap_err();
        assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
        assert!(!folder.path().join("lock").exists());
        assert!(folder.path().join("cleaned").exists());
    }

    #[tokio::test]
    async fn one_that_does_not_do_as_it_is_asked_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done";
        shell(script, folder.path(), 1_000).await.unwrap_err();
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        assert_ends(pid.trim()).await;
    }

    #[tokio::test]
    async fn a_program_that_prints_without_end_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let began = std::time::Instant::now();
        let script = "while :; do echo 0123456789012345678901234567890123456789; done";
        let error = shell(script, folder.path(), 60_000).await.unwrap_err();
        assert_eq!(error.to_string(), "sh printed more than 1024 bytes");
        assert!(began.elapsed() < Duration::from_secs(30));
        let complaints = "i=0; while [ $i -lt 9000 ]; do echo 0123456789 >&2; i=$((i+1)); done";
        let output = shell(complaints, folder.path(), 60_000).await.unwrap();
        assert!(output.success);
        assert_eq!(output.stderr.len(), STDERR_MAX);
    }

    #[tokio::test]
    async fn a_program_reads_what_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("said");
        std::fs::write(&path, "hello").unwrap();
        let bounds = Bounds {
            timeout: Duration::from_mins(1),
            output_max: 1024,
        };
        let stdin = std::fs::File::open(path).unwrap().into();
        let output = run_with(Command::new("cat"), stdin, bounds).await.unwrap();
        assert_eq!(output.stdout, b"hello");
    }

    #[test]
    fn who_asks_is_not_told() {
        for (text, told) in [
            ("https://git.example/a", "https://git.example/a"),
            ("https://ann:hunter2@git.example/a", "https://git.example/a"),
            (
                "https://hunter2@git.example:8443/a",
                "https://git.example:8443/a",
            ),
            ("ssh://git@git.example/a@v1", "ssh://git.example/a@v1"),
            ("https://git.example/a@v1", "https://git.example/a@v1"),
            (
                "https://git.example:8443/a@v1",
                "https://git.example:8443/a@v1",
            ),
            ("https://[::1]/a@v1", "https://[::1]/a@v1"),
            ("https://[::1]:8443/a@v1", "https://[::1]:8443/a@v1"),
            // Not as it should be written, and a password all the same.
            (
                "https://ann:hun/ter2@git.example/a",
                "https://git.example/a",
            ),
            (
                "https://ann:hun'ter2@git.example/a",
                "https://git.example/a",
            ),
            (
                "https://ann:hun@ter2@git.example/a",
                "https://git.example/a",
            ),
            (
                "unable to access 'https://ann:hunter2@git.example/a/': git@x has no key",
                "unable to access 'https://git.example/a/': git@x has no key",
            ),
            (
                "from 'https://git.example': ann@git.example is not known",
                "from 'https://git.example': ann@git.example is not known",
            ),
            ("http://a:b@c http://d:e@f", "http://c http://f"),
            ("://", "://"),
        ] {
            assert_eq!(without_credentials(text), told);
        }
    }

    #[test]
    fn how_long_it_took_is_not_told() {
        for (text, told) in [
            (
                "can't connect to x port 9 after 12 ms: no; y after 3 ms",
                "can't connect to x port 9: no; y",
            ),
            ("ends after all", "ends after all"),
            (
                "ends after 12 tries after  ms",
                "ends after 12 tries after  ms",
            ),
            ("", ""),
        ] {
            assert_eq!(without_times(text), told);
        }
    }

    #[tokio::test]
    async fn a_confined_program_sees_nothing_of_ours() {
        // What the tests are run with is in our environment.
        assert!(std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
        let mut command = Command::new("env");
        confine(&mut command);
        harden(&mut command, std::path::Path::new("/dev/null"));
        let bounds = Bounds {
            timeout: Duration::from_mins(1),
            output_max: 1024 * 1024,
        };
        let output = run(command, bounds).await.unwrap();
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(seen.contains("PATH=") && seen.contains("GIT_CONFIG_GLOBAL=/dev/null"));
        assert!(!seen.contains("CARGO"), "{seen}");
    }
}
