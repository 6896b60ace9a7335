//! The time, for ages on screens.

use jiff::Timestamp;
use std::fmt;
use std::sync::Arc;

/// Where the time comes from: the system, or a test.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the CLI asks for the time"
    )]
    pub(crate) fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    pub(crate) fn fixed(now: Timestamp) -> Self {
        Self(Arc::new(move || now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
