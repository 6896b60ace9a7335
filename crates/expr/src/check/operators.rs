//! Which types an operator takes, and which one it gives.

use crate::ast::BinaryOp;
use crate::error::{Fault, Result};
use crate::ty::Ty;
use crate::value::Elements;

pub(super) fn binary(at: usize, op: BinaryOp, text: &str, tys: [&Ty; 2]) -> Result<Ty> {
    let [left, right] = tys;
    if op == BinaryOp::In {
        check_in(at, left, right)?;
    }
    answer(op, left, right).ok_or_else(|| {
        let (left, right) = (left.name(), right.name());
        Fault::new(
            at,
            format!("invalid operation: {text} (mismatched types {left} and {right})"),
        )
    })
}

/// The types on both sides of an operator.
#[derive(Clone, Copy)]
struct Sides<'t> {
    left: &'t Ty,
    right: &'t Ty,
}

impl Sides<'_> {
    fn both(self, fits: fn(&Ty) -> bool) -> bool {
        fits(self.left) && fits(self.right)
    }

    /// Whether at least one side is unknown, and a known one fits: only the run can tell.
    fn may_fit(self, fits: fn(&Ty) -> bool) -> bool {
        let one = |ty: &Ty| ty.is_unknown() || fits(ty);
        (self.left.is_unknown() || self.right.is_unknown()) && one(self.left) && one(self.right)
    }

    /// Whether both sides fit, as far as they are known.
    fn fit(self, fits: fn(&Ty) -> bool) -> bool {
        self.both(fits) || self.may_fit(fits)
    }
}

/// The type of `left op right`; `None` if there is no such operation.
fn answer(op: BinaryOp, left: &Ty, right: &Ty) -> Option<Ty> {
    use BinaryOp as B;
    let sides = Sides { left, right };
    match op {
        B::Eq | B::Ne => left.comparable(right).then_some(Ty::Bool),
        B::Or | B::And => sides.fit(|ty| *ty == Ty::Bool).then_some(Ty::Bool),
        B::Lt | B::Gt | B::Le | B::Ge => {
            let same = left == right && matches!(left, Ty::String | Ty::Time | Ty::Duration);
            (sides.both(Ty::is_number) || same || sides.may_fit(is_ordered)).then_some(Ty::Bool)
        }
        B::Sub => subtract(sides),
        B::Mul => {
            let scaled = matches!((left, right), (Ty::Duration, _) | (_, Ty::Duration))
                && (left.is_number() || *left == Ty::Duration)
                && (right.is_number() || *right == Ty::Duration);
            if scaled {
                let float = *left == Ty::Float || *right == Ty::Float;
                return Some(if float { Ty::Float } else { Ty::Duration });
            }
            if sides.both(Ty::is_number) {
                return Some(number(left, right));
            }
            let scalable = |ty: &Ty| ty.is_number() || *ty == Ty::Duration;
            sides.may_fit(scalable).then_some(Ty::Unknown)
        }
        B::Div | B::Pow => sides.fit(Ty::is_number).then_some(Ty::Float),
        B::Rem => sides.fit(Ty::is_integer).then_some(Ty::Int),
        B::Add => add(sides),
        B::Contains | B::StartsWith | B::EndsWith | B::Matches => {
            sides.fit(is_string).then_some(Ty::Bool)
        }
        B::Range => sides.fit(Ty::is_integer).then(|| Ty::list(Ty::Int)),
        B::In => (right.is_unknown() || right.is_list() || right.is_map()).then_some(Ty::Bool),
        B::Coalesce => Some(match (left, right) {
            (Ty::Nil, other) | (other, Ty::Nil) => other.clone(),
            (left, right) if left.assignable_to(right) => right.clone(),
            _ => Ty::Unknown,
        }),
    }
}

fn is_string(ty: &Ty) -> bool {
    *ty == Ty::String
}

fn is_ordered(ty: &Ty) -> bool {
    ty.is_number() || matches!(ty, Ty::String | Ty::Time | Ty::Duration)
}

fn is_subtractable(ty: &Ty) -> bool {
    ty.is_number() || matches!(ty, Ty::Time | Ty::Duration)
}

fn number(left: &Ty, right: &Ty) -> Ty {
    if left.is_integer() && right.is_integer() {
        Ty::Int
    } else {
        Ty::Float
    }
}

fn add(sides: Sides<'_>) -> Option<Ty> {
    match (sides.left, sides.right) {
        (Ty::Time, Ty::Duration) | (Ty::Duration, Ty::Time) => Some(Ty::Time),
        (Ty::Duration, Ty::Duration) => Some(Ty::Duration),
        (left, right) if sides.both(Ty::is_number) => Some(number(left, right)),
        _ if sides.both(is_string) => Some(Ty::String),
        _ => sides.may_fit(is_ordered).then_some(Ty::Unknown),
    }
}

fn subtract(sides: Sides<'_>) -> Option<Ty> {
    match (sides.left, sides.right) {
        (Ty::Time, Ty::Time) | (Ty::Duration, Ty::Duration) => Some(Ty::Duration),
        (Ty::Time, Ty::Duration) => Some(Ty::Time),
        (left, right) if sides.both(Ty::is_number) => Some(number(left, right)),
        _ => sides.may_fit(is_subtractable).then_some(Ty::Unknown),
    }
}

fn check_in(at: usize, left: &Ty, right: &Ty) -> Result<()> {
    let fail = |want: &str, place: &str| {
        let message = format!("cannot use {} as type {want} in {place}", left.name());
        Err(Fault::new(at, message))
    };
    match right {
        Ty::Map | Ty::Env if !left.is_unknown() && *left != Ty::String => fail("string", "map key"),
        Ty::List { item, elements } if !left.comparable(item) => {
            let want = match elements {
                Elements::Floats => "float64",
                _ => item.name(),
            };
            fail(want, "array")
        }
        _ => Ok(()),
    }
}
