//! Tests of programs of others: AWS's clients, moto, Prometheus and Alertmanager, a mail server, systemd, Chromium.

mod clients;
mod moto;
mod notify;
mod page;
#[path = "../live/page/past.rs"]
mod past;
mod postgres;
mod prometheus;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
