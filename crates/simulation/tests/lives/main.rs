//! Lives drawn from seeds, and the invariants of docs/semantics.md that hold in every one of them.
#![cfg(test)]

mod century;
mod cores;
mod planted;
