//! The tier of a slot.
//!
//! Owns: which calendar periods a pair has covered. A slot takes the longest tier of its policy whose period
//! holds nothing of that tier or a longer one, so the first snapshot of a year serves as that month's and that
//! week's too, and a month whose first snapshot failed still gets its monthly by the next. Never knows the
//! present: it decides from what the pair holds.

use std::fmt;

use chrono::{DateTime, Datelike, Utc};

use crate::names::Tier;
use crate::policy::Policy;
use crate::run::{Run, RunState};
use crate::slot::rfc3339;

/// A snapshot of a pair that is there, or on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierSlot {
    /// Its slot's instant.
    pub scheduled_at: DateTime<Utc>,
    /// Its tier.
    pub tier: Tier,
}

/// The tier of a slot, and why it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The tier.
    pub tier: Tier,
    /// Why, for people; `None` where the policy has one period for all.
    pub why: Option<String>,
}

/// A stretch of the calendar, in the policy's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CalendarPeriod {
    /// ISO 8601 year and week.
    Week(i32, u32),
    Month(i32, u32),
    Year(i32),
}

impl CalendarPeriod {
    /// The period of `tier` that holds `scheduled_at`; the base tier has none.
    fn of(tier: Tier, scheduled_at: DateTime<Utc>, policy: &Policy) -> Option<Self> {
        let local = policy.schedule.timezone().local(scheduled_at);
        match tier {
            Tier::Base => None,
            Tier::Weekly => Some(Self::Week(local.iso_week().year(), local.iso_week().week())),
            Tier::Monthly => Some(Self::Month(local.year(), local.month())),
            Tier::Yearly => Some(Self::Year(local.year())),
        }
    }
}

impl fmt::Display for CalendarPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Week(year, week) => write!(f, "{year}-W{week:02}"),
            Self::Month(year, month) => write!(f, "{year}-{month:02}"),
            Self::Year(year) => write!(f, "{year}"),
        }
    }
}

/// What the pair's run holds or is about to: a good snapshot, or one that AWS was asked for. Those of the base
/// tier, among them all on demand, hold no period and are left out.
pub fn held(run: &Run) -> Option<TierSlot> {
    let in_flight = matches!(
        run.state,
        RunState::Asking { .. } | RunState::InDoubt { .. } | RunState::Creating { .. }
    );
    let is_there = in_flight || run.is_good();
    (is_there && run.request.tier != Tier::Base).then_some(TierSlot {
        scheduled_at: run.slot.scheduled_at,
        tier: run.request.tier,
    })
}

