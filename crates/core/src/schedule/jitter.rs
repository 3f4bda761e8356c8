//! Stable jitter: how long after its nominal instant a run starts. A function of the slot, no dice.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

/// A delay in [0, `limit`), in whole seconds: SHA-256 of `seed`, as a big-endian number, mod `limit`.
///
/// The same seed gives the same delay after a restart (docs/semantics.md section 1); 0 when `limit` is
/// under a second.
pub fn jitter(seed: &[u8], limit: TimeDelta) -> TimeDelta {
    let limit = u64::try_from(limit.num_seconds()).unwrap_or(0);
    if limit == 0 {
        return TimeDelta::zero();
    }
    // Horner's rule; a `TimeDelta` has fewer than 2^54 seconds, so the product fits.
    let seconds = Sha256::digest(seed)
        .iter()
        .fold(0, |rest, byte| ((rest << 8) + u64::from(*byte)) % limit);
    i64::try_from(seconds).map_or(TimeDelta::zero(), TimeDelta::seconds)
}
