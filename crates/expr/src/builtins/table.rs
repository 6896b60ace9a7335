//! The table of functions: their names, how their arguments are parsed, and which types they take.

use crate::ast::Node;
use crate::error::{Fault, Result};
use crate::ty::Ty;
use crate::value::Elements;

/// How an argument of a builtin with a predicate is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    Expression,
    OptionalExpression,
    Predicate,
    OptionalPredicate,
}

pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    /// `None` for those without a predicate.
    pub(crate) parameters: Option<&'static [Parameter]>,
}

const PREDICATE: &[Parameter] = &[Parameter::Expression, Parameter::Predicate];
const OPTIONAL: &[Parameter] = &[Parameter::Expression, Parameter::OptionalPredicate];
const EXTRA: &[Parameter] = &[
    Parameter::Expression,
    Parameter::Predicate,
    Parameter::OptionalExpression,
];

const PREDICATES: &[Builtin] = &[
    with("all", PREDICATE),
    with("any", PREDICATE),
    with("count", OPTIONAL),
    with("filter", PREDICATE),
    with("find", PREDICATE),
    with("findIndex", PREDICATE),
    with("findLast", PREDICATE),
    with("findLastIndex", PREDICATE),
    with("groupBy", PREDICATE),
    with("map", PREDICATE),
    with("none", PREDICATE),
    with("one", PREDICATE),
    with("reduce", EXTRA),
    with("sortBy", EXTRA),
    with("sum", OPTIONAL),
];

const fn with(name: &'static str, parameters: &'static [Parameter]) -> Builtin {
    Builtin {
        name,
        parameters: Some(parameters),
    }
}

/// How many arguments a function takes, and the message for a wrong number.
#[derive(Clone, Copy)]
enum Arity {
    /// "invalid number of arguments (expected n, got m)".
    Exactly(usize),
    /// "invalid number of arguments (expected at least n, got m)".
    AtLeast(usize),
    /// Fixed types: "not enough arguments to call f", "too many arguments to call f".
    Signature {
        overloads: &'static [&'static [Want]],
    },
    /// Any values, counted as in a signature.
    Between(usize, usize),
}

/// A type of a fixed signature.
#[derive(Clone, Copy)]
enum Want {
    String,
    Int,
    Ints,
    Strings,
}

use Want::{Int as I, Ints, String as S, Strings};

const S1: Arity = Arity::Signature { overloads: &[&[S]] };
const S2: Arity = Arity::Signature {
    overloads: &[&[S, S]],
};
const I1: Arity = Arity::Signature { overloads: &[&[I]] };
const I2: Arity = Arity::Signature {
    overloads: &[&[I, I]],
};
const SPLIT: Arity = Arity::Signature {
    overloads: &[&[S, S], &[S, S, I]],
};
const TRIM: Arity = Arity::Signature {
    overloads: &[&[S], &[S, S]],
};
const TRIM_FIX: Arity = Arity::Signature {
    overloads: &[&[S, S], &[S]],
};
const MANY: usize = usize::MAX;

/// Builtins without a predicate.
const FUNCTIONS: &[(&str, Arity)] = &[
    ("abs", Arity::Exactly(1)),
    ("bitand", I2),
    ("bitnand", I2),
    ("bitnot", I1),
    ("bitor", I2),
    ("bitshl", I2),
    ("bitshr", I2),
    ("bitushr", I2),
    ("bitxor", I2),
    ("ceil", Arity::Exactly(1)),
    ("concat", Arity::AtLeast(1)),
    ("date", Arity::AtLeast(1)),
    ("duration", S1),
    ("first", Arity::Exactly(1)),
    ("flatten", Arity::Exactly(1)),
    ("float", Arity::Exactly(1)),
    ("floor", Arity::Exactly(1)),
    ("fromBase64", S1),
    ("fromJSON", S1),
    ("fromPairs", Arity::Exactly(1)),
    ("get", Arity::Exactly(2)),
    ("hasPrefix", S2),
    ("hasSuffix", S2),
    ("indexOf", S2),
    ("int", Arity::Exactly(1)),
    (
        "join",
        Arity::Signature {
            overloads: &[&[Strings, S], &[Strings]],
        },
    ),
    ("keys", Arity::Exactly(1)),
    ("last", Arity::Exactly(1)),
    ("lastIndexOf", S2),
    ("len", Arity::Exactly(1)),
    ("lower", S1),
    ("max", Arity::Between(1, MANY)),
    ("mean", Arity::Between(1, MANY)),
    ("median", Arity::Between(1, MANY)),
    ("min", Arity::Between(1, MANY)),
    ("now", Arity::Exactly(0)),
    (
        "repeat",
        Arity::Signature {
            overloads: &[&[S, I]],
        },
    ),
    (
        "replace",
        Arity::Signature {
            overloads: &[&[S, S, S, I], &[S, S, S]],
        },
    ),
    ("reverse", Arity::Exactly(1)),
    ("round", Arity::Exactly(1)),
    (
        "sort",
        Arity::Signature {
            overloads: &[&[Ints, S], &[Ints]],
        },
    ),
    ("split", SPLIT),
    ("splitAfter", SPLIT),
    ("string", Arity::Between(1, 1)),
    ("take", Arity::Exactly(2)),
    ("timezone", S1),
    ("toBase64", S1),
    ("toJSON", Arity::Between(1, 1)),
    ("toPairs", Arity::Exactly(1)),
    ("trim", TRIM),
    ("trimPrefix", TRIM_FIX),
    ("trimSuffix", TRIM_FIX),
    ("type", Arity::Between(1, 1)),
    ("uniq", Arity::Exactly(1)),
    ("upper", S1),
    ("values", Arity::Exactly(1)),
];

