//! Flags that are on or off, as Go programs take them.

use clap::{Arg, ArgAction};

/// Arguments that are on or off: `--name`, or `--name=true` and `--name=false` as Go programs take
/// them. With clap's derive: `#[arg(long, switch = Some(true))]`.
pub trait Switch {
    /// `default` is what holds where the flag is absent; with `None` its absence can be told.
    #[must_use]
    fn switch(self, default: Option<bool>) -> Self;
}

impl Switch for Arg {
    fn switch(self, default: Option<bool>) -> Self {
        let arg = self
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(parse_bool)
            .action(ArgAction::Set);
        match default {
            Some(true) => arg.default_value("true"),
            // That a flag is off unless given goes without saying.
            Some(false) => arg.default_value("false").hide_default_value(true),
            None => arg,
        }
    }
}

/// A flag that is off unless given.
pub(crate) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).switch(Some(false))
}

/// What Go's flags take for a truth value.
fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    #[test]
    fn absence_can_be_told_where_there_is_no_default() {
        for (default, line, want) in [
            (Some(true), &[][..], Some(true)),
            (Some(true), &["--on=F"], Some(false)),
            (Some(false), &[], Some(false)),
            (Some(false), &["--on"], Some(true)),
            (None, &[], None),
            (None, &["--on"], Some(true)),
            (None, &["--on=0"], Some(false)),
        ] {
            let arg = Arg::new("on").long("on").switch(default);
            let command = Command::new("it").no_binary_name(true).arg(arg);
            let matches = command.try_get_matches_from(line).unwrap();
            let got = matches.get_one::<bool>("on").copied();
            assert_eq!(got, want, "{default:?} {line:?}");
        }
    }
}
