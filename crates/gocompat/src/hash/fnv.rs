//! FNV-1a and the alphabet that hashes are spelled in.

const OFFSET_BASIS: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// No vowels and no look-alikes, so that a hash never spells a word.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// 32-bit FNV-1a over `chunks` in order.
pub(super) fn fnv1a_32(chunks: &[&[u8]]) -> u32 {
    chunks
        .iter()
        .flat_map(|chunk| chunk.iter())
        .fold(OFFSET_BASIS, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(PRIME)
        })
}

/// apimachinery's `SafeEncodeString` of the decimal form of `hash`.
pub(super) fn safe_encode(hash: u32) -> String {
    let letter = |digit: u8| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]);
    hash.to_string().bytes().map(letter).collect()
}
