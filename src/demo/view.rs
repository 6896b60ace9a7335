//! Draws the demo: a live picture on a terminal, lines otherwise.

use super::frame::{Analysis, Arm, Frame, Note, Rollout};
use super::screen::{Size, clip, wrap};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use std::io::{self, Write};

/// How the demo is shown.
#[derive(Debug)]
pub(super) enum View {
    /// Redrawn in place.
    Live { notes: Vec<Note> },
    /// One line for each thing that happens.
    Plain { last: String },
}

impl View {
    pub(super) fn live() -> Self {
        Self::Live { notes: Vec::new() }
    }

    pub(super) fn plain() -> Self {
        Self::Plain {
            last: String::new(),
        }
    }

    /// Tells a line of the story.
    pub(super) fn note(&mut self, note: Note) -> io::Result<()> {
        match self {
            Self::Live { notes } => {
                notes.push(note);
                Ok(())
            }
            Self::Plain { .. } => writeln!(anstream::stdout(), "{}  {}", clock(&note), note.text),
        }
    }

    /// Shows the state of things.
    pub(super) fn show(
        &mut self,
        frame: &Frame,
        note: impl FnOnce(String) -> Note,
    ) -> io::Result<()> {
        match self {
            Self::Live { notes } => draw(&picture(frame, notes, Size::of_terminal())),
            Self::Plain { last } => {
                let line = line(frame);
                if line == *last {
                    return Ok(());
                }
                last.clone_from(&line);
                let note = note(line);
                writeln!(anstream::stdout(), "{}    {}", clock(&note), note.text)
            }
        }
    }

    /// Before the first picture.
    pub(super) fn open(&self) -> io::Result<()> {
        match self {
            // Hide the cursor, clear the screen.
            Self::Live { .. } => control("\x1b[?25l\x1b[H\x1b[2J"),
            Self::Plain { .. } => Ok(()),
        }
    }

    /// After the last one.
    pub(super) fn close(&self) -> io::Result<()> {
        match self {
            Self::Live { .. } => control("\x1b[?25h"),
            Self::Plain { .. } => Ok(()),
        }
    }
}

/// Moves the cursor, not through the color filter: where colors are unwanted, this still is not.
fn control(sequence: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(sequence.as_bytes())?;
    out.flush()
}

/// Draws over what is there, line by line, and clears the rest of each line and of the screen.
fn draw(picture: &[String]) -> io::Result<()> {
    control("\x1b[H")?;
    for line in picture {
        let mut out = anstream::stdout();
        write!(out, "{line}")?;
        out.flush()?;
        control("\x1b[K\n")?;
    }
    control("\x1b[J")
}

fn clock(note: &Note) -> String {
    note.at.strftime("%H:%M:%S").to_string()
}

/// The state in one line, without what changes with every request.
fn line(frame: &Frame) -> String {
    let rollout = &frame.rollout;
    let mut line = format!(
        "{} step {}/{}  canary {} %",
        rollout.phase, rollout.step, rollout.steps, rollout.canary_weight_pct
    );
    for arm in &frame.arms {
        let _ = write!(
            line,
            "  {} {} {}/{}",
            arm.role,
            tag(&arm.image),
            arm.ready,
            arm.pods
        );
    }
    if let Some(analysis) = &frame.analysis {
        let _ = write!(line, "  analysis {} {}", analysis.phase, counts(analysis));
    }
    line
}

/// The picture's lines: none is wider than the terminal, and there are fewer than it has rows.
fn picture(frame: &Frame, notes: &[Note], size: Size) -> Vec<String> {
    let mut lines = state(frame, size);
    lines.push(String::new());
    let room = size.rows.saturating_sub(lines.len() + 1).max(1);
    let told: Vec<String> = notes
        .iter()
        .flat_map(|note| wrap(&clock(note), &note.text, size.columns.saturating_sub(1)))
        .collect();
    lines.extend_from_slice(&told[told.len().saturating_sub(room)..]);
    // A line that fills the last column would leave the cursor on it, and be cleared there.
    lines
        .iter()
        .map(|line| clip(line, size.columns.saturating_sub(1)))
        .collect()
}

/// How everything stands.
fn state(frame: &Frame, size: Size) -> Vec<String> {
    let bold = Style::new().bold();
    let mut lines = vec![format!("{bold}{}{bold:#}", frame.chapter), String::new()];
    if let Some((sha, subject)) = &frame.commit {
        lines.push(format!("Git       main at {sha}  {subject}"));
    }
    let app = &frame.application;
    let suspended = match app.health.as_str() {
        "Suspended" => " (waits for the Rollout)",
        _ => "",
    };
    lines.push(format!(
        "App       shop at {}  {}, {}{suspended}",
        app.revision, app.sync, app.health
    ));
    lines.push(rollout_line(&frame.rollout));
    lines.extend(frame.arms.iter().map(|arm| arm_line(arm, size)));
    lines.push(match &frame.analysis {
        Some(analysis) => {
            let style = phase_style(&analysis.phase);
            format!(
                "Analysis  {style}{} {}{style:#}  of the canary: {}",
                icon(&analysis.phase),
                analysis.phase,
                counts(analysis)
            )
        }
        None => "Analysis  -".to_owned(),
    });
    let traffic = &frame.traffic;
    lines.push(format!(
        "Traffic   {:.0} requests/s  {} sent  {} failed  p99 {:.1} ms",
        traffic.rate_per_s, traffic.sent, traffic.failed, traffic.p99_ms
    ));
    lines
}

