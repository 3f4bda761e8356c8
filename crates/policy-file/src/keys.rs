//! The keys of a policy: what each is for, and what those come to that are a duration, a switch or a number.
//!
//! Owns: names, kinds, descriptions and bounds of these keys; their defaults are `Policy`'s. A key of these kinds is here
//! twice, as a field of [`RawPolicy`] and in [`plain`], and nowhere else in this crate. The keys that refer to something
//! or have a grammar of their own are read in `policies`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::kinds::{Count, Flag, Number, Span};
use super::path::KeyPath;
use super::raw::RawList;
use super::report::Report;
use super::schema_types;
use super::tiers::RawRetention;
use redkeep_core::policy::{Policy, Protection};
use redkeep_core::schedule::Zone;
use redkeep_core::settings::written_span;

/// Which clusters, when, and for how long to keep it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct RawPolicy {
    /// A part of every snapshot's name: at most 63 lower-case letters, digits and single hyphens, starting with a
    /// letter. Not in `[defaults]`.
    #[schemars(schema_with = "schema_types::policy_name")]
    pub(super) name: Option<String>,
    /// A cron expression of five fields, or of six with seconds first. Required here or in `[defaults]`.
    #[schemars(schema_with = "schema_types::schedule")]
    pub(super) schedule: Option<String>,
    /// The IANA time zone of the schedule.
    #[schemars(schema_with = "schema_types::timezone", extend("default" = Zone::utc().name()))]
    pub(super) timezone: Option<String>,
    /// A list of cluster identifiers and globs (`*`, `?`, `[a-z]`, `{a,b}`). `["*"]` is every cluster. Required
    /// here or in `[defaults]`.
    #[schemars(schema_with = "schema_types::clusters")]
    pub(super) clusters: Option<RawList>,
    /// Tags that a cluster must have, all of them, in addition to matching `clusters`.
    #[schemars(schema_with = "schema_types::cluster_tags", extend("default" = {}))]
    pub(super) cluster_tags: Option<BTreeMap<String, String>>,
    /// Identifiers and globs of clusters that are left out, whatever else matches.
    #[schemars(schema_with = "schema_types::exclude", extend("default" = []))]
    pub(super) exclude: Option<RawList>,
    /// A list of account names; by default all.
    #[schemars(schema_with = "schema_types::accounts")]
    pub(super) accounts: Option<RawList>,
    /// A list of regions; by default all of its accounts.
    #[schemars(schema_with = "schema_types::regions")]
    pub(super) regions: Option<RawList>,
    /// How long AWS keeps each snapshot: `"35d"`, `"8w"`, `"13mo"`, `"7y"`, from 1 to 3653 days, or
    /// `"forever"`; or by tier, as `{ base = "14d", weekly = "8w", monthly = "13mo", yearly = "7y" }`. Required
    /// here or in `[defaults]`.
    #[schemars(schema_with = "schema_types::retention")]
    pub(super) retention: Option<RawRetention>,
    /// Tags of every snapshot, in addition to redkeep's seven; at most 43.
    #[schemars(schema_with = "schema_types::tags", extend("default" = {}))]
    pub(super) tags: Option<BTreeMap<String, String>>,
    /// The longest delay of a start, up to `24h`. The delay of a slot is always the same.
    #[schemars(with = "Span", extend("default" = written_span(Policy::JITTER)))]
    pub(super) jitter: Option<Span>,
    /// For how long after its instant a slot may still start, `60s` to `30d`. By default half the interval of
    /// the schedule, `60s` at least and `8h` at most.
    #[schemars(with = "Span")]
    pub(super) start_window: Option<Span>,
    /// A snapshot that is still being made after this raises an alarm and no longer blocks the next, `1m` to
    /// `30d`.
    #[schemars(with = "Span", extend("default" = written_span(Policy::COMPLETION_WINDOW)))]
    pub(super) completion_window: Option<Span>,
    /// `false`: a slot that could not start within 5 minutes is missed.
    #[schemars(with = "Flag", extend("default" = Policy::CATCH_UP))]
    pub(super) catch_up: Option<Flag>,
    /// The age that the newest good snapshot may reach, `1m` to `3653d`; an older one raises an alarm. By default
    /// there is no limit.
    #[schemars(with = "Span")]
    pub(super) rpo: Option<Span>,
    /// How many of the newest good snapshots of a cluster the guard keeps from expiring and pruning leaves
    /// alone, 1 to 1000.
    #[schemars(with = "Count", extend("default" = Policy::PROTECTION.min_good))]
    pub(super) min_good: Option<Count>,
    /// `false`: the newest good snapshots may expire though no newer one has come.
    #[schemars(with = "Flag", extend("default" = Policy::PROTECTION.guard))]
    pub(super) guard: Option<Flag>,
    /// For how long the guard keeps the snapshots of a cluster that no longer exists, `1d` to `3653d`.
    #[schemars(with = "Span", extend("default" = written_span(Policy::PROTECTION.guard_gone)))]
    pub(super) guard_gone: Option<Span>,
    /// How many base-tier snapshots of a cluster to keep; older ones are deleted. `0` deletes nothing; otherwise at
    /// least `min_good`.
    #[schemars(with = "Number", extend("default" = Policy::PROTECTION.keep_last.unwrap_or(0)))]
    pub(super) keep_last: Option<Number>,
    /// A list of `[[blackout]]` names.
    #[schemars(schema_with = "schema_types::blackouts", extend("default" = []))]
    pub(super) blackout: Option<RawList>,
    /// `false`: starts nothing and keeps its history.
    #[schemars(with = "Flag", extend("default" = Policy::ENABLED))]
    pub(super) enabled: Option<Flag>,
}

