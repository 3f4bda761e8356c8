//! Why croner does not compute instants here: a pin for each quirk that is worked around.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;

fn croner_after(text: &str, zone: Tz, after: &str) -> Result<String, croner::errors::CronError> {
    let cron: Cron = text.parse()?;
    let after = after.parse::<DateTime<Utc>>().unwrap().with_timezone(&zone);
    cron.find_next_occurrence(&after, false)
        .map(|slot| slot.to_rfc3339())
}

/// Each of these is a reason not to take instants or grammar from croner 4.0.3; when one fails after
/// an update, there is something to simplify.
#[test]
fn croner_still_has_the_quirks_that_are_worked_around() {
    let berlin = Tz::Europe__Berlin;
    let gap = croner_after("30 2,14 * * *", berlin, "2025-03-30T00:00:00Z").unwrap();
    assert_eq!(
        gap, "2025-03-30T14:30:00+02:00",
        "several values: the slot in the gap is lost"
    );
    let fold = croner_after("30 2,14 * * *", berlin, "2025-10-26T00:30:00Z").unwrap();
    assert_eq!(
        fold, "2025-10-26T02:30:00+01:00",
        "several values: the second copy fires too"
    );
    let samoa = croner_after("0 0 * * *", Tz::Pacific__Apia, "2011-12-29T11:00:00Z");
    assert!(samoa.is_err(), "a gap of a day: {samoa:?}");
    let toronto =
        croner_after("45 23 30 3 *", Tz::America__Toronto, "1919-03-30T12:00:00Z").unwrap();
    assert_eq!(
        toronto, "1920-03-30T23:45:00-05:00",
        "a gap over midnight: the slot is lost"
    );
    for lenient in [
        ", * * * *",
        "1,,2 * * * *",
        "MON * * * *",
        "0 0 * * L",
        "0 0 * * +MON",
    ] {
        assert!(lenient.parse::<Cron>().is_ok(), "{lenient}");
    }
    assert!("@midnight".parse::<Cron>().is_err());
    let both = croner_after("0 0 L,LW * *", Tz::UTC, "2026-02-27T12:00:00Z").unwrap();
    assert_eq!(
        both, "2026-03-31T00:00:00+00:00",
        "L,LW forgets that 28 February is L"
    );
}
