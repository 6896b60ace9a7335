//! What functions and operators take, and what they answer.

use std::sync::Arc;

use super::types::Type;

/// Prefixes of the names of functions that Kubernetes 1.34 has for rules, and of types. What is
/// called with one is judged by its arguments alone.
pub(super) const NAMESPACES: [&str; 14] = [
    "cidr",
    "format",
    "google",
    "ip",
    "kubernetes",
    "lists",
    "net",
    "optional",
    "optional_type",
    "quantity",
    "semver",
    "sets",
    "strings",
    "url",
];

/// What is declared under a name. A signature is the type of what the function is called on, if
/// it is a member, those of its arguments, and that of its answer: `s` a string, `y` bytes,
/// `D` a duration, `T` a timestamp, `l` a list, `L` one of strings, `m` a map, `t` a type, `*`
/// anything, `e` an item of the list that it is called on, `?` nobody knows; the rest by their
/// first letters.
const SIGNATURES: [(&str, &[&str]); 65] = [
    ("!_", &["b:b"]),
    ("-_", &["i:i", "d:d"]),
    (
        "_+_",
        &[
            "ii:i", "uu:u", "dd:d", "ss:s", "yy:y", "DD:D", "TD:T", "DT:T",
        ],
    ),
    ("_-_", &["ii:i", "uu:u", "dd:d", "DD:D", "TT:D", "TD:T"]),
    ("_*_", &["ii:i", "uu:u", "dd:d"]),
    ("_/_", &["ii:i", "uu:u", "dd:d"]),
    ("_%_", &["ii:i", "uu:u"]),
    ("_<_", ORDERED),
    ("_<=_", ORDERED),
    ("_>_", ORDERED),
    ("_>=_", ORDERED),
    (
        "size",
        &["s:i", "y:i", "l:i", "m:i", "s.:i", "y.:i", "l.:i", "m.:i"],
    ),
    ("type", &["*:t"]),
    ("dyn", &["*:*"]),
    ("int", &["*:i"]),
    ("uint", &["*:u"]),
    ("double", &["*:d"]),
    ("string", &["*:s"]),
    ("bytes", &["*:y"]),
    ("bool", &["*:b"]),
    ("duration", &["D:D", "s:D", "i:D"]),
    ("timestamp", &["T:T", "s:T", "i:T"]),
    ("contains", &["s.s:b"]),
    ("startsWith", &["s.s:b"]),
    ("endsWith", &["s.s:b"]),
    ("matches", &["s.s:b", "ss:b"]),
    ("getFullYear", TIME),
    ("getMonth", TIME),
    ("getDayOfYear", TIME),
    ("getDayOfMonth", TIME),
    ("getDayOfWeek", TIME),
    ("getDate", TIME),
    ("getHours", SPAN),
    ("getMinutes", SPAN),
    ("getSeconds", SPAN),
    ("getMilliseconds", SPAN),
    ("charAt", &["s.i:s"]),
    ("indexOf", &["s.s:i", "s.si:i", "l.*:i"]),
    ("lastIndexOf", &["s.s:i", "s.si:i", "l.*:i"]),
    ("join", &["L.:s", "L.s:s"]),
    ("lowerAscii", &["s.:s"]),
    ("upperAscii", &["s.:s"]),
    ("replace", &["s.ss:s", "s.ssi:s"]),
    ("split", &["s.s:L", "s.si:L"]),
    ("substring", &["s.i:s", "s.ii:s"]),
    ("trim", &["s.:s"]),
    ("isSorted", &["l.:b"]),
    ("sum", &["l.:e"]),
    ("min", &["l.:e"]),
    ("max", &["l.:e"]),
    ("find", &["s.s:s"]),
    ("findAll", &["s.s:L", "s.si:L"]),
    ("isURL", &["s:b"]),
    ("url", &["s:?"]),
    ("isIP", &["s:b", "si:b"]),
    ("ip", &["s:?", "?.:?"]),
    ("isCIDR", &["s:b"]),
    ("cidr", &["s:?"]),
    ("isQuantity", &["s:b"]),
    ("quantity", &["s:?"]),
    ("isSemver", &["s:b", "sb:b"]),
    ("semver", &["s:?", "sb:?"]),
    ("hasValue", &["?.:b"]),
    ("isGreaterThan", &["?.?:b"]),
    ("isLessThan", &["?.?:b"]),
];

const ORDERED: &[&str] = &[
    "bb:b", "ii:b", "uu:b", "dd:b", "iu:b", "ui:b", "id:b", "di:b", "ud:b", "du:b", "ss:b", "yy:b",
    "DD:b", "TT:b",
];
const TIME: &[&str] = &["T.:i", "T.s:i"];
const SPAN: &[&str] = &["T.:i", "T.s:i", "D.:i"];

