//! Stable pseudo-random values: sizes, addresses, request identifiers.
//!
//! Owns: the one way from names to numbers. Never uses a random source, so that two runs over the same
//! names give the same answers and a test can expect them.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The first 64 bits of SHA-256 over `parts`, encoded so that `["ab"]` and `["a", "b"]` differ.
pub fn number(parts: &[&str]) -> u64 {
    bytes(parts)
        .into_iter()
        .take(8)
        .fold(0, |value, byte| (value << 8) | u64::from(byte))
}

/// The first `digits` (at most 64) hexadecimal digits of the same digest.
pub fn hex(parts: &[&str], digits: usize) -> String {
    let mut text = to_hex(&bytes(parts));
    text.truncate(digits);
    text
}

/// The same digest in the form of a UUID, as AWS writes request and namespace identifiers.
pub fn uuid(parts: &[&str]) -> String {
    let digits = hex(parts, 32);
    let mut text = String::with_capacity(36);
    for (index, digit) in digits.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// Lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Undoes [`to_hex`]; `None` when `text` is anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

fn bytes(parts: &[&str]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_give_the_same_number_and_other_names_another() {
        assert_eq!(number(&["a", "b"]), number(&["a", "b"]));
        assert_ne!(number(&["ab"]), number(&["a", "b"]));
    }

    #[test]
    fn a_uuid_has_its_hyphens_where_they_belong() {
        let text = uuid(&["x"]);
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }

    #[test]
    fn hexadecimal_comes_back_as_it_went_and_nothing_else_is_taken() {
        assert_eq!(from_hex(&to_hex(b"\x00\xffz")), Some(b"\x00\xffz".to_vec()));
        for text in ["abc", "zz", "é0", "+1"] {
            assert!(
                from_hex(text).is_none_or(|bytes| to_hex(&bytes) != text),
                "{text}"
            );
        }
    }
}
