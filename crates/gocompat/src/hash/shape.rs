//! The JSON shape of a Go struct: what its fields are called, in which order they are written, and
//! when they are left out.

/// Fields in the order `encoding/json` writes them, embedded structs flattened.
pub(crate) type Struct = &'static [Field];

#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) omit: Omit,
    pub(crate) shape: Shape,
}

/// When a field is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Omit {
    /// No option: an absent list is `null`, an absent string `""`.
    Always,
    /// `omitempty`: false, 0, nil, and empty strings, lists and maps. Never a struct.
    Empty,
    /// `omitzero`: whatever the type calls zero.
    Zero,
}

/// The type of a field, as far as JSON can tell.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Str,
    Bool,
    Int32,
    Int64,
    Quantity,
    IntOrString,
    Time,
    /// JSON that Go keeps as bytes.
    Raw,
    /// Nil or a value: what is present is written even when it is empty.
    Ptr(&'static Self),
    List(&'static Self),
    /// Keys are strings, written in byte order.
    Map(&'static Self),
    /// A row of the table that the shape belongs to.
    Object(usize),
}

/// A row of a table, short because the generated table has some six hundred.
pub(crate) const fn f(name: &'static str, omit: Omit, shape: Shape) -> Field {
    Field { name, omit, shape }
}
