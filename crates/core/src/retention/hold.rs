//! What is to be done for a hold, a release or a takeover.
//!
//! Owns: the steps that lead there from what AWS shows now. Every order of a crash between them is mended by doing
//! the same again: a hold first notes the old period and then lengthens, a release first restores it. Never shortens
//! a period to less than a day from now.

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::Retention;
use crate::operations::ActionKind;
use crate::snapshot::{Hold, Snapshot, tag};

/// One request to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldStep {
    /// Sets a tag.
    Tag(&'static str, String),
    /// Sets the period.
    KeepFor(Retention),
    /// Removes a tag.
    Untag(&'static str),
}

/// The steps from `snapshot`, which is proven to be redkeep's, to what is `wanted` at `now`; none where the snapshot is
/// already.
///
/// # Errors
/// Why it cannot be done, for people.
pub fn steps(
    wanted: ActionKind,
    writer: &str,
    snapshot: &Snapshot,
    now: DateTime<Utc>,
) -> Result<Vec<HoldStep>, String> {
    let changes_period = match wanted {
        ActionKind::Hold => true,
        ActionKind::Release => snapshot.hold() != Hold::Free,
        ActionKind::Takeover => false,
    };
    if changes_period && !snapshot.accounts_with_restore_access.is_empty() {
        return Err(
            "it is shared with other accounts, and AWS does not change shared snapshots".into(),
        );
    }
    match wanted {
        ActionKind::Hold => hold(snapshot),
        ActionKind::Release => release(snapshot, now),
        ActionKind::Takeover => {
            let take = HoldStep::Tag(tag::WRITER, writer.to_owned());
            let is_done = is_done(wanted, writer, snapshot);
            Ok((!is_done).then_some(take).into_iter().collect())
        }
    }
}

/// Whether AWS shows what was `wanted`.
pub fn is_done(wanted: ActionKind, writer: &str, snapshot: &Snapshot) -> bool {
    match wanted {
        ActionKind::Hold => snapshot.hold() == Hold::Held,
        ActionKind::Release => snapshot.hold() == Hold::Free,
        ActionKind::Takeover => snapshot.tags.get(tag::WRITER).map(String::as_str) == Some(writer),
    }
}

fn hold(snapshot: &Snapshot) -> Result<Vec<HoldStep>, String> {
    let days = snapshot.manual_snapshot_retention_period;
    let days = days.ok_or("AWS does not report its period")?;
    let tag = HoldStep::Tag(tag::HOLD, days.to_string());
    let keep = HoldStep::KeepFor(Retention::Forever);
    let is_forever = days == Retention::Forever.days_or_minus_one();
    // A word that somebody's hand has written there tells no period.
    let is_noted = noted(snapshot).is_some();
    let steps = [(!is_noted).then_some(tag), (!is_forever).then_some(keep)];
    Ok(steps.into_iter().flatten().collect())
}

/// Where the period ends already there is none to restore: the release before this one has done that, or there never was
/// a whole hold. What has made it longer since is not undone.
fn release(snapshot: &Snapshot, now: DateTime<Utc>) -> Result<Vec<HoldStep>, String> {
    let restore = match snapshot.hold() {
        // The answer to the last step may have been lost, and then nothing is left to do.
        Hold::Free => return Ok(Vec::new()),
        Hold::Half => None,
        Hold::Held => {
            Some(before_hold(snapshot, now)?).filter(|before| *before != Retention::Forever)
        }
    };
    let keep = restore.map(HoldStep::KeepFor);
    Ok(keep
        .into_iter()
        .chain([HoldStep::Untag(tag::HOLD)])
        .collect())
}

/// The period that the tag notes.
fn noted(snapshot: &Snapshot) -> Option<Retention> {
    let days = snapshot.tags.get(tag::HOLD)?.parse().ok()?;
    Retention::from_days(days)
}

fn before_hold(snapshot: &Snapshot, now: DateTime<Utc>) -> Result<Retention, String> {
    let before = noted(snapshot).ok_or_else(|| {
        let got = snapshot.tags.get(tag::HOLD);
        let got = got.map_or("", String::as_str);
        let key = tag::HOLD;
        format!("its tag {key} is {got:?}, wanted a number of days; `redkeep hold` writes one")
    })?;
    let start = snapshot
        .kept_from()
        .ok_or("AWS does not report when its period started")?;
    Ok(restored(before, start, now))
}

/// The period before the hold, or the one that ends at least a day from now; beyond the longest, for ever.
fn restored(before: Retention, start: DateTime<Utc>, now: DateTime<Utc>) -> Retention {
    let least = ((now - start).max(TimeDelta::zero()) + TimeDelta::days(2)).num_days();
    let days = i64::from(before.days_or_minus_one());
    if days < 0 {
        return Retention::Forever;
    }
    Retention::from_days(days.max(least)).unwrap_or(Retention::Forever)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: f64) -> DateTime<Utc> {
        DateTime::from_timestamp((day * 86_400.0) as i64, 0).unwrap()
    }

    fn snapshot(days: i32, held: Option<&str>) -> Snapshot {
        let held = held.map(|held| (tag::HOLD.to_owned(), held.to_owned()));
        Snapshot {
            manual_snapshot_retention_period: Some(days),
            snapshot_retention_start_time: Some(at(0.0)),
            tags: held.into_iter().collect(),
            ..Snapshot::default()
        }
    }

    fn done(wanted: ActionKind, days: i32, held: Option<&str>, now: f64) -> Vec<HoldStep> {
        steps(wanted, "me", &snapshot(days, held), at(now)).unwrap()
    }

    #[test]
    fn a_hold_notes_the_period_first_and_goes_on_where_it_stopped() {
        let keep = HoldStep::KeepFor(Retention::Forever);
        let tag = HoldStep::Tag(tag::HOLD, "35".to_owned());
        assert_eq!(done(ActionKind::Hold, 35, None, 1.0), [tag, keep.clone()]);
        assert_eq!(done(ActionKind::Hold, 35, Some("35"), 1.0), [keep]);
        assert_eq!(done(ActionKind::Hold, -1, Some("35"), 1.0), []);
        let tag = |days: &str| HoldStep::Tag(tag::HOLD, days.to_owned());
        assert_eq!(done(ActionKind::Hold, -1, None, 1.0), [tag("-1")]);
        let by_hand = done(ActionKind::Hold, 10, Some("please"), 1.0);
        assert_eq!(by_hand, [tag("10"), HoldStep::KeepFor(Retention::Forever)]);
    }

    #[test]
    fn a_release_restores_the_period_and_leaves_a_day_at_least() {
        let days = |steps: &[HoldStep]| match &steps[0] {
            HoldStep::KeepFor(retention) => Some(retention.days_or_minus_one()),
            HoldStep::Tag(..) | HoldStep::Untag(_) => None,
        };
        for (before, now, wanted) in [
            ("35", 1.0, 35),
            ("35", 34.0, 36),
            ("35", 34.5, 36),
            ("35", 33.9, 35),
            ("1", 3652.0, -1),
            ("1", 3651.9, 3653),
        ] {
            let steps = done(ActionKind::Release, -1, Some(before), now);
            if wanted == -1 {
                assert_eq!(
                    steps,
                    [HoldStep::Untag(tag::HOLD)],
                    "it is for ever already"
                );
                continue;
            }
            assert_eq!(days(&steps), Some(wanted), "{before} days at {now}");
            let left = f64::from(wanted) - now;
            assert!(left >= 1.0, "{left}");
            assert_eq!(steps[1], HoldStep::Untag(tag::HOLD));
        }
        assert_eq!(
            done(ActionKind::Release, -1, Some("-1"), 9.0),
            [HoldStep::Untag(tag::HOLD)]
        );
        assert_eq!(
            done(ActionKind::Release, 35, None, 9.0),
            [],
            "it is released"
        );
    }

    #[test]
    fn a_release_that_was_not_finished_goes_on_with_the_tag_and_shortens_nothing() {
        // As it was restored, as the guard has made it longer since, and as somebody's hand wrote the tag.
        for (days, held) in [(10, "10"), (24, "10"), (10, "please")] {
            let steps = done(ActionKind::Release, days, Some(held), 9.0);
            assert_eq!(steps, [HoldStep::Untag(tag::HOLD)], "{days} {held}");
        }
    }

    #[test]
    fn what_cannot_be_told_or_changed_is_refused() {
        let refused =
            |wanted, snapshot: &Snapshot| steps(wanted, "me", snapshot, at(1.0)).unwrap_err();
        assert!(refused(ActionKind::Release, &snapshot(-1, Some("x"))).contains("\"x\""));
        assert!(refused(ActionKind::Hold, &Snapshot::default()).contains("period"));
        let mut shared = snapshot(35, None);
        shared.accounts_with_restore_access.push(Default::default());
        assert!(refused(ActionKind::Hold, &shared).contains("shared"));
        assert_eq!(
            steps(ActionKind::Takeover, "me", &shared, at(1.0))
                .unwrap()
                .len(),
            1
        );
    }
}
