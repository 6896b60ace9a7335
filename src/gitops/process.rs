//! Runs programs: with a deadline, a bound on their output, and no way to ask anybody anything. Each
//! is the leader of a process group, and ends with all of it: `git` has others do the transfer.

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
pub async fn run(mut command: Command, bounds: Bounds) -> Result<Output, ProcessError> {
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
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(&io)?;
    let mut group = Group::of(&child);
    // Tests run on tokio's paused clock, which jumps ahead whenever all tasks wait, as they do while
    // a process works. It stands still while a blocking task is there, so this is one.
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
        status
    };
    let work = async {
        let (stdout, stderr, status) = tokio::join!(
            read(stdout.as_mut(), bounds.output_max.saturating_add(1)),
            read(stderr.as_mut(), STDERR_MAX),
            leader,
        );
        Ok::<_, std::io::Error>((stdout?, stderr?, status?))
    };
    let done = tokio::time::timeout(bounds.timeout, work).await;
    let (stdout, stderr, status) = match done {
        Err(_) => {
            end(&mut child, &mut group).await;
            let seconds = bounds.timeout.as_secs();
            return Err(ProcessError::TimedOut { program, seconds });
        }
        Ok(result) => result.map_err(io)?,
    };
    drop(hold);
    if stdout.len() > bounds.output_max {
        return Err(ProcessError::TooMuchOutput {
            program,
            bytes: bounds.output_max,
        });
    }
    Ok(Output {
        success: status.success(),
        stdout,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// Ends a program that is out of time. It is asked first: git then removes its locks.
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

/// Reads to the end and keeps the first `max` bytes, so that the writer is never blocked.
async fn read(from: Option<impl AsyncRead + Unpin>, max: usize) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut from) = from else {
        return Ok(kept);
    };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(kept);
        }
        let room = max.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&buffer[..room]);
    }
}

/// Removes what could be a credential: `user:password@` of URLs.
pub fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c.is_whitespace() || c == '\'' || c == '"')
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        out.push_str(authority.rsplit('@').next().unwrap_or_default());
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Git, and tools that may run it, must ask nobody, run no hooks, and follow no configuration but
/// the one at `config`. What identifies the user to servers (ssh agent, proxies) is inherited.
pub fn harden(command: &mut Command, config: &std::path::Path) {
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_EXEC_PATH",
        "GIT_TEMPLATE_DIR",
        "GIT_EXTERNAL_DIFF",
        "GIT_PROXY_COMMAND",
        "GIT_TRACE",
        "GIT_TRACE_CURL",
        "GIT_CURL_VERBOSE",
    ] {
        command.env_remove(name);
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
}