/// The tier of the slot at `scheduled_at`, given what else its pair holds.
pub fn choose(policy: &Policy, scheduled_at: DateTime<Utc>, others: &[TierSlot]) -> Choice {
    let mut covered = None;
    for tier in policy.retention.longer_tiers() {
        let Some(period) = CalendarPeriod::of(tier, scheduled_at, policy) else {
            continue;
        };
        let serves = |other: &TierSlot| {
            other.tier >= tier
                && CalendarPeriod::of(tier, other.scheduled_at, policy) == Some(period)
        };
        match others.iter().find(|other| serves(other)) {
            None => {
                let why = Some(format!("the first of {period}"));
                return Choice { tier, why };
            }
            Some(other) => covered = Some((tier, period, other)),
        }
    }
    let why = covered.map(|(tier, period, other)| {
        let at = rfc3339(other.scheduled_at);
        format!(
            "{period} already has its {} snapshot, of {at}",
            tier.as_str()
        )
    });
    let tier = Tier::Base;
    Choice { tier, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Retentions;
    use crate::schedule::Schedule;
    use crate::tzdb::bundled;

    fn policy(timezone: &str, tiers: &[(Tier, &str)]) -> Policy {
        let base = Retentions::from("14d".parse::<crate::names::Retention>().unwrap());
        let with = |retentions: Retentions, (tier, period): &(Tier, &str)| {
            retentions.with(*tier, period.parse().unwrap())
        };
        let schedule = Schedule::parse("30 2 * * *", bundled(timezone).unwrap()).unwrap();
        Policy::new(
            "p".parse().unwrap(),
            schedule,
            tiers.iter().fold(base, with),
        )
    }

    const ALL: [(Tier, &str); 3] = [
        (Tier::Weekly, "8w"),
        (Tier::Monthly, "13mo"),
        (Tier::Yearly, "7y"),
    ];

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The tiers of these slots, where the snapshots of those marked `!` fail.
    fn tiers(policy: &Policy, slots: &[&str]) -> Vec<&'static str> {
        let mut held = Vec::new();
        let mut tiers = Vec::new();
        for slot in slots {
            let scheduled_at = at(slot.trim_start_matches('!'));
            let tier = choose(policy, scheduled_at, &held).tier;
            tiers.push(tier.as_str());
            if !slot.starts_with('!') {
                held.push(TierSlot { scheduled_at, tier });
            }
        }
        tiers
    }

    #[test]
    fn the_first_of_a_year_serves_as_that_months_and_that_weeks_too() {
        let slots = [
            "2026-01-01T02:30:00Z", // a Thursday
            "2026-01-02T02:30:00Z",
            "2026-01-05T02:30:00Z", // a Monday
            "2026-02-01T02:30:00Z", // a Sunday of a week that has its weekly
            "2026-02-02T02:30:00Z",
            "2027-01-01T02:30:00Z",
        ];
        let got = tiers(&policy("UTC", &ALL), &slots);
        assert_eq!(
            got,
            ["yearly", "base", "weekly", "monthly", "weekly", "yearly"]
        );
    }

    #[test]
    fn a_period_whose_first_snapshot_failed_gets_its_own_by_the_next() {
        let slots = [
            "2026-01-01T02:30:00Z",
            "!2026-02-01T02:30:00Z",
            "2026-02-02T02:30:00Z",
        ];
        let got = tiers(&policy("UTC", &ALL), &slots);
        assert_eq!(got, ["yearly", "monthly", "monthly"]);
    }

    #[test]
    fn periods_are_those_of_the_policys_zone() {
        // 23:30 UTC on 31 January is 00:30 on 1 February in Berlin.
        let slots = ["2026-01-15T00:00:00Z", "2026-01-31T23:30:00Z"];
        let monthly = [(Tier::Monthly, "13mo")];
        let got = tiers(&policy("Europe/Berlin", &monthly), &slots);
        assert_eq!(got, ["monthly", "monthly"]);
        let got = tiers(&policy("UTC", &monthly), &slots);
        assert_eq!(got, ["monthly", "base"]);
    }

    #[test]
    fn an_iso_week_over_new_year_is_one_week() {
        let weekly = [(Tier::Weekly, "8w")];
        let slots = [
            "2026-12-28T02:30:00Z",
            "2027-01-01T02:30:00Z",
            "2027-01-04T02:30:00Z",
        ];
        assert_eq!(
            tiers(&policy("UTC", &weekly), &slots),
            ["weekly", "base", "weekly"]
        );
    }

    #[test]
    fn the_reason_names_the_period_and_what_it_has() {
        let policy = policy("UTC", &[(Tier::Monthly, "13mo")]);
        let first = choose(&policy, at("2026-11-03T02:30:00Z"), &[]);
        assert_eq!(first.why.as_deref(), Some("the first of 2026-11"));
        let held = [TierSlot {
            scheduled_at: at("2026-11-03T02:30:00Z"),
            tier: Tier::Monthly,
        }];
        let second = choose(&policy, at("2026-11-04T02:30:00Z"), &held);
        let why = "2026-11 already has its monthly snapshot, of 2026-11-03T02:30:00Z";
        assert_eq!(
            (second.tier, second.why.as_deref()),
            (Tier::Base, Some(why))
        );
    }
}
