//! Tests of what needs no daemon and no clock: rules, files, pages, printed text.

mod config;
mod docs;
mod layers;
mod metrics;
mod printed;
mod properties;
mod prune_rules;
mod schedule_oracle;
mod senseless;
#[path = "../support/mod.rs"]
mod support;
mod zones;
