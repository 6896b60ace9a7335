//! The text of a path, and what is understood of it.

use super::{Function, JqPath, Part, Test};
use serde_json::{Number, Value};

/// The longest expression, in bytes.
const TEXT_MAX: usize = 4096;
/// The longest path, in parts.
const PARTS_MAX: usize = 64;
/// How deep tests may be nested.
const DEPTH_MAX: usize = 16;

const UNDERSTOOD: &str = "paths are understood (.a, .\"a-b\", .[\"a\"], .[0], .[], each with ? or \
                          without) with | and select(…), and in it ==, !=, and, or, not, startswith, \
                          endswith, contains and has; of several paths each stands for itself";

const FUNCTIONS: [(&str, Function); 4] = [
    ("startswith", Function::StartsWith),
    ("endswith", Function::EndsWith),
    ("contains", Function::Contains),
    ("has", Function::Has),
];

impl JqPath {
    /// Reads an expression.
    ///
    /// # Errors
    /// If it is more than a path: what is understood, and where that ends.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TEXT_MAX {
            return Err(format!("it must not be longer than {TEXT_MAX} bytes"));
        }
        let mut parser = Parser { rest: text };
        let path = parser.pipeline();
        let rest = parser.rest.trim();
        match path {
            Some(path) if rest.is_empty() => Ok(path),
            _ if rest.is_empty() => Err(format!("it ends too soon: {UNDERSTOOD}")),
            _ => Err(format!("{rest:?} is not understood: {UNDERSTOOD}")),
        }
    }
}

struct Parser<'t> {
    rest: &'t str,
}

impl Parser<'_> {
    fn pipeline(&mut self) -> Option<JqPath> {
        let mut parts = Vec::new();
        loop {
            if self.has_word("select") {
                self.mark("(")?;
                parts.push(Part::Select(self.test(DEPTH_MAX)?));
                self.mark(")")?;
                if self.rest.starts_with('.') {
                    parts.extend(self.path()?.parts);
                }
            } else {
                parts.extend(self.path()?.parts);
            }
            if parts.len() > PARTS_MAX {
                return None;
            }
            if !self.has("|") {
                return Some(JqPath { parts });
            }
        }
    }

    fn path(&mut self) -> Option<JqPath> {
        self.mark(".")?;
        let mut parts = Vec::new();
        let mut is_after_dot = true;
        while parts.len() <= PARTS_MAX {
            if let Some(inside) = self.rest.strip_prefix('[') {
                self.rest = inside;
                parts.push(self.bracket()?);
            } else if is_after_dot && self.rest.starts_with('"') {
                parts.push(Part::Key(self.text()?));
            } else if is_after_dot && let Some(name) = self.name() {
                parts.push(Part::Key(name));
            } else {
                let is_whole = !is_after_dot || parts.is_empty();
                return is_whole.then_some(JqPath { parts });
            }
            // What is not there is passed over in any case.
            self.rest = self.rest.trim_start_matches('?');
            let after_dot = self.rest.strip_prefix('.');
            is_after_dot = after_dot.is_some();
            self.rest = after_dot.unwrap_or(self.rest);
        }
        None
    }

    /// After the opening bracket.
    fn bracket(&mut self) -> Option<Part> {
        self.skip();
        let part = if self.rest.starts_with(']') {
            Part::Each
        } else if self.rest.starts_with('"') {
            Part::Key(self.text()?)
        } else {
            Part::Index(self.number()?.as_i64()?)
        };
        self.mark("]")?;
        Some(part)
    }

    fn test(&mut self, depth: usize) -> Option<Test> {
        let mut test = self.either(depth)?;
        while self.has("|") {
            test = if self.has_word("not") {
                Test::Not(Box::new(test))
            } else {
                let Test::Is(path) = test else {
                    return None;
                };
                self.call(path)?
            };
        }
        Some(test)
    }

    fn either(&mut self, depth: usize) -> Option<Test> {
        let mut test = self.both(depth)?;
        while self.has_word("or") {
            test = Test::Either(Box::new(test), Box::new(self.both(depth)?));
        }
        Some(test)
    }

    fn both(&mut self, depth: usize) -> Option<Test> {
        let mut test = self.single(depth)?;
        while self.has_word("and") {
            test = Test::Both(Box::new(test), Box::new(self.single(depth)?));
        }
        Some(test)
    }

    fn single(&mut self, depth: usize) -> Option<Test> {
        if self.has("(") {
            let test = self.test(depth.checked_sub(1)?)?;
            self.mark(")")?;
            return Some(test);
        }
        if !self.rest.starts_with('.') {
            return self.call(JqPath::default());
        }
        let path = self.path()?;
        let is_equal = self.has("==");
        if !is_equal && !self.has("!=") {
            return Some(Test::Is(path));
        }
        let to = self.literal()?;
        Some(Test::Compares { path, is_equal, to })
    }

    /// A function of what a path leads to.
    fn call(&mut self, path: JqPath) -> Option<Test> {
        let mut functions = FUNCTIONS.into_iter();
        let (_, function) = functions.find(|(name, _)| self.has_word(name))?;
        self.mark("(")?;
        self.skip();
        let with = self.text()?;
        self.mark(")")?;
        Some(Test::Calls {
            path,
            function,
            with,
        })
    }

    fn literal(&mut self) -> Option<Value> {
        self.skip();
        if self.rest.starts_with('"') {
            return self.text().map(Value::String);
        }
        let words = [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
        ];
        let word = words.into_iter().find(|(word, _)| self.has_word(word));
        match word {
            Some((_, value)) => Some(value),
            None => self.number().map(Value::Number),
        }
    }

    fn name(&mut self) -> Option<String> {
        let is_end = |letter: char| !is_of_name(letter);
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        Some(name.to_owned())
    }

    /// A string in quotation marks.
    fn text(&mut self) -> Option<String> {
        let inside = self.rest.strip_prefix('"')?;
        let mut is_escaped = false;
        let end = inside.find(|letter: char| {
            let is_end = letter == '"' && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            is_end
        })?;
        // With both marks, which are a byte each.
        let (text, rest) = self.rest.split_at(end + 2);
        let text = serde_json::from_str(text).ok()?;
        self.rest = rest;
        Some(text)
    }

    fn number(&mut self) -> Option<Number> {
        let is_end = |letter: char| {
            !(letter.is_ascii_digit() || matches!(letter, '-' | '+' | '.' | 'e' | 'E'))
        };
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let number = serde_json::from_str(number).ok()?;
        self.rest = rest;
        Some(number)
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes a mark that has to be there.
    fn mark(&mut self, mark: &str) -> Option<()> {
        self.has(mark).then_some(())
    }

    /// Takes a mark, if it is there.
    fn has(&mut self, mark: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes a word, if it is there and no longer.
    fn has_word(&mut self, word: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(word);
        let rest = rest.filter(|rest| !rest.starts_with(is_of_name));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}
