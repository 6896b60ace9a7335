//! What evaluating a part of an expression may cost by the API server's own estimate, from the
//! bounds in the schema: it refuses definitions by it.
//!
//! Sizes that its estimate knows nothing of make it refuse too; here they make it unsure, and what
//! is unsure is no reason to refuse.

use std::sync::Arc;

use super::declare::{Declared, Shape};
use super::types::Type;

/// What one more character of a text costs.
const CHARACTER: f64 = 0.1;
/// What one more character of a pattern costs.
const PATTERN: f64 = 0.25;

/// How many characters, bytes, items or entries there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Size {
    pub(super) const fn exactly(size: u64) -> Self {
        Self {
            least: size,
            most: size,
        }
    }

    const fn upto(most: u64) -> Self {
        Self { least: 0, most }
    }

    fn or(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.max(other.most),
        }
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            least: self.least.saturating_add(other.least),
            most: self.most.saturating_add(other.most),
        }
    }

    const fn times(self, other: Self) -> Self {
        Self {
            least: self.least.saturating_mul(other.least),
            most: self.most.saturating_mul(other.most),
        }
    }
}

/// How large the one or the other is, if both are known.
pub(super) fn either(one: Option<Size>, other: Option<Size>) -> Option<Size> {
    Some(one?.or(other?))
}

/// Where in an object a value stands.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// It was made.
    Nowhere,
    /// At what is declared, or at what is not.
    At(Option<Arc<Declared>>),
    /// It is the key of an entry.
    Key,
}

impl Place {
    fn size(&self) -> Option<Size> {
        match self {
            Self::At(Some(declared)) => Some(Size::upto(declared.most)),
            Self::Key => Some(Size::upto(0)),
            Self::At(None) | Self::Nowhere => None,
        }
    }

    /// Of what is in a value that was made, the whole object stands for the place.
    fn below(&self, root: &Arc<Declared>, step: impl Fn(&Arc<Declared>) -> Self) -> Self {
        match self {
            Self::Nowhere => Self::At(Some(Arc::clone(root))),
            Self::At(Some(declared)) => step(declared),
            Self::At(None) | Self::Key => Self::At(None),
        }
    }

    pub(super) fn field(&self, root: &Arc<Declared>, name: &str) -> Self {
        self.below(root, |declared| Self::At(declared.field(name).cloned()))
    }

    pub(super) fn element(&self, root: &Arc<Declared>) -> Self {
        self.below(root, |declared| Self::At(declared.element().cloned()))
    }

    pub(super) fn key(&self, root: &Arc<Declared>) -> Self {
        self.below(root, |declared| match declared.shape {
            Shape::Map(_) => Self::Key,
            _ => Self::At(None),
        })
    }
}

/// How large what is in a list or a map is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) key: Option<Size>,
    pub(super) value: Option<Size>,
}

/// What is known of a part of an expression.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) kind: Type,
    pub(super) cost: u64,
    pub(super) size: Option<Size>,
    pub(super) parts: Option<Parts>,
    pub(super) place: Place,
}

impl Found {
    /// A value of which only the type is known.
    pub(super) fn made(kind: Type, cost: u64) -> Self {
        Self::at(Place::Nowhere, kind, cost)
    }

    /// A value of the object.
    pub(super) fn at(place: Place, kind: Type, cost: u64) -> Self {
        let scalar = kind.is_scalar().then_some(Size::exactly(1));
        let size = place.size().or(scalar);
        Self {
            kind,
            cost,
            size,
            parts: None,
            place,
        }
    }

    /// The same with a size, if it has none yet.
    pub(super) fn sized(mut self, size: Option<Size>) -> Self {
        self.size = self.size.or(size);
        self
    }
}

/// What a call costs with its arguments, and how large its answer is.
#[derive(Debug)]
pub(super) struct Price {
    pub(super) cost: u64,
    pub(super) size: Option<Size>,
    pub(super) parts: Option<Parts>,
}

