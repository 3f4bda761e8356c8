//! The first page: what is wrong, and every policy and cluster.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{Instant, Safe, ago, cluster_address, groups, in_zone, scope_address};
use crate::config::Config;
use crate::days::{Day, DayOutcome, DayTally};
use crate::explain::span;
use crate::metrics::View;
use crate::page::filter::{Filter, address};
use crate::page::fleet::{OPEN_WORDS, Row, Standing};
use crate::page::wrong::Group;
use crate::run::Run;
use crate::told::transfer::Transfer;

/// Everything that the page shows.
pub(in crate::page) struct Fleet<'a> {
    pub(in crate::page) config: &'a Config,
    pub(in crate::page) view: &'a View,
    pub(in crate::page) filter: &'a Filter,
    /// What a command needs to read the same policy file.
    pub(in crate::page) options: &'a str,
    pub(in crate::page) wrong: &'a [Group],
    /// What is said where nothing is wrong.
    pub(in crate::page) well: &'a str,
    pub(in crate::page) notices: &'a [Group],
    pub(in crate::page) counts: &'a [(Standing, usize)],
    /// How many rows are asked for, of which those of the page are shown.
    pub(in crate::page) matching: usize,
    pub(in crate::page) pages: usize,
    pub(in crate::page) shown: &'a [Shown<'a>],
    pub(in crate::page) now: DateTime<Utc>,
}

/// A row with all that is told of it.
pub(in crate::page) struct Shown<'a> {
    pub(in crate::page) row: &'a Row<'a>,
    /// What is under way, with what AWS told.
    pub(in crate::page) open: Vec<Run>,
    /// Its days, where they can be read.
    pub(in crate::page) days: Vec<(Day, DayTally)>,
}

/// The page's body.
pub(in crate::page) fn fleet(fleet: &Fleet<'_>) -> Markup {
    html! {
        h1 { "Policies and clusters" }
        section aria-labelledby="wrong" {
            h2 #wrong { "What is wrong" }
            @match fleet.wrong {
                [] => p.well { (fleet.well) },
                wrong => (groups("wrong", wrong, fleet.options, fleet.now)),
            }
            @if !fleet.notices.is_empty() {
                h2 { "Good to know" }
                (groups("notices", fleet.notices, fleet.options, fleet.now))
            }
        }
        section aria-labelledby="pairs" {
            h2 #pairs { "Each policy and cluster, the worst first" }
            p { small { "Times that end in Z are in UTC. Days and next slots are in the policy's time zone, which \
                is shown with them." } }
            (form(fleet))
            (counts(fleet))
            (legend())
            @for shown in fleet.shown { (pair(fleet, shown)) }
            (pager(fleet))
        }
        (scopes(fleet))
    }
}

fn form(fleet: &Fleet<'_>) -> Markup {
    let config = fleet.config;
    let mut regions: Vec<&str> = { config.accounts.iter() }
        .flat_map(|account| account.regions.iter().map(|region| region.as_str()))
        .collect();
    regions.sort_unstable();
    regions.dedup();
    let policies = config.policies.iter().map(|policy| policy.name.as_str());
    let accounts = config.accounts.iter().map(|account| account.name.as_str());
    let states = Standing::ALL
        .map(Standing::word)
        .into_iter()
        .chain(OPEN_WORDS);
    let filter = fleet.filter;
    html! {
        form.filter action="/" method="get" {
            (choice("policy", policies.collect(), filter.policy.as_deref()))
            (choice("account", accounts.collect(), filter.account.as_deref()))
            (choice("region", regions, filter.region.as_deref()))
            label { "cluster " input type="search" name="cluster" maxlength="63" value=[filter.cluster.as_deref()]; }
            (choice("state", states.collect(), filter.state.as_deref()))
            button type="submit" { "Show" }
            @if !filter.is_all() { a href="/" { "Show all" } }
        }
    }
}

fn choice(name: &str, values: Vec<&str>, chosen: Option<&str>) -> Markup {
    html! {
        label {
            (name) " "
            select name=(name) {
                option value="" { "any" }
                @for value in values { option selected[chosen == Some(value)] { (value) } }
            }
        }
    }
}

/// How many stand how, each with the way to them.
fn counts(fleet: &Fleet<'_>) -> Markup {
    html! {
        p.counts {
            @if fleet.counts.is_empty() { "No policy has a cluster yet." }
            @for (place, (standing, count)) in fleet.counts.iter().enumerate() {
                @if place > 0 { ", " }
                a href=(address("/", &[("state", standing.word())])) { (count) " " (standing.word()) }
            }
            @if !fleet.filter.is_all() { ". " (fleet.matching) " are shown." }
        }
    }
}

/// What the marks in the cells mean; the cells have the words themselves, too.
fn legend() -> Markup {
    html! {
        details.legend {
            summary { "What the cells mean" }
            p { "Each cell is a day in the policy's time zone, the newest last. It shows the worst outcome of that \
                day's slots, in the words of " code { "redkeep history" } "." }
            ul {
                @for (outcome, meaning) in LEGEND {
                    li { span class={ "cell " (class(outcome)) } aria-hidden="true" {} " " (told(outcome)) ": " (meaning) }
                }
            }
        }
    }
}

const LEGEND: [(DayOutcome, &str); 10] = [
    (DayOutcome::Available, "each slot has a snapshot"),
    (DayOutcome::Failed, "AWS refused, or the snapshot failed"),
    (DayOutcome::Missed, "it did not start in time"),
    (
        DayOutcome::Expired,
        "AWS had not accepted it when the start window ended",
    ),
    (
        DayOutcome::Skipped,
        "the previous snapshot was still being made",
    ),
    (
        DayOutcome::Conflict,
        "a snapshot of that name is not redkeep's",
    ),
    (
        DayOutcome::Overdue,
        "it should have started or ended, but has not",
    ),
    (
        DayOutcome::Open("creating"),
        "it is under way (due, requested or creating)",
    ),
    (
        DayOutcome::Excused(crate::run::Missed::Paused),
        "no snapshot was wanted: paused, blackout or disabled",
    ),
    (
        DayOutcome::NothingDue,
        "no slot was due, or none is recorded",
    ),
];

