//! Parsed expressions, with the places that messages about them name.

/// The deepest tree that is kept: who looks at one recurses.
const DEPTH: usize = 96;

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Node {
    /// Byte offset of the place that the API server's parser gives to such a part: of a call its
    /// parenthesis, of an operation its operator.
    pub(super) at: usize,
    depth: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    /// A text of so many characters.
    Text(u64),
    /// So many bytes.
    Bytes(u64),
    Name(String),
    Select {
        from: Box<Node>,
        field: String,
        optional: bool,
    },
    Index {
        from: Box<Node>,
        key: Box<Node>,
        optional: bool,
    },
    /// A function, or an operator under the name that it has in messages.
    Call {
        target: Option<Box<Node>>,
        name: String,
        args: Vec<Node>,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// What nobody looks into: messages, optional elements, and what is too deep.
    Opaque,
}

impl Node {
    /// A part at a place; what it is made of is forgotten if it goes too deep.
    pub(super) fn new(at: usize, kind: Kind) -> Self {
        let below = match &kind {
            Kind::Select { from, .. } => from.depth,
            Kind::Index { from, key, .. } => from.depth.max(key.depth),
            Kind::Call { target, args, .. } => {
                let parts = args.iter().chain(target.as_deref());
                deepest(parts)
            }
            Kind::List(items) => deepest(items.iter()),
            Kind::Map(entries) => deepest(entries.iter().flat_map(|(key, value)| [key, value])),
            _ => 0,
        };
        if below >= DEPTH {
            return Self::opaque(at);
        }
        Self {
            at,
            depth: below + 1,
            kind,
        }
    }

    /// A part that nobody looks into.
    pub(super) const fn opaque(at: usize) -> Self {
        Self {
            at,
            depth: 1,
            kind: Kind::Opaque,
        }
    }

    /// An operation, or a call of a function that is no member.
    pub(super) fn call(at: usize, name: &str, args: Vec<Self>) -> Self {
        let name = name.to_owned();
        let target = None;
        Self::new(at, Kind::Call { target, name, args })
    }

    /// `&&` or `||` of several, as balanced as the API server's parser makes it: the operators
    /// stand between the terms.
    pub(super) fn balanced(name: &str, mut terms: Vec<Self>, operators: &[usize]) -> Self {
        let middle = operators.len() / 2;
        let Some(at) = operators.get(middle).copied() else {
            return terms.pop().unwrap_or_else(|| Self::opaque(0));
        };
        let after = terms.split_off(terms.len().min(middle + 1));
        let left = Self::balanced(name, terms, operators.get(..middle).unwrap_or_default());
        let right = Self::balanced(name, after, operators.get(middle + 1..).unwrap_or_default());
        Self::call(at, name, vec![left, right])
    }
}

fn deepest<'n>(nodes: impl Iterator<Item = &'n Node>) -> usize {
    nodes.map(|node| node.depth).max().unwrap_or(0)
}
