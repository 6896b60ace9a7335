//! The syntax tree.

/// Nodes that are applied one after the other.
pub(super) type List = Vec<Node>;

#[derive(Clone, Debug)]
pub(super) enum Node {
    /// What stands between one pair of braces.
    Action(List),
    Text(String),
    Field(String),
    Slice(Slice),
    Filter(Box<Filter>),
    Int(i64),
    Float(f64),
    Bool(bool),
    Wildcard,
    Recursive,
    Union(Vec<List>),
    /// `range` and `end`, and mistakes.
    Identifier(String),
}

/// `[start:end:step]`, `[index]` (an end that is derived from the start), `[*]`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) end_is_derived: bool,
    pub(super) step: Option<i64>,
}

#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) left: List,
    /// `exists` when there is no right side.
    pub(super) comparison: Option<(String, List)>,
}