fn rollout_line(rollout: &Rollout) -> String {
    let style = phase_style(&rollout.phase);
    let at = match &rollout.doing {
        Some(step) => format!("step {} of {}: {step}", rollout.step + 1, rollout.steps),
        None => format!("all {} steps done", rollout.steps),
    };
    let at = match rollout.phase.as_str() {
        "Degraded" => "the update is aborted, the stable version serves".to_owned(),
        _ => at,
    };
    format!(
        "Rollout   {style}{} {}{style:#}  {at}",
        icon(&rollout.phase),
        rollout.phase
    )
}

fn arm_line(arm: &Arm, size: Size) -> String {
    let colour = if arm.role == "canary" {
        AnsiColor::Yellow
    } else {
        AnsiColor::Green
    };
    let style = colour.on_default();
    let width = size.bar();
    let filled = width * usize::try_from(arm.weight_pct.clamp(0, 100)).unwrap_or(0) / 100;
    let pods = "●".repeat(arm.ready) + &"○".repeat(arm.pods.saturating_sub(arm.ready));
    let success = arm.success_pct().map_or_else(
        || "no requests yet".to_owned(),
        |pct| format!("{pct:>5.1} % of {} ok", arm.requests),
    );
    format!(
        "  {style}{:<7}{style:#} {:<15} {style}{}{style:#}{} {:>3} %  {:<6}  {success}",
        arm.role,
        tag(&arm.image),
        "█".repeat(filled),
        "░".repeat(width - filled),
        arm.weight_pct,
        pods,
    )
}

fn counts(analysis: &Analysis) -> String {
    let counted = [
        ("ok", analysis.successful),
        ("failed", analysis.failed),
        ("inconclusive", analysis.inconclusive),
        ("errors", analysis.errors),
    ];
    let shown: Vec<String> = counted
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(what, n)| format!("{n} {what}"))
        .collect();
    if shown.is_empty() {
        return "no result yet".to_owned();
    }
    shown.join(", ")
}

fn tag(image: &str) -> &str {
    image.rsplit_once(':').map_or(image, |(_, tag)| tag)
}

fn icon(phase: &str) -> &'static str {
    match phase {
        "Healthy" | "Successful" => "✔",
        "Degraded" | "Failed" | "Error" => "✖",
        "Paused" => "॥",
        _ => "◌",
    }
}

fn phase_style(phase: &str) -> Style {
    match phase {
        "Healthy" | "Successful" => AnsiColor::Green.on_default(),
        "Degraded" | "Failed" | "Error" => AnsiColor::Red.on_default(),
        "Paused" => AnsiColor::Yellow.on_default(),
        _ => AnsiColor::Cyan.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::frame::{Application, Traffic};
    use jiff::Timestamp;

    const TERMINAL: Size = Size {
        columns: 80,
        rows: 24,
    };

    fn frame() -> Frame {
        Frame {
            chapter: "2/4  A good commit".into(),
            commit: Some(("3f2a91c".into(), "Release shop v2".into())),
            application: Application {
                sync: "Synced".into(),
                health: "Suspended".into(),
                revision: "3f2a91c".into(),
            },
            rollout: Rollout {
                phase: "Paused".into(),
                step: 3,
                doing: Some("wait 5s and measure".into()),
                steps: 8,
                canary_weight_pct: 40,
            },
            arms: vec![
                Arm {
                    role: "stable",
                    image: "weir/demo:v1".into(),
                    ready: 5,
                    pods: 5,
                    weight_pct: 60,
                    requests: 300,
                    failed: 0,
                },
                Arm {
                    role: "canary",
                    image: "weir/demo:v2".into(),
                    ready: 1,
                    pods: 2,
                    weight_pct: 40,
                    requests: 80,
                    failed: 4,
                },
            ],
            analysis: None,
            traffic: Traffic {
                rate_per_s: 100.0,
                sent: 380,
                failed: 4,
                p99_ms: 3.0,
            },
        }
    }

    #[test]
    fn the_plain_line_says_phase_step_weight_and_pods() {
        assert_eq!(
            line(&frame()),
            "Paused step 3/8  canary 40 %  stable v1 5/5  canary v2 1/2"
        );
    }

    fn plain(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn the_picture_shows_both_arms_with_their_success() {
        let picture = plain(&picture(&frame(), &[], TERMINAL));
        assert!(picture.contains("  60 %  ●●●●●"), "{picture}");
        assert!(picture.contains("  40 %  ●○"), "{picture}");
        assert!(picture.contains("100.0 % of 300 ok"), "{picture}");
        assert!(picture.contains(" 95.0 % of 80 ok"), "{picture}");
        assert!(
            picture.contains("step 4 of 8: wait 5s and measure"),
            "{picture}"
        );
    }

    #[test]
    fn no_line_is_wider_and_no_picture_higher_than_the_terminal() {
        let mut long = frame();
        long.arms[1].image = format!("weir/demo:{}", "v".repeat(60));
        let at = Timestamp::UNIX_EPOCH;
        let text = "a long story ".repeat(12);
        let notes: Vec<Note> = (0..40)
            .map(|_| Note {
                at,
                text: text.clone(),
            })
            .collect();
        for (columns, rows) in [(80, 24), (120, 40), (30, 12)] {
            let lines = picture(&long, &notes, Size { columns, rows });
            assert_eq!(lines.len(), rows - 1, "{columns} x {rows}");
            for line in plain(&lines).lines() {
                assert!(line.chars().count() < columns, "{line}");
            }
        }
    }

    #[test]
    fn an_aborted_rollout_says_who_serves() {
        let mut aborted = frame();
        aborted.rollout.phase = "Degraded".into();
        let picture = plain(&picture(&aborted, &[], TERMINAL));
        assert!(
            picture.contains("aborted, the stable version serves"),
            "{picture}"
        );
    }
}
