//! The page of a cluster: what `explain` says, and its snapshots.

use maud::{Markup, html};

use super::fleet::strip;
use super::{Instant, Safe, ago, in_zone, snapshot_address};
use crate::days::{Day, DayTally};
use crate::names::ClusterId;
use crate::run::Run;
use crate::schedule::Zone;
use crate::slot::Scope;
use crate::told::explained::ExplainRow;
use crate::told::run::on_hold;
use chrono::{DateTime, Utc};

/// A policy in a scope, and what it is to the cluster.
pub(in crate::page) struct Part {
    pub(in crate::page) policy: String,
    pub(in crate::page) scope: Option<Scope>,
    pub(in crate::page) zone: Option<Zone>,
    /// What the policy is to it, its slots, and the next one.
    pub(in crate::page) rows: Vec<ExplainRow>,
    pub(in crate::page) days: Vec<(Day, DayTally)>,
    /// Those that may be there, the newest first.
    pub(in crate::page) snapshots: Vec<Run>,
    /// Whether there may be more.
    pub(in crate::page) is_cut: bool,
}

/// The page's body.
pub(in crate::page) fn cluster(name: &ClusterId, parts: &[Part], now: DateTime<Utc>) -> Markup {
    html! {
        h1 { "Cluster " (name) }
        @for part in parts { (one(part, now)) }
    }
}

fn one(part: &Part, now: DateTime<Utc>) -> Markup {
    html! {
        section {
            h2 {
                "Policy " (part.policy)
                @if let Some(scope) = &part.scope { " in " (scope) }
            }
            @for row in part.rows.iter().filter(|row| row.scheduled_at.is_none()) {
                p {
                    @match row.touches { true => "It takes its snapshots: ", false => "It takes none: " }
                    (Safe(&row.words))
                }
            }
            @if !part.days.is_empty() { (strip(&part.days)) }
            (slots(part))
            (snapshots(part, now))
        }
    }
}

fn slots(part: &Part) -> Markup {
    let slots: Vec<&ExplainRow> = { part.rows.iter() }
        .filter(|row| row.scheduled_at.is_some())
        .collect();
    html! {
        @if !slots.is_empty() {
            h3 { "Newest slots and the next" }
            ul.slots {
                @for row in slots {
                    li {
                        strong { (row.state.unwrap_or("next")) } " "
                        (when(row, part.zone.as_ref()))
                        ": " (Safe(&row.words))
                    }
                }
            }
        }
    }
}

fn when(row: &ExplainRow, zone: Option<&Zone>) -> Markup {
    let text = row.scheduled_at.as_deref().unwrap_or_default();
    let at = text.parse().ok();
    match (at, zone) {
        (Some(at), Some(zone)) => in_zone(at, zone),
        (Some(at), None) => html! { (Instant(at)) },
        (None, _) => html! { (text) },
    }
}

fn snapshots(part: &Part, now: DateTime<Utc>) -> Markup {
    html! {
        @if !part.snapshots.is_empty() {
            h3 { "Existing snapshots" }
            ul.snapshots {
                @for run in &part.snapshots {
                    li {
                        a href=(snapshot_address(&run.slot.pair.scope, &run.request.snapshot_id)) { (run.request.snapshot_id) }
                        ": " (run.word()) ", tier " (run.request.tier.as_str()) ", "
                        @match run.expires_at() {
                            Some(at) => { "expires " (ago(at, now)) " (" (Instant(at)) ")" },
                            None => "does not expire",
                        }
                        ", " (held(run))
                    }
                }
            }
            @if part.is_cut { p { "These are the newest of them; " code { "redkeep history" } " has all." } }
        }
    }
}

fn held(run: &Run) -> &'static str {
    match on_hold(run) {
        Some(true) => "on hold",
        _ => "no hold",
    }
}
