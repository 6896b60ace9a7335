//! The explanation as a page of text.

use super::{Command, Explanation, Remedy, Teller, Wait};
use std::fmt::Write;

/// How programs are called.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// `weir`, `kubectl weir`.
    pub weir: &'a str,
}

impl Explanation {
    /// For a terminal; lines are not wrapped, so that names and commands can be copied.
    pub fn text(&self, names: Names<'_>) -> String {
        let mut text = format!("{}\n", self.summary);
        for arm in &self.arms {
            let _ = writeln!(text, "  {arm}");
        }
        if self.waits.is_empty() {
            text.push_str("\nIt waits for nothing.\n");
        } else {
            text.push_str("\nIt waits for\n");
        }
        for (index, wait) in self.waits.iter().enumerate() {
            self.wait(&mut text, index + 1, wait, names);
        }
        section(&mut text, "The controller decides now", &self.decisions);
        let title = "Not written yet (if this stays, no controller is at work, or the API server \
                     refuses it: weir check)";
        section(&mut text, title, &self.outstanding);
        let title = "The controller has warned of";
        section(&mut text, title, &self.warnings);
        for note in &self.notes {
            let _ = writeln!(text, "\nNote: {note}");
        }
        text
    }

    fn wait(&self, text: &mut String, number: usize, wait: &Wait, names: Names<'_>) {
        let _ = writeln!(text, "{number}. {}", wait.what);
        if let Some(times) = Teller::times(wait, self.now) {
            let _ = writeln!(text, "   {times}");
        }
        for detail in &wait.details {
            let _ = writeln!(text, "   - {detail}");
        }
        let commands: Vec<String> = wait
            .remedies
            .iter()
            .map(|remedy| self.command(remedy, names))
            .collect();
        let width = commands
            .iter()
            .map(|one| one.chars().count())
            .max()
            .unwrap_or(0);
        for (command, remedy) in commands.iter().zip(&wait.remedies) {
            let _ = writeln!(text, "   $ {command:width$}  # {}", remedy.effect);
        }
    }

    fn command(&self, remedy: &Remedy, names: Names<'_>) -> String {
        let (program, verb) = match &remedy.command {
            Command::Weir(verb) => (names.weir, verb),
            Command::Kubectl(verb) => ("kubectl", verb),
        };
        format!("{program} {verb} -n {}", self.namespace)
    }
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}