pub(crate) fn find(name: &str) -> Option<Builtin> {
    if let Some(builtin) = PREDICATES.iter().find(|builtin| builtin.name == name) {
        return Some(Builtin {
            name: builtin.name,
            parameters: builtin.parameters,
        });
    }
    FUNCTIONS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(name, _)| Builtin {
            name,
            parameters: None,
        })
}

pub(crate) fn is_builtin(name: &str) -> bool {
    find(name).is_some()
}

/// Checks a call of a builtin without a predicate and gives the type of its answer.
pub(crate) fn check(at: usize, name: &str, args: &[Node], tys: &[Ty]) -> Result<Ty> {
    let arity = FUNCTIONS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(Arity::Between(0, MANY), |(_, arity)| *arity);
    check_count(at, name, arity, tys.len())?;
    if let Arity::Signature { overloads } = arity {
        check_signature(at, name, overloads, args, tys)?;
    }
    check_types(at, name, args, tys)?;
    Ok(answer(name, tys))
}

fn check_count(at: usize, name: &str, arity: Arity, count: usize) -> Result<()> {
    let fail = |message: String| Err(Fault::new(at, message));
    match arity {
        Arity::Exactly(n) if count != n => fail(format!(
            "invalid number of arguments (expected {n}, got {count})"
        )),
        Arity::AtLeast(n) if count < n => fail(format!(
            "invalid number of arguments (expected at least {n}, got {count})"
        )),
        Arity::Between(least, _) if count < least => {
            fail(format!("not enough arguments to call {name}"))
        }
        Arity::Between(_, most) if count > most => {
            fail(format!("too many arguments to call {name}"))
        }
        _ => Ok(()),
    }
}

/// The first overload that fits wins; otherwise the last one's complaint is the error.
fn check_signature(
    at: usize,
    name: &str,
    overloads: &[&[Want]],
    args: &[Node],
    tys: &[Ty],
) -> Result<()> {
    let mut fault = None;
    for overload in overloads {
        match check_overload(at, name, overload, args, tys) {
            Ok(()) => return Ok(()),
            // Of several, Go reports the last that it tried, in its order of preference.
            Err(found) => fault = Some(found),
        }
    }
    fault.map_or(Ok(()), Err)
}

fn check_overload(at: usize, name: &str, wants: &[Want], args: &[Node], tys: &[Ty]) -> Result<()> {
    if tys.len() < wants.len() {
        return Err(Fault::new(
            at,
            format!("not enough arguments to call {name}"),
        ));
    }
    if tys.len() > wants.len() {
        return Err(Fault::new(at, format!("too many arguments to call {name}")));
    }
    for ((want, ty), arg) in wants.iter().zip(tys).zip(args) {
        let (fits, wanted) = match want {
            S => (*ty == Ty::String, "string"),
            I => (ty.is_integer(), "int"),
            Ints => (ty.is_list(), "[]int"),
            Strings => (is_strings(ty), "[]string"),
        };
        if !fits && !ty.is_unknown() {
            return Err(wrong_argument(arg.at, name, ty, wanted));
        }
    }
    Ok(())
}

fn is_strings(ty: &Ty) -> bool {
    matches!(
        ty,
        Ty::List {
            elements: Elements::Any | Elements::Strings,
            ..
        }
    )
}

/// Go leaves a space after the name of the function, except for nil.
pub(crate) fn wrong_argument(at: usize, name: &str, have: &Ty, want: &str) -> Fault {
    let message = if *have == Ty::Nil {
        format!("cannot use nil as argument (type {want}) to call {name}")
    } else {
        let have = have.name();
        format!("cannot use {have} as argument (type {want}) to call {name} ")
    };
    Fault::new(at, message)
}

