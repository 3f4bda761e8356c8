//! Tests of programs of others: AWS's clients, moto, Prometheus and Alertmanager, systemd, Chromium.

mod clients;
mod moto;
mod page;
#[path = "../live/page/past.rs"]
mod past;
mod prometheus;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
