//! Whether the process is of use: a function of what it is doing.

use std::time::Duration;

/// With work due, and no pass nor action of one ended for so long, nothing moves any more.
const STALLED: Duration = Duration::from_mins(5);
/// Nothing of a pass takes so long: every request has its limit.
const STUCK: Duration = Duration::from_mins(30);

/// What the process is doing.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Whether it acts; one that stands by has nothing to do.
    pub leads: bool,
    /// How long the election has done nothing, and how long it may; `None` without one.
    pub election: Option<(Duration, Duration)>,
    /// The key that has been due for longest, and how long.
    pub waiting: Option<(String, Duration)>,
    /// Of the keys that are worked on, the one that has not got on for longest, and how long.
    pub running: Option<(String, Duration)>,
    /// Since when no pass has ended, nor an action of one.
    pub idle: Duration,
    /// Kinds whose first list is not complete.
    pub unlisted: Vec<&'static str>,
}

/// Healthy, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Good,
    Bad(String),
}

impl View {
    /// `/healthz`: whether work progresses. A process for which this says no is better started
    /// anew.
    pub fn alive(&self) -> Health {
        if let Some((silent, limit)) = self.election
            && silent > limit
        {
            return bad(format!(
                "the leader election has done nothing for {silent:.0?}"
            ));
        }
        if !self.leads {
            return Health::Good;
        }
        if let Some((key, took)) = &self.running
            && *took > STUCK
        {
            return bad(format!("a pass over {key} has not got on for {took:.0?}"));
        }
        if let Some((key, waits)) = &self.waiting
            && *waits > STALLED
            && self.idle > STALLED
        {
            return bad(format!(
                "no pass has got on for {:.0?}, and {key} has been due for {waits:.0?}",
                self.idle
            ));
        }
        Health::Good
    }

    /// `/readyz`: whether it could act if it were its turn.
    pub fn ready(&self) -> Health {
        if self.unlisted.is_empty() {
            return self.alive();
        }
        bad(format!(
            "not listed yet: {}; the log says why if it stays so",
            self.unlisted.join(", ")
        ))
    }
}

fn bad(why: String) -> Health {
    Health::Bad(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(health: &Health, words: &str) -> bool {
        matches!(health, Health::Bad(why) if why.contains(words))
    }

    #[test]
    fn a_process_with_nothing_to_do_is_healthy_however_long() {
        let view = View {
            leads: true,
            idle: Duration::from_hours(9),
            ..View::default()
        };
        assert_eq!(view.alive(), Health::Good);
    }

    #[test]
    fn work_that_is_due_and_does_not_move_is_not() {
        let mut view = View {
            leads: true,
            waiting: Some(("Rollout a/b".to_owned(), Duration::from_secs(301))),
            idle: Duration::from_secs(299),
            ..View::default()
        };
        assert_eq!(view.alive(), Health::Good, "others are worked on");
        view.idle = Duration::from_secs(301);
        assert!(says(&view.alive(), "Rollout a/b has been due for 301s"));
        view.leads = false;
        assert_eq!(view.alive(), Health::Good, "it is not its turn");
    }

    #[test]
    fn one_pass_that_hangs_is_not() {
        let view = View {
            leads: true,
            running: Some(("Application a/b".to_owned(), Duration::from_secs(1801))),
            ..View::default()
        };
        assert!(says(&view.alive(), "Application a/b has not got on"));
    }

    #[test]
    fn an_election_that_has_died_is_not() {
        let limit = Duration::from_mins(1);
        let view = View {
            election: Some((Duration::from_secs(61), limit)),
            ..View::default()
        };
        assert!(says(&view.alive(), "leader election"));
    }

    #[test]
    fn it_is_ready_when_everything_is_listed() {
        let mut view = View {
            unlisted: vec!["Rollout", "Pod"],
            ..View::default()
        };
        assert_eq!(
            view.alive(),
            Health::Good,
            "starting is no reason to be started anew"
        );
        assert!(says(&view.ready(), "Rollout, Pod"));
        view.unlisted.clear();
        assert_eq!(view.ready(), Health::Good);
    }
}
