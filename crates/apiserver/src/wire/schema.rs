//! The table of messages (`messages.txt`), parsed once.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What a field holds; see the head of `messages.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Bytes,
    Bool,
    Int,
    Double,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    Raw,
    Message(usize),
}

/// How often a field occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    Map,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// JSON name; `.` is inlined into the parent.
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) kind: Type,
    /// Zero values are left out of the JSON.
    pub(super) omit_zero: bool,
}

pub(super) type Message = BTreeMap<u64, Field>;

/// All messages, and which of them are kinds.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) messages: Vec<Message>,
    kinds: BTreeMap<(&'static str, &'static str), usize>,
}

impl Table {
    /// The message of a kind. `DeleteOptions` is the same in every group.
    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<usize> {
        let version = if kind == "DeleteOptions" {
            "v1"
        } else {
            api_version
        };
        self.kinds
            .iter()
            .find(|((v, k), _)| *v == version && *k == kind)
            .map(|(_, index)| *index)
    }
}

/// The table of this build.
pub(super) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| parse(include_str!("messages.txt")))
}

fn parse(source: &'static str) -> Table {
    let mut table = Table::default();
    for line in source.lines().filter(|line| !line.starts_with("# ")) {
        let mut words = line.split(' ');
        let first = words.next().unwrap_or_default();
        if first.starts_with('#') {
            if let (Some(version), Some(kind)) = (words.next(), words.next()) {
                table.kinds.insert((version, kind), table.messages.len());
            }
            table.messages.push(Message::new());
        } else if let (Ok(number), Some(name), Some(kind)) =
            (first.parse(), words.next(), words.next())
            && let Some(message) = table.messages.last_mut()
        {
            message.insert(number, field(name, kind));
        }
    }
    table
}

fn field(name: &'static str, words: &str) -> Field {
    let (words, omit_zero) = words
        .strip_suffix('?')
        .map_or((words, false), |words| (words, true));
    let (shape, code) = match words.as_bytes().first() {
        Some(b'*') => (Shape::List, &words[1..]),
        Some(b'@') => (Shape::Map, &words[1..]),
        _ => (Shape::One, words),
    };
    let kind = match code {
        "b" => Type::Bytes,
        "t" => Type::Bool,
        "i" => Type::Int,
        "d" => Type::Double,
        "T" => Type::Time,
        "U" => Type::MicroTime,
        "Q" => Type::Quantity,
        "I" => Type::IntOrString,
        "R" => Type::Raw,
        _ => code
            .strip_prefix('m')
            .and_then(|index| index.parse().ok())
            .map_or(Type::Text, Type::Message),
    };
    Field {
        name,
        shape,
        kind,
        omit_zero,
    }
}
