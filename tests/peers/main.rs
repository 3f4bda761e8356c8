//! Tests of programs of others: AWS's clients, moto, Prometheus and Alertmanager, a mail server, systemd.

mod clients;
mod moto;
mod notify;
mod prometheus;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
