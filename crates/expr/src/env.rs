//! What a condition can see: the names of its environment.

use crate::Value;
use jiff::Timestamp;

/// Which names a program may use besides the built-ins of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `result`, `asInt`, `asFloat`, `isNaN`, `isInf`, `isNil`, `default`: conditions.
    Condition,
    /// None: the times of a range query.
    Time,
}

/// What a program is compiled against and run with.
#[derive(Clone, Debug)]
pub struct Env {
    pub names: Names,
    /// The measurement's result; not visible to [`Names::Time`].
    pub result: Value,
    /// What `now()` answers.
    pub now: Timestamp,
}

impl Env {
    /// The environment of a success or failure condition.
    pub fn condition(result: Value, now: Timestamp) -> Self {
        Self {
            names: Names::Condition,
            result,
            now,
        }
    }

    /// The environment of a time expression.
    pub fn time(now: Timestamp) -> Self {
        Self {
            names: Names::Time,
            result: Value::Nil,
            now,
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names == Names::Condition && (name == "result" || is_function(name))
    }
}

/// The functions of a condition's environment, in the order of their documentation.
pub(crate) const FUNCTIONS: [&str; 6] = ["asInt", "asFloat", "isNaN", "isInf", "isNil", "default"];

pub(crate) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}
