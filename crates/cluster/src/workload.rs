//! What a container does, read from its image, command and environment.
//!
//! No image is ever pulled and no command ever run: the tag and the environment describe a demo
//! workload. The tag is words joined by `-`, in any order; words that mean nothing here are
//! ignored, so that real tags (`1.27-alpine`) are healthy ones.
//!
//! | word | meaning | environment |
//! |---|---|---|
//! | a colour (`blue`, `green`, …) | what the workload answers; any other tag picks one by its hash | `COLOR` |
//! | `errors-N` (`bad` = 20) | N % of requests are answered 500 | `ERROR_RATE` |
//! | `rising-N` | the share of 500s grows by N percentage points a second | `ERROR_RATE_RISING` |
//! | `latency-N` (`slow` = 500) | every answer takes N ms | `LATENCY_MS` |
//! | `start-N` | `/health` is 503 for the first N s | `START_DELAY_S` |
//! | `unready` | `/health` is 503 for ever | `UNREADY=true` |
//! | `drain-N` | after the stop signal it listens for N ms more | `DRAIN_MS` |
//! | `crash`, `crash-N` | exits with 1 at once, or after N s | `EXIT_AFTER_S`, `EXIT_CODE` |
//! | `exit-N` | exits with code N | `EXIT_CODE` |
//! | `missing` | can't be pulled; so can nothing from a host ending in `.invalid`, or called `does-not-exist` | – |
//!
//! A container of a pod that doesn't restart always (a Job's) ends by itself with 0 after a second.
//! `sleep N`, `exit N`, `true` and `false` in its command or arguments are honoured.

use k8s_openapi::api::core::v1::Container;

/// Colours by which demo versions are told apart.
pub const COLORS: [&str; 9] = [
    "blue", "green", "yellow", "orange", "purple", "red", "teal", "pink", "gray",
];
const BAD_ERROR_PCT: f64 = 20.0;
const SLOW_MS: u64 = 500;
/// How long a stopped workload goes on listening unless told otherwise: longer than endpoint news
/// take to travel.
pub const DRAIN_MS: u64 = 1_000;
const TASK_S: u64 = 1;
const MAX_TEXT: usize = 4_096;

/// When a process ends by itself, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    pub after_s: u64,
    pub code: i32,
}

/// Whether an image can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull {
    Ok,
    /// The name is no image name.
    InvalidName(String),
    /// The registry does not have it.
    NotFound(String),
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub color: String,
    /// 0 to 100.
    pub error_pct: f64,
    /// Percentage points a second on top of `error_pct`.
    pub error_rising_pct: f64,
    pub latency_ms: u64,
    pub start_s: u64,
    pub unready: bool,
    pub drain_ms: u64,
    pub exit: Option<Exit>,
    pub pull: Pull,
}

impl Workload {
    /// `restarts`: the pod restarts its containers always, so they are services rather than tasks.
    pub fn of(container: &Container, restarts: bool) -> Self {
        let image = container.image.as_deref().unwrap_or_default();
        let mut workload = Self {
            color: COLORS[hash(tag(image)) as usize % COLORS.len()].to_owned(),
            error_pct: 0.0,
            error_rising_pct: 0.0,
            latency_ms: 0,
            start_s: 0,
            unready: false,
            drain_ms: DRAIN_MS,
            exit: None,
            pull: pull(image),
        };
        workload.read_tag(tag(image));
        workload.read_command(container, restarts);
        workload.read_environment(container);
        workload
    }

    /// The share of requests answered 500, in percent, `age_s` seconds after the start.
    pub fn error_pct_at(&self, age_s: f64) -> f64 {
        (self.error_pct + self.error_rising_pct * age_s.max(0.0)).clamp(0.0, 100.0)
    }

