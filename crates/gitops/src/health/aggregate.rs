//! The health of an Application, out of that of its objects.

use super::{Health, HealthCode};
use crate::ResourceId;

/// What counts for the health of an Application.
#[derive(Clone, Debug)]
pub struct Child<'a> {
    pub id: &'a ResourceId,
    /// It exists. A missing object alone does not make an Application unwell: it is out of sync.
    pub live: bool,
    /// `None` for kinds that cannot be unwell.
    pub health: Option<&'a Health>,
}

/// Causes that are named in a message.
const CAUSES_MAX: usize = 3;

/// The health of the whole: that of its worst part, with up to three causes.
pub fn aggregate<'a>(children: impl IntoIterator<Item = Child<'a>>) -> Health {
    let (mut any_declared, mut any_live) = (false, false);
    let mut worst = HealthCode::Healthy;
    let mut causes: Vec<&ResourceId> = Vec::new();
    for child in children {
        any_declared = true;
        any_live |= child.live;
        let Some(health) = child.health.filter(|_| child.live) else {
            continue;
        };
        // An Application that manages Applications does not take over their troubles with Git.
        let passing = child.id.is("argoproj.io", "Application")
            && matches!(health.code, HealthCode::Missing | HealthCode::Unknown);
        if passing {
            continue;
        }
        if health.code > worst {
            worst = health.code;
            causes.clear();
        }
        if health.code == worst && worst != HealthCode::Healthy {
            causes.push(child.id);
        }
    }
    if any_declared && !any_live {
        return Health::new(HealthCode::Missing, "");
    }
    Health::new(worst, message(&causes))
}

/// What they say of themselves is with each of them in the status.
fn message(causes: &[&ResourceId]) -> String {
    let named = causes.iter().copied().take(CAUSES_MAX);
    let mut parts: Vec<String> = named.map(ToString::to_string).collect();
    if causes.len() > CAUSES_MAX {
        parts.push(format!("… and {} more", causes.len() - CAUSES_MAX));
    }
    parts.join(", ")
}