/// Prices of calls; whether one of them is not known.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    pub(super) unsure: bool,
}

impl Estimate {
    /// The most that a size may be.
    pub(super) fn most(&mut self, size: Option<Size>) -> u64 {
        self.unsure |= size.is_none();
        size.map_or(0, |size| size.most)
    }

    /// What going through so many characters costs.
    fn through(&mut self, size: Option<Size>, passes: f64) -> u64 {
        scaled(self.most(size), passes * CHARACTER)
    }

    /// The smaller of two values is gone through.
    fn comparison(&mut self, one: Option<Size>, other: Option<Size>) -> u64 {
        let smaller = match (one, other) {
            (Some(one), Some(other)) if one.most > other.most => Some(other),
            (one, other) => one.or(other),
        };
        self.through(smaller, 1.0)
    }

    /// The price of a call by what is known of what it is called on and of its arguments.
    pub(super) fn call(&mut self, name: &str, target: Option<&Found>, args: &[Found]) -> Price {
        let (cost, size, parts) = match (target, args) {
            (Some(target), _) => self.member(name, target, args),
            (None, [one, other]) => self.binary(name, one, other),
            (None, [condition, then, other]) if name == "_?_:_" => {
                let size = either(then.size, other.size);
                let cost = condition.cost.saturating_add(then.cost.max(other.cost));
                let parts = both(then.parts, other.parts);
                return Price { cost, size, parts };
            }
            (None, [arg]) => {
                let (cost, size) = self.conversion(name, arg);
                (cost, size, None)
            }
            _ => (1, None, None),
        };
        let args = args.iter().map(|arg| arg.cost);
        Price {
            cost: args.fold(cost, u64::saturating_add),
            size,
            parts,
        }
    }

    fn binary(
        &mut self,
        name: &str,
        one: &Found,
        other: &Found,
    ) -> (u64, Option<Size>, Option<Parts>) {
        let open = one.kind.is_open() || other.kind.is_open();
        let long = |kind: &Type| matches!(kind, Type::Text | Type::Bytes);
        let long = long(&one.kind) || long(&other.kind);
        let cost = match name {
            "_==_" | "_!=_" => self.comparison(one.size, other.size),
            "_<_" | "_<=_" | "_>_" | "_>=_" if open => self.comparison(one.size, other.size).max(1),
            "_<_" | "_<=_" | "_>_" | "_>=_" if long => self.comparison(one.size, other.size),
            "@in" if matches!(other.kind, Type::Map(..)) => 1,
            "@in" if other.kind.is_open() => self.most(other.size).max(1),
            "@in" => self.most(other.size),
            "_+_" => {
                let size = one.size.zip(other.size).map(|(one, other)| one.plus(other));
                let is_list = |kind: &Type| matches!(kind, Type::List(_));
                if is_list(&one.kind) || is_list(&other.kind) {
                    return (1, size, both(one.parts, other.parts));
                }
                if !long && !open {
                    return (1, None, None);
                }
                return (self.through(size, 1.0).max(u64::from(open)), size, None);
            }
            _ => 1,
        };
        (cost, None, None)
    }

    /// A function of one argument.
    fn conversion(&mut self, name: &str, arg: &Found) -> (u64, Option<Size>) {
        match (name, &arg.kind) {
            ("bytes", Type::Text) => {
                let size = arg.size.map(|size| Size {
                    least: size.least,
                    most: size.most.saturating_mul(4),
                });
                (self.through(arg.size, 1.0), size)
            }
            ("string", Type::Bytes) => {
                let size = arg.size.map(|size| Size {
                    least: size.least / 4,
                    most: size.most,
                });
                (self.through(arg.size, 1.0), size)
            }
            ("url", _) => (self.through(arg.size, 1.0), None),
            ("dyn", _) => (1, arg.size),
            _ => (1, None),
        }
    }

