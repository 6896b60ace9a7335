//! Runs programs: with a deadline, a bound on their output, and no way to ask anybody anything.

use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// What a program may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub timeout: Duration,
    /// Bytes of standard output.
    pub output_max: usize,
}

/// Bytes of standard error that are kept; the rest is read and dropped.
const STDERR_MAX: usize = 64 * 1024;

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

/// Runs a command to its end. Dropping the future kills the process.
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
        .kill_on_drop(true)
        .spawn()
        .map_err(&io)?;
    // Tests run on tokio's paused clock, which jumps ahead whenever all tasks wait, as they do while
    // a process works. It stands still while a blocking task is there, so this is one.
    let (hold, held) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || {
        // Ends with an error when `hold` is dropped, which is what it waits for.
        let _ = held.recv();
    });
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let work = async {
        let (stdout, stderr, status) = tokio::join!(
            read(stdout, bounds.output_max.saturating_add(1)),
            read(stderr, STDERR_MAX),
            child.wait(),
        );
        Ok::<_, std::io::Error>((stdout?, stderr?, status?))
    };
    let done = tokio::time::timeout(bounds.timeout, work).await;
    drop(hold);
    let (stdout, stderr, status) = match done {
        Err(_) => {
            let seconds = bounds.timeout.as_secs();
            return Err(ProcessError::TimedOut { program, seconds });
        }
        Ok(result) => result.map_err(io)?,
    };
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
