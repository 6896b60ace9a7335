//! Bounds that keep a hostile condition from hurting the controller.

/// Longest source, in characters.
pub const SOURCE_CHARS: usize = 64 * 1024;
/// Deepest nesting of the tree and of the parser.
pub const DEPTH: u16 = 150;
/// Most nodes of a tree; Go's own default.
pub const NODES: usize = 10_000;
/// Deepest nesting of a value that a run makes; JSON is at most 128 levels deep.
pub const VALUE_DEPTH: u32 = 320;
/// Elements that one run may create, Go's memory budget.
pub const MEMORY: usize = 1_000_000;
/// Work that one run may do: nodes evaluated, and what operators and functions walk over. Go has no
/// such limit; a condition that needs more would hold up the planner for seconds.
pub const STEPS: usize = 5_000_000;
/// Longest string that one run may build, in bytes. Go has no such limit.
pub const STRING_BYTES: usize = 16 * 1024 * 1024;
