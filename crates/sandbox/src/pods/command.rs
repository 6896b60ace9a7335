//! The command of a container as a process of this machine.

use std::process::Stdio;

use k8s_openapi::api::core::v1::Container;
use tokio::process::Command;

/// A program, its arguments and its environment.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Program {
    argv: Vec<String>,
    environment: Vec<(String, String)>,
}

/// An environment may hold secrets: only the program's name is shown.
impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("argv", &self.argv.first())
            .finish_non_exhaustive()
    }
}

/// The command could not be started, as a shell reports it.
const NOT_FOUND: i32 = 127;
/// Added to the number of the signal that ended a process.
const SIGNALLED: i32 = 128;

impl Program {
    /// `None` if the container leaves it to its image.
    pub(super) fn of(container: &Container) -> Option<Self> {
        let command = container
            .command
            .as_ref()
            .filter(|command| !command.is_empty())?;
        let arguments = container.args.iter().flatten();
        let environment = container.env.iter().flatten();
        Some(Self {
            argv: command.iter().chain(arguments).cloned().collect(),
            environment: environment
                .filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)))
                .collect(),
        })
    }

    /// Runs to its end and answers the exit code. Dropping the future kills the process.
    pub(super) async fn run(&self) -> i32 {
        let Some((program, arguments)) = self.argv.split_first() else {
            return NOT_FOUND;
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        match command.status().await {
            Ok(status) => status.code().unwrap_or_else(|| {
                use std::os::unix::process::ExitStatusExt as _;
                SIGNALLED + status.signal().unwrap_or(0)
            }),
            Err(error) => {
                tracing::debug!(%error, program, "command not started");
                NOT_FOUND
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(command: &[&str]) -> Program {
        let container = Container {
            command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            ..Container::default()
        };
        Program::of(&container).unwrap()
    }

    #[tokio::test]
    async fn a_command_ends_with_its_own_code() {
        assert_eq!(program(&["sh", "-c", "exit 42"]).run().await, 42);
        assert_eq!(program(&["true"]).run().await, 0);
        assert_eq!(program(&["/does/not/exist"]).run().await, 127);
        assert_eq!(program(&["sh", "-c", "kill -9 $$"]).run().await, 137);
    }

    #[test]
    fn without_a_command_the_image_decides() {
        assert_eq!(Program::of(&Container::default()), None);
    }
}
