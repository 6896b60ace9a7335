//! `version`.

use crate::context::Context;
use crate::error::Error;
use crate::switch::switch;
use clap::{ArgMatches, Command};

pub(super) fn cli() -> Command {
    Command::new("version")
        .about("Show the version")
        .arg(switch("short", "Only the number"))
}

pub(super) fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let file = cx.program.file_name();
    cx.term
        .line(format_args!("{file}: v{}", env!("CARGO_PKG_VERSION")))?;
    if !args.get_flag("short") {
        let platform = platform(std::env::consts::OS, std::env::consts::ARCH);
        for (name, value) in [
            ("BuildDate", known(option_env!("WEIR_BUILD_DATE"))),
            ("GitCommit", known(option_env!("WEIR_COMMIT"))),
            ("GitTreeState", known(option_env!("WEIR_TREE_STATE"))),
            // There is no Go. The lines are there for whoever looks for them.
            ("GoVersion", "none"),
            ("Compiler", "rustc"),
            ("Platform", &platform),
        ] {
            cx.term.line(format_args!("  {name}: {value}"))?;
        }
    }
    Ok(())
}

/// What the build environment doesn't tell, or tells as nothing, stays unknown.
fn known(told: Option<&'static str>) -> &'static str {
    told.filter(|told| !told.is_empty()).unwrap_or("unknown")
}

/// The platform under Go's names, as scripts for the peer's plugin know them.
fn platform(os: &str, arch: &str) -> String {
    let os = match os {
        "macos" => "darwin",
        os => os,
    };
    let arch = match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        // The only one of the two byte orders that clusters run on.
        "powerpc64" => "ppc64le",
        arch => arch,
    };
    format!("{os}/{arch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_the_names_of_go() {
        assert_eq!(platform("linux", "x86_64"), "linux/amd64");
        assert_eq!(platform("linux", "aarch64"), "linux/arm64");
        assert_eq!(platform("macos", "aarch64"), "darwin/arm64");
        assert_eq!(platform("linux", "s390x"), "linux/s390x");
    }

    #[test]
    fn what_is_not_told_is_unknown() {
        assert_eq!(known(Some("abc")), "abc");
        assert_eq!(known(Some("")), "unknown");
        assert_eq!(known(None), "unknown");
    }
}
