//! Hashes that stay what they are: from one release to the next, and from one machine to another.
//!
//! Owns: SHA-256 as hex digits, and lists of texts as bytes. Never a secret's hash: nothing here is salted.

use sha2::{Digest, Sha256};

/// The bytes of a list of texts, each preceded by its length in eight bytes, big-endian: no two lists have the same.
pub fn framed<'a>(parts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let framed = |part: &'a str| [&(part.len() as u64).to_be_bytes(), part.as_bytes()].concat();
    parts.into_iter().flat_map(framed).collect()
}

/// The first `digits` hex digits of SHA-256 over `bytes`, in lower case; an even number up to 64.
pub fn hex(bytes: &[u8], digits: usize) -> String {
    let hash = Sha256::digest(bytes);
    let wanted = hash.iter().take(digits / 2);
    wanted.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_those_of_sha_256() {
        // FIPS 180-4, the example of one block.
        assert_eq!(hex(b"abc", 16), "ba7816bf8f01cfea");
        assert_eq!(hex(b"abc", 64).len(), 64);
    }

    #[test]
    fn lists_that_read_the_same_in_a_row_are_told_apart() {
        assert_ne!(framed(["ab", "c"]), framed(["a", "bc"]));
        assert_ne!(framed(["", "a"]), framed(["a", ""]));
    }
}
