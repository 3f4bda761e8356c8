//! Slots, downtime and clock changes, end to end.

use crate::setup::{at, policy, sim};

#[test]
fn every_slot_of_a_day_gets_its_snapshot_at_its_instant() {
    let mut sim = sim("2026-11-24 00:10", &policy("six-hourly", "0 */6 * * *", "dw", ""));
    sim.until("2026-11-25 00:10");
    assert_eq!(
        sim.records(),
        [
            "11-24 06:00 six-hourly/dw available",
            "11-24 12:00 six-hourly/dw available",
            "11-24 18:00 six-hourly/dw available",
            "11-25 00:00 six-hourly/dw available",
        ]
    );
    assert_eq!(
        sim.accepted(),
        ["11-24 06:00:00", "11-24 12:00:00", "11-24 18:00:00", "11-25 00:00:00"]
    );
    sim.assert_accounted();
    let _ = at;
}
