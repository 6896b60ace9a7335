use crate::{table, text};
use gocompat::duration;

#[test]
fn durations_parse_and_print_as_in_go() {
    for row in table("durations") {
        let input = text(&row, "in");
        match duration::parse_go(input) {
            Ok(nanos) => {
                assert_eq!(nanos.to_string(), text(&row, "ns"), "{input}");
                assert_eq!(duration::format_go(nanos), text(&row, "out"), "{input}");
            }
            Err(error) => assert_eq!(error.to_string(), text(&row, "err"), "{input}"),
        }
    }
}

#[test]
fn ages_print_as_in_kubectl() {
    for row in table("human_durations") {
        let seconds = row["s"].as_i64().unwrap();
        assert_eq!(duration::human(seconds), text(&row, "out"), "{seconds}");
        assert_eq!(
            duration::short_human(seconds),
            text(&row, "short"),
            "{seconds}"
        );
    }
}

#[test]
fn pauses_are_whole_seconds() {
    for (text, seconds) in [
        ("30", 30),
        ("-5", -5),
        ("90s", 90),
        ("1h30m", 5400),
        ("1500ms", 1),
        ("0.9s", 0),
        ("1d", -1),
        ("soon", -1),
        ("", -1),
    ] {
        assert_eq!(duration::pause_seconds(text), seconds, "{text}");
    }
}

#[test]
fn a_long_text_is_refused_without_being_repeated() {
    let error = duration::parse_go(&"1h".repeat(600)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "time: invalid duration: longer than 1024 characters"
    );
    assert_eq!(duration::pause_seconds(&"1h".repeat(600)), -1);
    // Go reads as many terms as there are.
    assert!(duration::parse_go(&"1h".repeat(500)).is_ok());
}
