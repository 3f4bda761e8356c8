//! The rows of a report: the fields of the JSON contract, and what a table shows of them.
//!
//! Owns: the columns, and the lines below the table that say what its findings are. Never counts anything itself.

use std::io::{self, Write};

use chrono::TimeDelta;
use serde::Serialize;

use crate::cli::output::{Column, Tone, View, names_of, row, text};
use crate::cli::view::age;
use crate::logging::one_line;
use crate::report::{Gap, PairReport, ReportPeriod};
use crate::slot::{Pair, rfc3339};
use crate::told::command;

row! {
    /// How well a pair was protected.
    ReportRow {
        policy: String,
        account: String,
        region: String,
        cluster: String,
        slots: u64,
        available: u64,
        failed: u64,
        missed: u64,
        skipped: u64,
        expired: u64,
        conflict: u64,
        open: u64,
        excused: u64,
        worst_gap_seconds: Option<i64>,
        worst_gap_from: Option<String>,
        worst_gap_until: Option<String>,
        rpo_seconds: Option<i64>,
        rpo_breaches: Vec<Breach>,
        last_success_at: Option<String>,
        age_seconds: Option<i64>,
        is_overdue: Option<bool>,
        is_reconciled: bool,
        not_at_aws: Option<Vec<String>>,
        not_recorded: Option<Vec<String>>,
        is_finding: bool,
        findings: Vec<String>,
    }
    beside {
        worst_gap: Option<TimeDelta>,
        age: Option<TimeDelta>,
        rpo: Option<TimeDelta>,
    }
}

/// When the newest good snapshot was older than `rpo`.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct Breach {
    from: String,
    until: Option<String>,
}

pub(super) const COLUMNS: &[Column<ReportRow>] = &[
    Column("", |row: &ReportRow| {
        if row.is_finding { "!" } else { "" }.to_owned()
    })
    .toned(|_| Tone::Bad)
    .where_filled(),
    Column("policy", |row: &ReportRow| row.policy.clone()),
    Column("account", |row: &ReportRow| row.account.clone()).where_rows_differ(),
    Column("region", |row: &ReportRow| row.region.clone()).where_rows_differ(),
    Column("cluster", |row: &ReportRow| row.cluster.clone()),
    Column("slots", |row: &ReportRow| row.slots.to_string()).right(),
    Column("good", |row: &ReportRow| row.available.to_string())
        .right()
        .toned(|_| Tone::Good),
    Column("lacking", |row: &ReportRow| lacking(row).to_string())
        .right()
        .toned(|row| {
            if lacking(row) > 0 {
                Tone::Bad
            } else {
                Tone::Plain
            }
        }),
    Column("excused", |row: &ReportRow| row.excused.to_string())
        .right()
        .while_there_is_room(3),
    Column("failed", |row: &ReportRow| row.failed.to_string())
        .right()
        .wide(),
    Column("missed", |row: &ReportRow| row.missed.to_string())
        .right()
        .wide(),
    Column("skipped", |row: &ReportRow| row.skipped.to_string())
        .right()
        .wide(),
    Column("expired", |row: &ReportRow| row.expired.to_string())
        .right()
        .wide(),
    Column("conflict", |row: &ReportRow| row.conflict.to_string())
        .right()
        .wide(),
    Column("open", |row: &ReportRow| row.open.to_string())
        .right()
        .while_there_is_room(4),
    Column("worst_gap", |row: &ReportRow| text(&row.worst_gap.map(age))).right(),
    Column("breaches", |row: &ReportRow| {
        row.rpo_breaches.len().to_string()
    })
    .right()
    .wide(),
    Column("age", |row: &ReportRow| text(&row.age.map(age))).right(),
    Column("rpo", |row: &ReportRow| text(&row.rpo.map(age)))
        .right()
        .where_filled(),
    Column("differences", differing).while_there_is_room(2),
];

/// Slots that brought no snapshot, and nothing excuses that.
fn lacking(row: &ReportRow) -> u64 {
    let without = row.failed + row.missed + row.skipped + row.expired + row.conflict;
    without.saturating_sub(row.excused)
}

/// Which rows are findings, why, and what helps.
pub(super) fn explain_findings(
    out: &mut impl Write,
    view: &View,
    rows: &[ReportRow],
) -> io::Result<()> {
    for row in rows.iter().filter(|row| row.is_finding) {
        let ReportRow {
            policy, cluster, ..
        } = row;
        let place = format!("{}/{}", row.account, row.region);
        let head = Tone::Bad.paint(
            &format!("finding: {policy} {cluster} in {place}:"),
            view.is_coloured,
        );
        writeln!(out, "\n{head}")?;
        for finding in &row.findings {
            writeln!(out, "  {}", one_line(finding))?;
        }
        let see = format!("see `redkeep explain {cluster} --policy {policy}`");
        writeln!(out, "  {}", command::whole(&see))?;
    }
    Ok(())
}

/// What the runs and the gaps between them tell.
pub(super) fn counts(pair: &Pair, report: &PairReport, period: ReportPeriod) -> ReportRow {
    let [policy, account, region, cluster] = names_of(pair);
    let worst = report.worst_gap;
    let worst_gap = worst.map(|gap| gap.length(period));
    let breach = |gap: &Gap| Breach {
        from: rfc3339(gap.from),
        until: gap.until.map(rfc3339),
    };
    ReportRow {
        policy,
        account,
        region,
        cluster,
        slots: report.slots(),
        available: report.totals.available,
        failed: report.totals.failed,
        missed: report.totals.missed,
        skipped: report.totals.skipped,
        expired: report.totals.expired,
        conflict: report.totals.conflict,
        open: report.open,
        excused: report.excused,
        worst_gap_seconds: worst_gap.map(|length| length.num_seconds()),
        worst_gap_from: worst.map(|gap| rfc3339(gap.from)),
        worst_gap_until: worst.and_then(|gap| gap.until).map(rfc3339),
        worst_gap,
        rpo_breaches: report.breaches.iter().map(breach).collect(),
        ..ReportRow::default()
    }
}

/// How what AWS holds differs, for people.
fn differing(row: &ReportRow) -> String {
    let count = |ids: &Option<Vec<String>>| ids.as_ref().map_or(0, Vec::len);
    match (count(&row.not_at_aws), count(&row.not_recorded)) {
        _ if !row.is_reconciled => "?".to_owned(),
        (0, 0) => "none".to_owned(),
        (gone, 0) => format!("{gone} not at AWS"),
        (0, new) => format!("{new} not recorded"),
        (gone, new) => format!("{gone} not at AWS, {new} not recorded"),
    }
}