    fn read_tag(&mut self, tag: &str) {
        let words: Vec<&str> = tag.split('-').collect();
        for (at, word) in words.iter().enumerate() {
            let number = words.get(at + 1).and_then(|next| next.parse::<f64>().ok());
            let whole = number.map(|number| number.max(0.0) as u64);
            match *word {
                "errors" => self.error_pct = number.unwrap_or(BAD_ERROR_PCT),
                "bad" => self.error_pct = BAD_ERROR_PCT,
                "rising" => self.error_rising_pct = number.unwrap_or(1.0),
                "latency" => self.latency_ms = whole.unwrap_or(SLOW_MS),
                "slow" => self.latency_ms = SLOW_MS,
                "start" => self.start_s = whole.unwrap_or(0),
                "drain" => self.drain_ms = whole.unwrap_or(DRAIN_MS),
                "unready" => self.unready = true,
                "crash" => {
                    self.exit = Some(Exit {
                        after_s: whole.unwrap_or(0),
                        code: 1,
                    });
                }
                "exit" => {
                    self.exit = Some(Exit {
                        after_s: 0,
                        code: whole.unwrap_or(0).min(255) as i32,
                    });
                }
                color if COLORS.contains(&color) => color.clone_into(&mut self.color),
                _ => {}
            }
        }
    }

    fn read_command(&mut self, container: &Container, restarts: bool) {
        let words = container
            .command
            .iter()
            .flatten()
            .chain(container.args.iter().flatten());
        let text = words.map(String::as_str).collect::<Vec<_>>().join(" ");
        let script = Script::read(&text);
        self.exit = match (self.exit, script.code) {
            (Some(exit), _) => Some(exit),
            (None, Some(code)) => Some(Exit {
                after_s: script.sleep_s,
                code,
            }),
            (None, None) if restarts => None,
            (None, None) => Some(Exit {
                after_s: script.sleep_s.max(TASK_S),
                code: 0,
            }),
        };
    }

    fn read_environment(&mut self, container: &Container) {
        let value = |name: &str| {
            let variables = container.env.iter().flatten();
            variables
                .filter(|variable| variable.name == name)
                .find_map(|v| v.value.as_deref())
        };
        let number =
            |name| value(name).and_then(|text| text.trim_end_matches('%').parse::<f64>().ok());
        let whole = |name| number(name).map(|number| number.max(0.0) as u64);
        if let Some(color) = value("COLOR").filter(|color| !color.is_empty() && color.len() <= 64) {
            color.clone_into(&mut self.color);
        }
        self.error_pct = number("ERROR_RATE")
            .unwrap_or(self.error_pct)
            .clamp(0.0, 100.0);
        self.error_rising_pct = number("ERROR_RATE_RISING").unwrap_or(self.error_rising_pct);
        self.latency_ms = whole("LATENCY_MS").unwrap_or(self.latency_ms);
        self.start_s = whole("START_DELAY_S").unwrap_or(self.start_s);
        self.drain_ms = whole("DRAIN_MS").unwrap_or(self.drain_ms);
        self.unready |= value("UNREADY") == Some("true");
        let (after_s, code) = (whole("EXIT_AFTER_S"), whole("EXIT_CODE"));
        if after_s.is_some() || code.is_some() {
            let known = self.exit.unwrap_or(Exit {
                after_s: 0,
                code: 0,
            });
            self.exit = Some(Exit {
                after_s: after_s.unwrap_or(known.after_s),
                code: code.map_or(known.code, |code| code.min(255) as i32),
            });
        }
    }
}

/// How long a command sleeps and what it exits with, as far as that can be read off it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Script {
    pub sleep_s: u64,
    /// `None` = nothing in the text says.
    pub code: Option<i32>,
}

impl Script {
    /// Sums `sleep N`; the first `exit N`, `true` or `false` after that is the end.
    pub fn read(text: &str) -> Self {
        let mut script = Self::default();
        let cut = text
            .char_indices()
            .nth(MAX_TEXT)
            .map_or(text.len(), |(at, _)| at);
        let mut words = text[..cut]
            .split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '"' | '\''))
            .filter(|word| !word.is_empty())
            .peekable();
        while let Some(word) = words.next() {
            let number = words
                .peek()
                .map(|next| next.trim_end_matches('s').parse::<u64>());
            match (word.rsplit('/').next().unwrap_or(word), number) {
                ("sleep", Some(Ok(seconds))) => {
                    script.sleep_s = script.sleep_s.saturating_add(seconds);
                }
                ("exit", Some(Ok(code))) => {
                    script.code = Some(code.min(255) as i32);
                    break;
                }
                ("false", _) => {
                    script.code = Some(1);
                    break;
                }
                ("true", _) => {
                    script.code = Some(0);
                    break;
                }
                _ => {}
            }
        }
        script
    }
}

/// The tag of an image reference; `latest` without one.
pub fn tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => "latest",
    }
}

