//! Errors with their place, printed as Go's expr prints them.

use std::fmt;

/// Which step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Lexer, parser or checker.
    Compile,
    /// Evaluation.
    Run,
}

/// What is wrong with a program, with the place. `Display` gives the message, `(line:column)`, the
/// source line and a caret under it, as Go's expr prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub stage: Stage,
    /// Without the place.
    pub message: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The source line; empty when there is nothing to show, and then `Display` gives only the
    /// message.
    pub snippet: String,
}

/// A message at a character offset, before the source is at hand to say which line that is.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl Error {
    pub(crate) fn bind(fault: Fault, stage: Stage, source: &str) -> Self {
        let mut line = 1;
        let mut column = 1;
        let mut text = String::new();
        for (index, c) in source.chars().enumerate() {
            if index == fault.at {
                break;
            }
            if c == '\n' {
                line += 1;
                column = 1;
            } else {
                column += 1;
            }
        }
        if let Some(found) = source.split('\n').nth(line - 1) {
            text = found.replace('\t', " ");
        }
        Self {
            stage,
            message: fault.message,
            line,
            column,
            snippet: text,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.snippet.is_empty() {
            return Ok(());
        }
        let dots = ".".repeat(self.column - 1);
        write!(
            f,
            " ({}:{})\n | {}\n | {dots}^",
            self.line, self.column, self.snippet
        )
    }
}

impl std::error::Error for Error {}