    fn member(
        &mut self,
        name: &str,
        target: &Found,
        args: &[Found],
    ) -> (u64, Option<Size>, Option<Parts>) {
        let first = args.first().and_then(|arg| arg.size);
        let (cost, size) = match name {
            "contains" => {
                let text = self.through(target.size, 1.0);
                (text.saturating_mul(self.through(first, 1.0)), None)
            }
            "startsWith" | "endsWith" => (self.through(first, 1.0), None),
            "matches" => (self.pattern(target.size, first), None),
            "find" | "findAll" => {
                let size = target.size.map(|size| Size::upto(size.most));
                (self.pattern(target.size, first), size)
            }
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
                (self.walk(target), None)
            }
            "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                (self.through(target.size, 1.0), target.size)
            }
            "replace" => {
                let with = args.get(1).and_then(|arg| arg.size);
                let size = target.size.zip(first).zip(with);
                let size = size.map(|((text, old), new)| replaced(text, old, new));
                (self.through(target.size, 2.0), size)
            }
            "split" => {
                // A limit bounds the pieces by its value, which is not looked at.
                let size = target.size.filter(|_| args.len() < 2);
                let cost = self.through(target.size, 2.0);
                (cost, size.map(|size| Size::upto(size.most)))
            }
            "join" => {
                let size = joined(target, first.filter(|_| !args.is_empty()), args.is_empty());
                (self.through(size, 1.0), size)
            }
            "format" => (self.through(target.size, 1.0), None),
            _ => (1, None),
        };
        (cost, size, None)
    }

    fn pattern(&mut self, text: Option<Size>, pattern: Option<Size>) -> u64 {
        let text = text.map(|size| size.plus(Size::exactly(1)));
        let compiled = scaled(self.most(pattern), PATTERN);
        self.through(text, 1.0).saturating_mul(compiled)
    }

    /// Every item is looked at.
    fn walk(&mut self, list: &Found) -> u64 {
        let Type::List(item) = &list.kind else {
            return self.through(list.size, 1.0);
        };
        let mut each = 1;
        if matches!(**item, Type::Text | Type::Bytes) {
            let size = match &list.place {
                Place::At(Some(declared)) => declared.element().map(|item| Size::upto(item.most)),
                _ => None,
            };
            each += self.through(size, 1.0);
        }
        self.most(list.size).saturating_mul(each)
    }
}

fn both(one: Option<Parts>, other: Option<Parts>) -> Option<Parts> {
    let (one, other) = (one?, other?);
    Some(Parts {
        key: either(one.key, other.key),
        value: either(one.value, other.value),
    })
}

/// Rounded up, as with the API server's floats.
fn scaled(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

/// How large a text is after `old` became `new`.
fn replaced(text: Size, old: Size, new: Size) -> Size {
    let most = if old.least == 0 {
        let times = text.most.saturating_add(1);
        times.saturating_mul(new.most).saturating_add(text.most)
    } else if new.most <= old.least {
        text.most
    } else {
        text.most.div_ceil(old.least).saturating_mul(new.most)
    };
    let least = if old.most == 0 {
        let times = text.least.saturating_add(1);
        times.saturating_mul(new.least).saturating_add(text.least)
    } else if old.most <= new.least {
        text.least
    } else {
        text.least.div_ceil(old.most).saturating_mul(new.least)
    };
    Size { least, most }
}

/// How large the text is that the items of a list make, with `between` any two.
fn joined(list: &Found, between: Option<Size>, bare: bool) -> Option<Size> {
    let item = match &list.place {
        Place::At(Some(declared)) => Size::upto(declared.element()?.most),
        _ => return None,
    };
    let whole = list.size?.times(item);
    if bare {
        return Some(whole);
    }
    let gaps = Size {
        least: list.size?.least.saturating_sub(1),
        most: list.size?.most.saturating_sub(1),
    };
    Some(whole.plus(between?.times(gaps)))
}
