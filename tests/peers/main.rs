//! Tests of programs of others: AWS's clients, moto, Prometheus and Alertmanager, a mail server, systemd, Chromium, Kubernetes's
//! schemas, umoci.

mod clients;
mod image;
mod kubernetes;
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
