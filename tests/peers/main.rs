//! Tests of programs of others: AWS's clients, moto, Prometheus and Alertmanager, systemd.

mod clients;
mod moto;
mod prometheus;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
