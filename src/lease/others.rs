//! Which controllers act beside this one, as its log and its metric have it.

use super::election::{Election, Role};
use super::leadership::Leadership;
use std::collections::BTreeSet;

const OF_TWO: &str = "end one of the two, or leave --leader-elect=false out of both: then one acts and the other \
     stands by. For objects of its own, give one another --instance-id";
const OF_ELECTED: &str = "end that one, or leave --leader-elect=false out of it: then it stands by. For objects of its \
     own, give it another --instance-id";

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Others {
    told: BTreeSet<String>,
}

impl Others {
    /// Whether it was found to act at the last look.
    pub(super) fn has(&self, identity: &str) -> bool {
        self.told.contains(identity)
    }

    /// Those that act, by their identities: says of each once that it does, and that it does not
    /// any more.
    pub(super) fn tell(
        &mut self,
        acting: BTreeSet<String>,
        election: &Election,
        leadership: &Leadership,
    ) {
        let Election {
            lease,
            namespace,
            role,
            ..
        } = election;
        for other in acting.difference(&self.told) {
            match role {
                Role::Unelected => tracing::warn!(
                    other,
                    lease,
                    namespace,
                    remedy = OF_TWO,
                    "another controller acts on the same objects as this one, which has --leader-elect=false"
                ),
                Role::Candidate => tracing::warn!(
                    other,
                    lease,
                    namespace,
                    remedy = OF_ELECTED,
                    "a controller that has --leader-elect=false acts on the same objects as this one, which is elected"
                ),
            }
        }
        for other in self.told.difference(&acting) {
            tracing::info!(other, "the other controller does not act any more");
        }
        leadership.set_contended(!acting.is_empty());
        self.told = acting;
    }

    /// This controller does not act any more: nobody acts beside it.
    pub(super) fn forget(&mut self, leadership: &Leadership) {
        self.told.clear();
        leadership.set_contended(false);
    }
}
