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
/// Longest pattern of `matches`, in bytes: whatever fits into a source fits. Go has no such limit.
pub const PATTERN_BYTES: usize = 4 * SOURCE_CHARS;

/// How many values a JSON text can hold, before they are made: a value takes some hundred bytes of
/// memory, and `[]` is one. Each but the outermost follows a comma, or an opening bracket that is
/// not closed at once. Of what is no JSON, no reader makes more of them.
pub fn values_at_most(json: &[u8]) -> usize {
    // What does not begin as a list or a map is one value, or no JSON from the start.
    if !matches!(json.trim_ascii_start().first(), Some(b'[' | b'{')) {
        return 1;
    }
    let (mut count, mut opened) = (1, false);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        if opened && !byte.is_ascii_whitespace() {
            opened = false;
            count += usize::from(!matches!(byte, b']' | b'}'));
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b',' if !in_string => count += 1,
            b'[' | b'{' if !in_string => opened = true,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::values_at_most;

    #[test]
    fn values_are_counted_without_what_stands_in_strings() {
        for (json, count) in [
            ("", 1),
            ("1,2,3", 1),
            ("\"a,b\"", 1),
            ("[]", 1),
            (" [ \n ] ", 1),
            ("[", 1),
            ("[[ ]]", 2),
            ("[{},[]]", 3),
            ("[\"]\"]", 2),
            (" [1, 2, 3]", 4),
            ("{\"a\": [], \"b,[\": {}}", 3),
            ("[\"a\\\"[,{\", \",\\\\\", 1]", 4),
            ("[[],[],", 4),
        ] {
            assert_eq!(values_at_most(json.as_bytes()), count, "{json}");
        }
    }
}
