//! Texts that go into a status: what an API server stores is bounded, what a provider answers is
//! not.

/// Longest text, in bytes. A metric keeps ten measurements, and a run has many metrics.
const MAX: usize = 2 * 1024;
/// Of these, what the note about the rest may take.
const NOTE_MAX: usize = 64;

/// `text`, or as much of its beginning as a status can hold. What is cut once is never cut again.
pub(super) fn cut(text: String) -> String {
    if text.len() <= MAX {
        return text;
    }
    let mut end = MAX - NOTE_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!(
        "{}… ({} more bytes left out)",
        &text[..end],
        text.len() - end
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let short = "é".repeat(MAX / 2);
        assert_eq!(cut(short.clone()), short);
        let long = format!("a{}", "é".repeat(MAX));
        let kept = cut(long);
        let head = format!("a{}", "é".repeat((MAX - NOTE_MAX) / 2 - 1));
        assert_eq!(kept, format!("{head}… (2114 more bytes left out)"));
        assert!(kept.len() <= MAX);
        assert_eq!(cut(kept.clone()), kept);
    }

    #[test]
    fn the_note_has_its_place() {
        let note = format!("… ({} more bytes left out)", usize::MAX);
        assert!(note.len() <= NOTE_MAX);
    }
}
