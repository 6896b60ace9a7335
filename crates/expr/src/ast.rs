//! The syntax tree.

/// One node; `at` is the character offset that errors point to.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
    /// Of the tree below, for the depth limit.
    pub(crate) depth: u16,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Ident(String),
    Unary {
        op: UnaryOp,
        /// As written, for messages.
        text: &'static str,
        operand: Box<Node>,
    },
    Binary {
        op: BinaryOp,
        text: &'static str,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// `base.name`, `base[property]`, `base?.name`.
    Member {
        base: Box<Node>,
        property: Box<Node>,
        optional: bool,
        /// The callee of a call.
        method: bool,
    },
    /// Where the nil of a `?.` inside stops.
    Chain(Box<Node>),
    Slice {
        base: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    Call {
        callee: Box<Node>,
        args: Vec<Node>,
    },
    Builtin {
        name: &'static str,
        args: Vec<Node>,
    },
    /// The closure that a builtin applies to each element.
    Predicate(Box<Node>),
    /// `#`, `#index`, `#acc`.
    Pointer(String),
    Conditional {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    Let {
        name: String,
        value: Box<Node>,
        body: Box<Node>,
    },
    Sequence(Vec<Node>),
    Array(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    Not,
    Minus,
    Plus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
    In,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Pow,
    Coalesce,
}