/// The words of an outcome; of a missed day that is excused, with the reason.
fn told(outcome: DayOutcome) -> String {
    match outcome.excuse() {
        Some(why) => format!("{} ({})", outcome.word(), why.as_str()),
        None => outcome.word().to_owned(),
    }
}

fn class(outcome: DayOutcome) -> &'static str {
    match outcome {
        DayOutcome::NothingDue => "n",
        DayOutcome::Excused(_) => "p",
        DayOutcome::Available => "a",
        DayOutcome::Open(_) => "o",
        DayOutcome::Skipped => "s",
        DayOutcome::Missed => "m",
        DayOutcome::Expired => "e",
        DayOutcome::Failed => "f",
        DayOutcome::Conflict => "c",
        DayOutcome::Overdue => "l",
    }
}

fn pair(fleet: &Fleet<'_>, shown: &Shown<'_>) -> Markup {
    let (row, now) = (shown.row, fleet.now);
    let (pair, scope) = (&row.pair, &row.pair.scope);
    let policy = fleet.config.policy(&pair.policy);
    let next = row.view.and_then(|view| view.next_run);
    html! {
        article.pair {
            h3 {
                a href=(cluster_address(Some(scope), &pair.cluster)) { (pair.cluster) }
                " " small { (pair.policy) " in " (scope) }
            }
            p.standing {
                strong class={ "is-" (row.standing.word()) } { (row.standing.word()) }
                (latest(row, now))
            }
            @if !shown.days.is_empty() { (strip(&shown.days)) }
            dl {
                (age(row, now))
                @for run in &shown.open { dt { "Under way" } dd { (under_way(run)) } }
                @if let (Some(next), Some(policy)) = (next, policy) {
                    dt { "Next slot" }
                    dd { (in_zone(next, policy.schedule.timezone())) ", " (ago(next, now)) }
                }
                @if let Some(since) = fleet.view.paused.get(&pair.policy) {
                    dt { "Paused" } dd { "since " (Instant(*since)) }
                }
            }
        }
    }
}

/// What the newest slot that has ended came to.
fn latest(row: &Row<'_>, now: DateTime<Utc>) -> Markup {
    html! {
        @if let Some(since) = row.breached_since {
            " by its rpo since " (Instant(since)) " (" (ago(since, now)) ")"
        }
        @if let Some(ended) = &row.ended {
            "; newest slot " (Instant(ended.at)) ": " (ended.kind.as_str())
            @if let Some(reason) = &ended.reason { " (" (Safe(reason)) ")" }
            @if let Some(message) = &ended.message { ": " (Safe(message)) }
        }
    }
}

fn age(row: &Row<'_>, now: DateTime<Utc>) -> Markup {
    let Some(view) = row.view else {
        return html! {};
    };
    html! {
        dt { "Last good" }
        dd {
            @match view.last_success {
                Some(at) => { (ago(at, now)) " (" (Instant(at)) ")" },
                None => { "none since " (Instant(view.active_since)) },
            }
            @if let Some(rpo) = view.rpo { ", rpo " (span(rpo)) }
        }
    }
}

/// Where a run stands that has no outcome yet: by AWS's figures, where it tells them.
pub(super) fn under_way(run: &Run) -> Markup {
    let transfer = run.description().and_then(|told| Transfer::of(told));
    html! {
        (run.word()) ", slot " (Instant(run.slot.scheduled_at))
        @match transfer {
            Some(transfer) => { ": " (transfer.told()) },
            None => @if let Some(reason) = run.reason() { ": " (Safe(reason)) },
        }
    }
}

/// A cell for each day. The mark is the style's; the text is there for whoever does not see it, and for whoever points at it.
pub(super) fn strip(days: &[(Day, DayTally)]) -> Markup {
    html! {
        ol.strip aria-label={ "The last " (days.len()) " days" } {
            @for (day, tally) in days {
                li class=(class(tally.outcome())) {
                    span { (day.date) " " (told(tally.outcome())) @if tally.count() > 1 { ", " (tally.count()) " slots" } }
                }
            }
        }
    }
}

fn pager(fleet: &Fleet<'_>) -> Markup {
    let (page, pages) = (fleet.filter.page, fleet.pages);
    html! {
        @if pages > 1 {
            nav.pager aria-label="Pages" {
                @if page > 1 { a rel="prev" href=(fleet.filter.at_page(page - 1)) { "Page " (page - 1) } }
                span { "Page " (page) " of " (pages) }
                @if page < pages { a rel="next" href=(fleet.filter.at_page(page + 1)) { "Page " (page + 1) } }
            }
        }
    }
}

/// The quota of each account and region.
fn scopes(fleet: &Fleet<'_>) -> Markup {
    html! {
        section aria-labelledby="scopes" {
            h2 #scopes { "Accounts and regions" }
            ul.scopes {
                @for gauges in &fleet.view.scopes {
                    li {
                        a href=(scope_address("/scope", &gauges.scope)) { (gauges.scope) }
                        ": "
                        @match gauges.manual_snapshots {
                            Some(held) => { (held) " of " (gauges.quota) " manual snapshots" },
                            None => { "not listed yet; quota " (gauges.quota) },
                        }
                    }
                }
            }
        }
    }
}
