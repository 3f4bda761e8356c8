//! What redkeep's programs take from their machine: the time, connections, and files that nobody has put in the way.
//!
//! Owns: the one clock, the bounded HTTP/1.1 listener, and the opening of files in a directory that others may write to.
//! Never knows what is served, or what a file says.

pub mod clock;
pub mod listener;
pub mod safe_file;

#[cfg(test)]
#[path = "../../../tests/support/deadline.rs"]
mod deadline;
