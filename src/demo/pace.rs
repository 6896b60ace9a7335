//! How the story gets on: it looks at the cluster, shows what it sees, and waits.

use super::frame::Note;
use super::look::{self, text};
use super::story::Story;
use crate::clock::Clock;
use anyhow::{Result, anyhow, bail};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often the picture is drawn and the story looked at.
const TICK: Duration = Duration::from_millis(150);
/// No chapter takes longer than this.
const CHAPTER_MAX: Duration = Duration::from_mins(2);
/// Events of the Rollout that are worth a line.
const TOLD: [&str; 5] = [
    "RolloutUpdated",
    "RolloutStepCompleted",
    "TrafficWeightUpdated",
    "RolloutCompleted",
    "RolloutAborted",
];

impl Story {
    pub(super) fn note(&mut self, text: impl Into<String>) -> Result<()> {
        self.view.note(note(text.into()))?;
        Ok(())
    }

    /// Whether a tag is stable, whole and healthy.
    pub(super) fn is_running(&self, tag: &str) -> bool {
        look::rollout(self.api()).is_some_and(|live| {
            let (stable, current) = (
                text(&live, "/status/stableRS"),
                text(&live, "/status/currentPodHash"),
            );
            !stable.is_empty()
                && stable == current
                && text(&live, "/status/phase") == "Healthy"
                && self.tag(stable) == tag
        })
    }

    pub(super) fn tag(&self, hash: &str) -> String {
        self.tags
            .get(hash)
            .cloned()
            .unwrap_or_else(|| look::tag_of(self.api(), hash))
    }

    pub(super) async fn linger(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tick().await?;
        }
        Ok(())
    }

    pub(super) async fn until(
        &mut self,
        what: &str,
        happened: impl Fn(&Self) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + CHAPTER_MAX;
        while !happened(self) {
            if Instant::now() > deadline {
                bail!("waited {} s in vain for: {what}", CHAPTER_MAX.as_secs());
            }
            self.tick().await?;
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        tokio::time::sleep(TICK).await;
        self.follow()?;
        let report = self.report();
        for hash in report.arms.keys() {
            let tag = self.tag(hash);
            if !tag.is_empty() {
                self.tags.insert(hash.clone(), tag);
            }
        }
        let mut frame = look::frame(self.api(), &report, f64::from(self.rate));
        frame.chapter.clone_from(&self.chapter);
        frame.commit = self
            .commit
            .as_ref()
            .map(|commit| (commit.short().to_owned(), commit.subject.clone()));
        self.view.show(&frame, note)?;
        Ok(())
    }

    /// Goes through every change since the last look: no weight and no event is missed.
    fn follow(&mut self) -> Result<()> {
        let changes = self
            .api()
            .changes_since(self.seen)
            .map_err(|_| {
                anyhow!("changes of the embedded cluster were gone before they were seen: this machine is too busy")
            })?;
        for change in changes {
            self.seen = change.revision;
            match change.gvk.kind.as_str() {
                "HTTPRoute" => {
                    let weight = look::canary_weight(&change.object);
                    if let Some(weight) =
                        weight.filter(|weight| self.weights.last() != Some(weight))
                    {
                        self.weights.push(weight);
                    }
                }
                "Event" if is_told(&change.object) => {
                    self.note(format!("  {}", text(&change.object, "/message")))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn note(text: String) -> Note {
    Note {
        at: Clock::Wall.now(),
        text,
    }
}

fn is_told(event: &Value) -> bool {
    let message = text(event, "/message").trim_end();
    event["involvedObject"]["kind"] == "Rollout"
        && TOLD.contains(&text(event, "/reason"))
        // Not one that says nothing.
        && message != "Traffic weight updated"
}