fn check_types(at: usize, name: &str, args: &[Node], tys: &[Ty]) -> Result<()> {
    let ok = |fits: bool, message: String| {
        if fits {
            Ok(())
        } else {
            Err(Fault::new(at, message))
        }
    };
    let Some(ty) = tys.first() else { return Ok(()) };
    let unknown = ty.is_unknown();
    let list = unknown || ty.is_list();
    let map = unknown || ty.is_map();
    let shown = ty.name_s();
    match name {
        "len" => ok(
            list || map || *ty == Ty::String,
            format!("invalid argument for {name} (type {shown})"),
        ),
        "abs" | "ceil" | "floor" | "round" => ok(
            unknown || ty.is_number(),
            format!("invalid argument for {name} (type {shown})"),
        ),
        "int" | "float" => ok(
            unknown
                || ty.is_number()
                || matches!(ty, Ty::String | Ty::Month | Ty::Weekday | Ty::Duration),
            format!("invalid argument for {name} (type {shown})"),
        ),
        "min" | "max" | "mean" | "median" => tys.iter().try_for_each(|ty| {
            let number = ty.is_number() || (*ty == Ty::Duration && matches!(name, "min" | "max"));
            ok(
                ty.is_unknown() || ty.is_list() || number,
                format!("invalid argument for {name} (type {})", ty.name_s()),
            )
        }),
        "first" | "last" => ok(list, format!("cannot get {name} element from {shown}")),
        "get" => check_get(args, tys),
        "take" => {
            ok(list, format!("cannot take from {shown}"))?;
            let count = &tys[1];
            ok(
                count.is_unknown() || count.is_integer(),
                format!("cannot take {} elements", count.name_s()),
            )
        }
        "reverse" | "uniq" | "flatten" => ok(list, format!("cannot {name} {shown}")),
        "concat" => tys.iter().try_for_each(|ty| {
            let fits = ty.is_unknown() || ty.is_list();
            ok(fits, format!("cannot concat {}", ty.name_s()))
        }),
        "keys" | "values" => ok(map, format!("cannot get {name} from {shown}")),
        "toPairs" => ok(map, format!("cannot transform {shown} to pairs")),
        "fromPairs" => ok(list, format!("cannot transform {shown} from pairs")),
        _ => Ok(()),
    }
}

fn check_get(args: &[Node], tys: &[Ty]) -> Result<()> {
    let (base, key) = (&tys[0], &tys[1]);
    if base.is_unknown() {
        return Ok(());
    }
    if base.is_map() {
        return crate::check::check_key(args[1].at, base, key);
    }
    if base.is_list() {
        if key.is_unknown() || key.is_integer() {
            return Ok(());
        }
        let message = format!("non-integer slice index {}", key.name());
        return Err(Fault::new(args[1].at, message));
    }
    Err(Fault::new(
        args[0].at,
        format!("type {} does not support indexing", base.name()),
    ))
}

fn answer(name: &str, tys: &[Ty]) -> Ty {
    let first = tys.first().cloned().unwrap_or(Ty::Unknown);
    match name {
        "len" | "int" | "indexOf" | "lastIndexOf" | "bitand" | "bitor" | "bitxor" | "bitnand"
        | "bitnot" | "bitshl" | "bitshr" | "bitushr" => Ty::Int,
        "ceil" | "floor" | "round" | "float" => Ty::Float,
        "string" | "type" | "toJSON" | "toBase64" | "fromBase64" | "upper" | "lower" | "trim"
        | "trimPrefix" | "trimSuffix" | "join" | "replace" | "repeat" => Ty::String,
        "hasPrefix" | "hasSuffix" => Ty::Bool,
        "split" | "splitAfter" => Ty::strings(),
        "now" | "date" => Ty::Time,
        "duration" => Ty::Duration,
        "timezone" => Ty::Zone,
        "abs" => first,
        "min" | "max" if first.is_number() || first == Ty::Duration => {
            if tys.iter().any(Ty::is_unknown) {
                Ty::Unknown
            } else {
                first
            }
        }
        "first" | "last" => match &first {
            // Go goes by the type of the slice, which for a written list is `[]interface {}`.
            Ty::List {
                elements: Elements::Any,
                ..
            } => Ty::Unknown,
            other => other.item(),
        },
        "get" => first.item(),
        "keys" | "values" | "sort" | "uniq" | "flatten" | "concat" | "reverse" | "take"
        | "toPairs" => Ty::list(Ty::Unknown),
        "fromPairs" => Ty::AnyMap,
        _ => Ty::Unknown,
    }
}
