//! How much of a line fits on the terminal.

/// Columns and rows of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// Where the text of a note begins, after the time of day.
const INDENT: usize = 10;

impl Size {
    /// As it is now: the user may have pulled the window larger. 80 by 24 if nobody knows.
    pub(super) fn of_terminal() -> Self {
        let (columns, rows) = terminal_size::terminal_size().map_or((80, 24), |(width, height)| {
            (width.0.into(), height.0.into())
        });
        Self { columns, rows }
    }

    /// The width of a bar of traffic: what the other columns of its line leave, within reason.
    pub(super) fn bar(self) -> usize {
        self.columns.saturating_sub(62).clamp(10, 40)
    }
}

/// The first `columns` characters of a line. Escape sequences take no room and are all kept.
pub(super) fn clip(line: &str, columns: usize) -> String {
    let mut clipped = String::with_capacity(line.len());
    let (mut shown, mut escaped) = (0, false);
    for character in line.chars() {
        if character == '\u{1b}' {
            escaped = true;
        }
        if escaped {
            clipped.push(character);
            // The one kind of sequence in a picture ends with the m of its style.
            escaped = character != 'm';
        } else if shown < columns {
            clipped.push(character);
            shown += 1;
        }
    }
    clipped
}

/// A note on as many lines as it needs, broken between words.
pub(super) fn wrap(clock: &str, text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let extra = text.len() - text.trim_start().len();
    let mut line = format!("{clock}  {}", " ".repeat(extra));
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let room = columns.saturating_sub(line.chars().count());
        if !is_empty && word.chars().count() + 1 > room {
            lines.push(std::mem::replace(&mut line, " ".repeat(INDENT + extra + 2)));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_counts_what_is_seen() {
        assert_eq!(
            clip("\u{1b}[1mabcdef\u{1b}[0m", 4),
            "\u{1b}[1mabcd\u{1b}[0m"
        );
        assert_eq!(clip("●●●", 2), "●●");
        assert_eq!(clip("short", 80), "short");
    }

    #[test]
    fn notes_are_broken_between_words() {
        let lines = wrap("12:00:00", "  one two three", 19);
        assert_eq!(lines, ["12:00:00    one two", "              three"]);
        assert_eq!(wrap("12:00:00", "", 80), ["12:00:00  "]);
    }

    #[test]
    fn bars_leave_room_for_the_rest_of_their_line() {
        assert_eq!(
            Size {
                columns: 80,
                rows: 24
            }
            .bar(),
            18
        );
        assert_eq!(
            Size {
                columns: 20,
                rows: 5
            }
            .bar(),
            10
        );
        assert_eq!(
            Size {
                columns: 400,
                rows: 90
            }
            .bar(),
            40
        );
    }
}
