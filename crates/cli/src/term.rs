//! The terminal. Everything that the CLI writes goes through here.

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Standard output and standard error, with colors where they make sense: on a terminal, unless
/// `--no-color` or the environment say otherwise.
pub struct Term {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    redraws: bool,
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Term")
            .field("redraws", &self.redraws)
            .finish_non_exhaustive()
    }
}

impl Term {
    pub fn stdio(no_color: bool) -> Self {
        let choice = if no_color {
            ColorChoice::Never
        } else {
            ColorChoice::Auto
        };
        Self {
            redraws: io::stdout().is_terminal(),
            out: Box::new(AutoStream::new(io::stdout(), choice)),
            err: Box::new(AutoStream::new(io::stderr(), choice)),
        }
    }

    /// A terminal that remembers what was written, without colors.
    pub fn captured() -> (Self, Captured) {
        let captured = Captured::default();
        let (out, err) = (captured.out.clone(), captured.err.clone());
        (
            Self {
                out: Box::new(out),
                err: Box::new(err),
                redraws: false,
            },
            captured,
        )
    }

    /// Writes a line to standard output.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Writes text that brings its own line ends.
    pub(crate) fn text(&mut self, text: impl Display) -> io::Result<()> {
        write!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Writes a line to standard error.
    pub(crate) fn note(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.err, "{text}")
    }

    /// Shows a screen in place of the last one. Where there is no terminal it is written below.
    pub(crate) fn redraw(&mut self, screen: &str) -> io::Result<()> {
        if self.redraws {
            // Home, and clear. Not through the color filter: this is no color.
            let mut stdout = io::stdout();
            stdout.write_all(b"\x1b[H\x1b[2J")?;
            stdout.flush()?;
        }
        self.text(screen)
    }
}

/// What a captured [`Term`] wrote.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    out: Buffer,
    err: Buffer,
}

impl Captured {
    pub fn out(&self) -> String {
        self.out.text()
    }

    pub fn err(&self) -> String {
        self.err.text()
    }
}

#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        strip_str(&String::from_utf8_lossy(&bytes)).to_string()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
