//! What must hold before a snapshot is removed: I2, I4, I5 and I15.
//!
//! Owns: the checks of a removal against AWS's own model and the journal. Never reads what the plan thinks of it.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use redkeep_core::names::Writer;
use redkeep_core::operations::{Removal, Why, named};
use redkeep_core::redshift::ServerDate;
use redkeep_core::snapshot::tag;
use redkeep_policy_file::Config;
use redkeep_sandbox::snapshot::Snapshot as ModelSnapshot;

use super::super::aws::Aws;
use super::super::journal::Journal;
use super::super::ledger::removal_key;
use super::{MAX_LISTING_AGE, SKEW_LIMIT, Witness};

impl Witness {
    /// I15: nothing is removed while the clocks do not agree, or without a complete listing of late.
    pub(super) fn check_sure(
        &self,
        removal: &Removal,
        aws: &Aws,
        now: DateTime<Utc>,
        host_time: DateTime<Utc>,
    ) {
        let name = named(&removal.key());
        let ServerDate::At(date) = aws.date(now) else {
            panic!("I15: {name} is removed where AWS sends no date");
        };
        let skew = (date - host_time).abs();
        assert!(
            skew <= SKEW_LIMIT + TimeDelta::seconds(1),
            "I15: {name} is removed with {skew} of skew"
        );
        let look = self.last_looks.get(&removal.slot.pair.scope);
        let look = look.map(|look| look.at);
        assert!(
            look.is_some_and(|at| at > now - MAX_LISTING_AGE),
            "I15: {name} is removed by a listing of {look:?}"
        );
    }
}

/// I5: a removal is intended, and named in a plan that was logged, before the call.
pub(super) fn check_intended(removal: &Removal, journal: &Journal) {
    let key = removal_key(removal);
    let committed = journal.ledger.removals.get(&key);
    assert!(
        committed.is_some_and(|one| one.end.is_none()),
        "I5: no intent is committed for {removal:?}"
    );
    let passes = journal.ledger.passes.iter();
    let mut passes = passes.filter(|pass| pass.passed_at.trunc_subsecs(0) == key.1);
    let name = named(&removal.key());
    assert!(
        passes.any(|pass| pass.plan.contains(&name)),
        "I5: {name} is in no plan that was logged"
    );
}

/// I2 and I4: what is removed is this host's own, and `min_good` newer good ones of its policy and cluster are there.
pub(super) fn check_spared(
    removal: &Removal,
    (config, writer): (&Config, &Writer),
    aws: &Aws,
    now: DateTime<Utc>,
) {
    let name = named(&removal.key());
    let region = removal.slot.pair.scope.region.as_str();
    let region = aws.account.region_at(region, now);
    let snapshots = &region.snapshots;
    let Some(it) = snapshots.get(removal.id.as_str()) else {
        return;
    };
    let tag = |one: &ModelSnapshot, key: &str| {
        let found = one.tags.iter().find(|tag| tag.key == key);
        found.map(|tag| tag.value.clone())
    };
    assert_eq!(
        tag(it, tag::WRITER).as_deref(),
        Some(writer.as_str()),
        "I2: {name} is not ours, and is removed"
    );
    let same = |one: &&ModelSnapshot| {
        // The tag has the old name of a cluster that was renamed; its snapshots follow it.
        let of_same_policy = tag(one, tag::POLICY) == tag(it, tag::POLICY)
            && one.cluster_identifier == it.cluster_identifier;
        one.created_at > it.created_at
            && one.status(now) == "available"
            && one.properties.created_at == it.properties.created_at
            && of_same_policy
    };
    let newer = snapshots.values().filter(same).count();
    let policy = config.policy(&removal.slot.pair.policy);
    let min_good = policy.map_or(1, |policy| policy.protection.min_good);
    assert!(
        removal.why == Why::Failed || newer >= min_good,
        "I4: {name} is removed, and only {newer} newer good ones are there"
    );
}