fn pull(image: &str) -> Pull {
    let legal =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':' | '@');
    let repository = image.split('@').next().unwrap_or(image);
    let repository = repository
        .strip_suffix(&format!(":{}", tag(image)))
        .unwrap_or(repository);
    if image.is_empty()
        || !image.chars().all(legal)
        || repository.chars().any(|c| c.is_ascii_uppercase())
    {
        return Pull::InvalidName(format!(
            "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": invalid reference format"
        ));
    }
    let host = repository.split('/').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    if host.ends_with(".invalid") && repository.contains('/') {
        return Pull::NotFound(format!(
            "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": dial tcp: lookup {host}: no such host"
        ));
    }
    let absent = ["does-not-exist", "doesnotexist", "nonexistent"];
    if absent.iter().any(|name| image.contains(name))
        || tag(image).split('-').any(|w| w == "missing")
    {
        return Pull::NotFound(format!(
            "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
        ));
    }
    Pull::Ok
}

/// FNV-1a, 32 bit.
pub(crate) fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(container: &serde_json::Value, restarts: bool) -> Workload {
        Workload::of(
            &serde_json::from_value(container.clone()).unwrap(),
            restarts,
        )
    }

    fn image(name: &str) -> Workload {
        of(&json!({ "name": "app", "image": name }), true)
    }

    #[test]
    fn tags_are_words_in_any_order() {
        let red = image("weir/demo:red-errors-20-latency-35");
        assert_eq!((red.color.as_str(), red.latency_ms), ("red", 35));
        assert!((red.error_pct - 20.0).abs() < 1e-9);
        assert_eq!(image("weir/demo:latency-35-errors-20-red"), red);
        assert!((image("weir/demo:red-rising-2").error_pct_at(10.0) - 20.0).abs() < 1e-9);
        assert!((image("weir/demo:red-rising-2").error_pct_at(1e9) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn real_images_are_healthy_services() {
        for name in [
            "nginx:1.27-alpine",
            "localhost:5000/team/app",
            "redis@sha256:0011",
            "a/b:v1.2.3",
        ] {
            let workload = image(name);
            assert_eq!((workload.exit, workload.pull), (None, Pull::Ok), "{name}");
            assert!(workload.error_pct.abs() < 1e-9);
        }
    }

    #[test]
    fn environment_overrides_the_tag() {
        let workload = of(
            &json!({ "name": "app", "image": "weir/demo:blue-errors-5", "env": [
                { "name": "COLOR", "value": "teal" }, { "name": "ERROR_RATE", "value": "50%" },
                { "name": "LATENCY_MS", "value": "x" }, { "name": "EXIT_CODE", "value": "3" },
            ]}),
            true,
        );
        assert_eq!((workload.color.as_str(), workload.latency_ms), ("teal", 0));
        assert!((workload.error_pct - 50.0).abs() < 1e-9);
        assert_eq!(
            workload.exit,
            Some(Exit {
                after_s: 0,
                code: 3
            })
        );
    }

    #[test]
    fn names_that_cannot_be_pulled_say_why() {
        for name in [
            "weir/demo:missing",
            "registry.invalid/app:v1",
            "does-not-exist/app:v1",
        ] {
            assert!(matches!(image(name).pull, Pull::NotFound(_)), "{name}");
        }
        for name in ["", "Weir/demo:blue", "weir/de mo"] {
            assert!(matches!(image(name).pull, Pull::InvalidName(_)), "{name}");
        }
    }

    #[test]
    fn tasks_end_and_commands_are_read() {
        let task = |args: serde_json::Value| {
            of(
                &json!({ "name": "t", "image": "busybox", "command": ["sh", "-c"], "args": args }),
                false,
            )
            .exit
        };
        assert_eq!(
            task(json!(["echo hi"])),
            Some(Exit {
                after_s: 1,
                code: 0
            })
        );
        assert_eq!(
            task(json!(["sleep 5; exit 42"])),
            Some(Exit {
                after_s: 5,
                code: 42
            })
        );
        assert_eq!(
            task(json!(["/bin/false"])),
            Some(Exit {
                after_s: 0,
                code: 1
            })
        );
        assert_eq!(
            task(json!(["sleep 2 && sleep 3"])),
            Some(Exit {
                after_s: 5,
                code: 0
            })
        );
    }
}
