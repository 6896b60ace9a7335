//! From a source to a result: compile, then run.

use crate::ast::Node;
use crate::error::{Error, Stage};
use crate::ty::Ty;
use crate::{Env, Value, check, eval, limits, parse};

/// A checked program.
#[derive(Clone, Debug)]
pub struct Program {
    source: String,
    root: Node,
    ty: Ty,
}

impl Program {
    /// Parses `source` and checks it against the names and the value types of `env`.
    pub fn compile(source: &str, env: &Env) -> Result<Self, Error> {
        let fail = |fault| Error::bind(fault, Stage::Compile, source);
        if source.chars().nth(limits::SOURCE_CHARS).is_some() {
            return Err(Error {
                stage: Stage::Compile,
                message: format!(
                    "expression is longer than {} characters",
                    limits::SOURCE_CHARS
                ),
                line: 1,
                column: 1,
                snippet: String::new(),
            });
        }
        let root = parse::parse(source).map_err(fail)?;
        let ty = check::check(&root, env).map_err(fail)?;
        eval::fold_errors(&root).map_err(fail)?;
        Ok(Self {
            source: source.to_owned(),
            root,
            ty,
        })
    }

    /// Evaluates the program. `env` should be the one it was compiled against: a value of another
    /// type may give another error, never a panic.
    pub fn run(&self, env: &Env) -> Result<Value, Error> {
        eval::run(&self.root, env).map_err(|fault| Error::bind(fault, Stage::Run, &self.source))
    }

    /// The Go type of a value that this program gave, as `%T` prints it. Integers need the
    /// program: whether one is `int` or `int64` is known from what made it.
    pub fn go_type(&self, value: &Value) -> &'static str {
        match (value, &self.ty) {
            (Value::Int(_), Ty::Int64) => "int64",
            _ => value.go_type(),
        }
    }
}