/// Functions whose arguments nobody here looks at.
const OTHERS: [&str; 58] = [
    "add",
    "all",
    "allowed",
    "asApproximateFloat",
    "asInteger",
    "check",
    "compareTo",
    "containsCIDR",
    "containsDigest",
    "containsIP",
    "digest",
    "distinct",
    "error",
    "errored",
    "exists",
    "existsOne",
    "exists_one",
    "family",
    "fieldSelector",
    "first",
    "flatten",
    "format",
    "getEscapedPath",
    "getHost",
    "getHostname",
    "getPort",
    "getQuery",
    "getScheme",
    "group",
    "identifier",
    "image",
    "isGlobalUnicast",
    "isImage",
    "isInteger",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isUnspecified",
    "labelSelector",
    "last",
    "major",
    "masked",
    "minor",
    "name",
    "namespace",
    "patch",
    "path",
    "prefixLength",
    "reason",
    "registry",
    "repository",
    "resource",
    "reverse",
    "serviceAccount",
    "sign",
    "slice",
    "sort",
    "sub",
];
/// More of them.
const REST: [&str; 13] = [
    "sortBy",
    "subresource",
    "tag",
    "optFlatMap",
    "optMap",
    "or",
    "orValue",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "unwrapOpt",
    "validate",
    "value",
];

/// What a call comes to.
#[derive(Debug)]
pub(super) enum Resolved {
    /// There is no such function.
    Undeclared,
    /// None of its overloads takes what it is given.
    Mismatched,
    As(Type),
}

pub(super) fn resolve(name: &str, target: Option<&Type>, args: &[&Type]) -> Resolved {
    let Some((_, signatures)) = SIGNATURES.iter().find(|(known, _)| *known == name) else {
        return if OTHERS.contains(&name) || REST.contains(&name) {
            Resolved::As(Type::Unknown)
        } else {
            Resolved::Undeclared
        };
    };
    let answers = signatures
        .iter()
        .filter_map(|signature| answer(signature, target, args));
    let mut found: Option<Type> = None;
    for answer in answers {
        found = Some(match found {
            None => answer,
            Some(known) if known.to_string() == answer.to_string() => known,
            Some(_) if args.iter().chain(&target).any(|kind| kind.is_unknown()) => Type::Unknown,
            Some(_) => Type::Dyn,
        });
    }
    found.map_or(Resolved::Mismatched, Resolved::As)
}

/// What an overload answers, if it takes what it is given.
fn answer(signature: &str, target: Option<&Type>, args: &[&Type]) -> Option<Type> {
    let (head, result) = signature.split_once(':')?;
    let (own, params) = match head.split_once('.') {
        Some((own, params)) => (Some(own), params),
        None => (None, head),
    };
    let called = match (own, target) {
        (None, None) => true,
        (Some(own), Some(target)) => own.chars().all(|letter| takes(letter, target)),
        _ => false,
    };
    let taken = params.chars().count() == args.len()
        && params
            .chars()
            .zip(args)
            .all(|(letter, kind)| takes(letter, kind));
    (called && taken).then(|| answered(result, target))
}

fn takes(letter: char, kind: &Type) -> bool {
    match (letter, kind) {
        (_, Type::Unknown | Type::Dyn)
        | ('*' | '?', _)
        | ('b', Type::Bool)
        | ('i', Type::Int)
        | ('u', Type::Uint)
        | ('d', Type::Double)
        | ('s', Type::Text)
        | ('y', Type::Bytes)
        | ('D', Type::Duration | Type::Null)
        | ('T', Type::Timestamp | Type::Null)
        | ('l', Type::List(_))
        | ('m', Type::Map(..)) => true,
        ('L', Type::List(item)) => item.fits(&Type::Text),
        _ => false,
    }
}

fn answered(letter: &str, target: Option<&Type>) -> Type {
    match letter {
        "b" => Type::Bool,
        "i" => Type::Int,
        "u" => Type::Uint,
        "d" => Type::Double,
        "s" => Type::Text,
        "y" => Type::Bytes,
        "D" => Type::Duration,
        "T" => Type::Timestamp,
        "t" => Type::Meta,
        "L" => Type::List(Arc::new(Type::Text)),
        "*" => Type::Dyn,
        "e" => match target {
            Some(Type::List(item)) => Type::clone(item),
            _ => Type::Unknown,
        },
        _ => Type::Unknown,
    }
}
