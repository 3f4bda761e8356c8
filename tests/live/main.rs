//! Tests of the real binary and the real store, in real time, on loopback.

mod accounts;
mod answers;
mod credentials;
mod daemon;
mod diagnosis;
mod hanging;
mod hold;
mod kills;
mod listener;
mod listings;
mod log;
mod network;
mod notify;
mod page;
mod prune;
mod scenarios;
mod selection;
mod status;
mod storage;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod take;