/// Reads the keys that stand for themselves: what comes of it gives a policy those that are set and right.
pub(super) fn plain(
    path: &KeyPath,
    raw: &RawPolicy,
    report: &mut Report,
) -> impl FnOnce(Policy) -> Policy + use<> {
    let mut span = |key: &str, raw: &Option<Span>, bounds: [&str; 2]| {
        raw.as_ref()?.within(bounds, &path.key(key), report)
    };
    let jitter = span("jitter", &raw.jitter, ["0s", "24h"]);
    let start_window = span("start_window", &raw.start_window, ["60s", "30d"]);
    let completion_window = span("completion_window", &raw.completion_window, ["1m", "30d"]);
    let rpo = span("rpo", &raw.rpo, ["1m", "3653d"]);
    let guard_gone = span("guard_gone", &raw.guard_gone, ["1d", "3653d"]);
    let flag = |raw: &Option<Flag>| raw.as_ref().map(|flag| flag.0);
    let (catch_up, enabled) = (flag(&raw.catch_up), flag(&raw.enabled));
    let guard = flag(&raw.guard);
    let (min_good, keep_last) = numbers(path, raw, report);
    move |policy| Policy {
        jitter: jitter.unwrap_or(policy.jitter),
        start_window,
        completion_window: completion_window.unwrap_or(policy.completion_window),
        catch_up: catch_up.unwrap_or(policy.catch_up),
        enabled: enabled.unwrap_or(policy.enabled),
        rpo,
        protection: Protection {
            min_good,
            guard: guard.unwrap_or(policy.protection.guard),
            guard_gone: guard_gone.unwrap_or(policy.protection.guard_gone),
            keep_last,
        },
        ..policy
    }
}

/// How many snapshots to keep from going, and beyond how many to delete: the one is bound to the other.
fn numbers(path: &KeyPath, raw: &RawPolicy, report: &mut Report) -> (usize, Option<usize>) {
    let min_good = raw.min_good.as_ref().map(|count| count.0 as usize);
    let both_known = min_good.is_some() || raw.name.is_some();
    let min_good = min_good.unwrap_or(Policy::PROTECTION.min_good);
    if !(1..=1000).contains(&min_good) {
        let wanted = "1 to 1000: a cluster is never to be left without a good snapshot";
        report.wrong(&path.key("min_good"), &min_good.to_string(), wanted);
    }
    let keep_last = raw.keep_last.as_ref().map(|number| number.0 as usize);
    let keep_last = keep_last.filter(|keep_last| *keep_last > 0);
    // In `[defaults]`, which has no name, the other number may still come with the policy.
    if let Some(keep_last) = keep_last.filter(|keep_last| both_known && *keep_last < min_good) {
        let wanted = format!("0, or at least min_good, which is {min_good}");
        report.wrong(&path.key("keep_last"), &keep_last.to_string(), wanted);
    }
    (min_good, keep_last)
}
