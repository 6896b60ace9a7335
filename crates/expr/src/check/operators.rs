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

/// The type of `left op right`; `None` if there is no such operation.
fn answer(op: BinaryOp, left: &Ty, right: &Ty) -> Option<Ty> {
    use BinaryOp as B;
    let numbers = left.is_number() && right.is_number();
    // Whether both sides are unknown or of the given kind, and one is unknown.
    let either = |fits: fn(&Ty) -> bool| {
        let one = |ty: &Ty| ty.is_unknown() || fits(ty);
        (left.is_unknown() || right.is_unknown()) && one(left) && one(right)
    };
    let strings = *left == Ty::String && *right == Ty::String;
    match op {
        B::Eq | B::Ne => left.comparable(right).then_some(Ty::Bool),
        B::Or | B::And => {
            let bools = *left == Ty::Bool && *right == Ty::Bool;
            (bools || either(|ty| *ty == Ty::Bool)).then_some(Ty::Bool)
        }
        B::Lt | B::Gt | B::Le | B::Ge => {
            let same = left == right && matches!(left, Ty::String | Ty::Time | Ty::Duration);
            (numbers || same || either(is_ordered)).then_some(Ty::Bool)
        }
        B::Sub => subtract(left, right, numbers, either(is_subtractable)),
        B::Mul => {
            let scaled = matches!((left, right), (Ty::Duration, _) | (_, Ty::Duration))
                && (left.is_number() || *left == Ty::Duration)
                && (right.is_number() || *right == Ty::Duration);
            if scaled {
                let float = *left == Ty::Float || *right == Ty::Float;
                return Some(if float { Ty::Float } else { Ty::Duration });
            }
            if numbers {
                return Some(number(left, right));
            }
            either(|ty| ty.is_number() || *ty == Ty::Duration).then_some(Ty::Unknown)
        }
        B::Div | B::Pow => (numbers || either(Ty::is_number)).then_some(Ty::Float),
        B::Rem => {
            let integers = left.is_integer() && right.is_integer();
            (integers || either(Ty::is_integer)).then_some(Ty::Int)
        }
        B::Add => add(left, right, numbers, strings, either(is_ordered)),
        B::Contains | B::StartsWith | B::EndsWith | B::Matches => {
            (strings || either(|ty| *ty == Ty::String)).then_some(Ty::Bool)
        }
        B::Range => {
            let integers = left.is_integer() && right.is_integer();
            (integers || either(Ty::is_integer)).then(|| Ty::list(Ty::Int))
        }
        B::In => (right.is_unknown() || right.is_list() || right.is_map()).then_some(Ty::Bool),
        B::Coalesce => Some(match (left, right) {
            (Ty::Nil, other) | (other, Ty::Nil) => other.clone(),
            (left, right) if left.assignable_to(right) => right.clone(),
            _ => Ty::Unknown,
        }),
    }
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

fn add(left: &Ty, right: &Ty, numbers: bool, strings: bool, either: bool) -> Option<Ty> {
    match (left, right) {
        (Ty::Time, Ty::Duration) | (Ty::Duration, Ty::Time) => Some(Ty::Time),
        (Ty::Duration, Ty::Duration) => Some(Ty::Duration),
        _ if numbers => Some(number(left, right)),
        _ if strings => Some(Ty::String),
        _ => either.then_some(Ty::Unknown),
    }
}

fn subtract(left: &Ty, right: &Ty, numbers: bool, either: bool) -> Option<Ty> {
    match (left, right) {
        (Ty::Time, Ty::Time) | (Ty::Duration, Ty::Duration) => Some(Ty::Duration),
        (Ty::Time, Ty::Duration) => Some(Ty::Time),
        _ if numbers => Some(number(left, right)),
        _ => either.then_some(Ty::Unknown),
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
