//! What was seen of AWS since the daemon started.
//!
//! Owns: for each scope its last complete listings, its clock, its rate budget and what is in flight. Never
//! calls AWS and never outlives the process: what must survive is in the history.

mod budget;
mod scope;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

pub use budget::Budget;
pub use scope::{Barred, Doubted, Listing, ScopeView, ServerClock, SnapshotListing};

use crate::names::{AccountName, PolicyName};
use crate::slot::{Scope, Slot};

/// No slot starts further ahead of AWS's clock than this, and beyond it the clock is an alarm.
pub const SKEW_LIMIT: TimeDelta = TimeDelta::minutes(5);

/// How far apart the listings of a scope are when nothing calls for one.
pub const LISTING_INTERVAL: TimeDelta = TimeDelta::seconds(60);

/// A listing older than this tells too little of what is there.
pub const MAX_LISTING_AGE: TimeDelta = TimeDelta::minutes(10);

/// AWS shows what it has accepted, or removed, at most so long after: what a look contradicts then is not so.
pub const MAX_LISTING_LAG: TimeDelta = TimeDelta::minutes(10);

/// This many listings that fail in a row are no passing trouble: the next one would come soon.
const BLIND_FROM: u32 = 2;

/// A listing of more pages than these is a long one: its further pages keep a pause, it comes less often, and what AWS is
/// making is followed by its name meanwhile.
pub const SHORT_PAGES: u32 = Budget::BURST;

/// After a long listing the scope is not listed for as long as its pages took, and so many times more.
const REST: i32 = 2;

/// However long it took, the next one comes before this is over.
const LONGEST_REST: TimeDelta = TimeDelta::minutes(5);

/// How long a listing that an answer calls for waits for other answers.
const LISTING_PAUSE: TimeDelta = TimeDelta::seconds(1);

/// How many calls for runs of one scope may be under way at once.
pub const CALLS_IN_FLIGHT: usize = 8;

/// The looks for single names leave this many of those to others: hundreds of snapshots may be missing at once, and
/// a slot that is due comes first.
pub const LOOKS_LEAVE: usize = CALLS_IN_FLIGHT / 2;

/// The looks that can wait leave this many requests of a scope's budget to create calls.
pub const RESERVE: u32 = 8;

/// Everything seen so far.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// What was seen of each scope.
    pub scopes: BTreeMap<Scope, ScopeView>,
    /// The numbers of the accounts, as far as any of their scopes has learnt them.
    pub account_numbers: BTreeMap<AccountName, String>,
    /// The runs with a call under way.
    pub in_flight: BTreeSet<Slot>,
    /// The actions that could not be done yet, until when nothing is tried, and why.
    pub action_trouble: BTreeMap<i64, Backoff>,
    /// Where IAM did not allow a snapshot to be deleted, until when that is told, and why.
    pub delete_denied: BTreeMap<Scope, Backoff>,
    /// When the process first saw a configuration, by our clock.
    pub seen_at: DateTime<Utc>,
    /// When each policy that was edited, came or went since then was first seen so.
    pub edited_at: BTreeMap<PolicyName, DateTime<Utc>>,
    /// The scopes with a listing under way that was begun with credentials which are no longer the account's.
    pub outdated: BTreeSet<Scope>,
    /// The snapshots whose end could not be put off, until when nothing is tried, and why.
    pub refused: BTreeMap<Slot, Backoff>,
    /// The snapshots that the guard has seen to, until when it lets each of them be: whatever AWS answered, and whatever
    /// a listing that lags behind shows.
    pub seen_to: BTreeMap<Slot, DateTime<Utc>>,
    /// The open runs that are looked for by their names while their scope cannot be listed.
    pub looks: BTreeMap<Slot, Look>,
    /// The runs whose snapshot AWS has accepted, and the last look did not find.
    pub missing: BTreeMap<Slot, Missing>,
}

/// The looks for one run by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// When the last one that AWS answered began; `None` until one has.
    pub told_at: Option<DateTime<Utc>>,
    /// How many in a row AWS did not answer.
    pub failures: u32,
    /// None comes before this.
    pub again_at: DateTime<Utc>,
}

/// A snapshot that AWS has accepted and a look did not find. A complete listing begins this; what comes of it is
/// decided by a look for the name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// When to look for it by its name.
    pub look_at: DateTime<Utc>,
    /// Whether the listing began so long after the acceptance that AWS shows everything by then.
    pub is_late: bool,
    /// Whether a look by its name has not found it either: then nothing waits for it any more.
    pub is_absent: bool,
}

/// A snapshot that AWS did not let redkeep change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    /// When to ask again.
    pub until: DateTime<Utc>,
    /// Code and message.
    pub message: String,
}

impl Observed {
    /// Nothing seen yet of any of `scopes`.
    pub fn nothing(scopes: impl IntoIterator<Item = Scope>, now: DateTime<Utc>) -> Self {
        Self {
            scopes: scopes
                .into_iter()
                .map(|scope| (scope, ScopeView::unseen(now)))
                .collect(),
            seen_at: now,
            ..Self::default()
        }
    }

    /// Keeps what was seen of the scopes that stay, and begins with the new ones.
    pub fn rescope(&mut self, scopes: &BTreeSet<Scope>, now: DateTime<Utc>) {
        self.scopes.retain(|scope, _| scopes.contains(scope));
        for scope in scopes {
            self.scopes
                .entry(scope.clone())
                .or_insert_with(|| ScopeView::unseen(now));
        }
    }

    /// Notes that the listings under way in these scopes are of no use any more. The next one waits for their end, so
    /// that nobody has to tell the two apart.
    pub fn outdate(&mut self, scopes: impl IntoIterator<Item = Scope>, now: DateTime<Utc>) {
        self.outdated.extend(scopes);
        for scope in &self.outdated {
            if let Some(view) = self.scopes.get_mut(scope) {
                view.listing = Listing::UnderWay {
                    failures: 0,
                    since: now,
                };
            }
        }
    }

    /// Asks again at once where the last listing failed: somebody may have mended what was wrong.
    pub fn look_again(&mut self, now: DateTime<Utc>) {
        let failing = self.scopes.values_mut();
        for view in failing.filter(|view| view.trouble.is_some()) {
            if let Listing::Next { at, .. } = &mut view.listing {
                *at = now;
            }
        }
    }

    /// After a step of our clock: AWS's is to be asked again before anything starts.
    pub fn forget_clocks(&mut self, now: DateTime<Utc>) {
        // Of what was seen by the clock as it was, nobody can say when it was.
        self.seen_at = now;
        self.edited_at.clear();
        for view in self.scopes.values_mut() {
            view.server_clock = ServerClock::Unasked;
            view.doubted = None;
            view.budget = view.budget.restarted(now);
            view.rests_until = now;
            if let Listing::Next { at, .. } = &mut view.listing {
                *at = now;
            }
        }
        for missing in self.missing.values_mut() {
            missing.look_at = now;
        }
        self.looks.clear();
    }

    /// Whether neither the last complete listing nor a look by its name has found the run's snapshot, which AWS had
    /// accepted.
    pub fn is_absent(&self, slot: &Slot) -> bool {
        self.missing
            .get(slot)
            .is_some_and(|missing| missing.is_absent)
    }

    /// When the configuration was first seen to say of the policy what it says.
    pub fn configured_at(&self, policy: &PolicyName) -> DateTime<Utc> {
        self.edited_at.get(policy).copied().unwrap_or(self.seen_at)
    }

    /// How many runs of a scope have a call under way.
    pub fn calls_under_way(&self, scope: &Scope) -> usize {
        self.in_flight
            .iter()
            .filter(|slot| slot.pair.scope == *scope)
            .count()
    }

    /// The scopes in which work is done.
    pub fn working(&self) -> impl Iterator<Item = (&Scope, &ScopeView)> {
        self.scopes.iter().filter(|(_, view)| view.barred.is_none())
    }

    /// Finds the scopes in which no work may be done: those of an account whose name stands for another number
    /// in `known`, and those that are the same account and region as another. Of these the first by name
    /// works; if both did, every snapshot would be recorded twice.
    pub fn bar_scopes(&mut self, known: &BTreeMap<AccountName, String>) {
        let mut seen = BTreeMap::new();
        for (scope, view) in &mut self.scopes {
            let Some(got) = self.account_numbers.get(&scope.account) else {
                view.barred = None;
                continue;
            };
            let wanted = known.get(&scope.account).filter(|wanted| *wanted != got);
            let place = (got.clone(), scope.region.clone());
            view.barred = match (wanted, seen.get(&place)) {
                (Some(wanted), _) => Some(Barred::OtherAccount {
                    wanted: wanted.clone(),
                    got: got.clone(),
                }),
                (None, Some(twin)) => Some(Barred::Twin(Scope::clone(twin))),
                (None, None) => None,
            };
            if view.barred.is_none() {
                seen.insert(place, scope.clone());
            }
        }
    }

    /// The number of an account, where it is known.
    pub fn account_number(&self, account: &AccountName) -> Option<&str> {
        self.account_numbers.get(account).map(String::as_str)
    }

    /// The number of manual snapshots that a scope holds, where it is known.
    pub fn manual_snapshots(&self, scope: &Scope) -> Option<usize> {
        Some(self.scopes.get(scope)?.snapshots.as_ref()?.by_id.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redshift::ServerDate;

    #[test]
    fn one_wrong_date_is_not_believed_and_the_same_one_a_little_later_is() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let at = |seconds: i64| now + TimeDelta::seconds(seconds);
        for wrong in [TimeDelta::hours(-2), TimeDelta::days(3653)] {
            let date = |seconds| ServerDate::At(at(seconds) + wrong);
            let mut view = ScopeView::unseen(now);
            // As many answers as come at once: they may have come by the same wrong way.
            for _ in 0..3 {
                view.note_date(date(0), at(0));
            }
            assert_eq!(view.present(at(0)), None, "{wrong}");
            assert!(!view.has_come(at(-60), at(0)));
            let mut other = view.clone();
            view.note_date(ServerDate::At(at(1)), at(1));
            assert_eq!(view.present(at(1)), Some(at(1)));
            assert!(view.clocks_agree());
            // Nor is it later, beside dates that agree; but nothing is deleted until that is clear.
            view.note_date(date(2), at(2));
            assert_eq!(view.present(at(2)), Some(at(2)));
            assert!(!view.clocks_agree());
            other.note_date(date(5), at(5));
            assert_eq!(other.present(at(5)), Some(at(5) + wrong));
        }
    }

    fn scope(account: &str, region: &str) -> Scope {
        Scope {
            account: account.parse().unwrap(),
            region: region.parse().unwrap(),
        }
    }

    #[test]
    fn a_number_that_one_scope_has_learnt_finds_the_twins_in_every_region() {
        let now = DateTime::UNIX_EPOCH;
        let regions = ["eu-central-1", "us-east-1"];
        let scopes = ["a", "b"]
            .into_iter()
            .flat_map(|account| regions.map(|region| scope(account, region)));
        let mut observed = Observed::nothing(scopes, now);
        for account in ["a", "b"] {
            let number = "111122223333".to_owned();
            observed
                .account_numbers
                .insert(account.parse().unwrap(), number);
        }
        let mut known = BTreeMap::new();
        observed.bar_scopes(&known);
        for region in regions {
            assert_eq!(observed.scopes[&scope("a", region)].barred, None);
            let twin = Barred::Twin(scope("a", region));
            assert_eq!(observed.scopes[&scope("b", region)].barred, Some(twin));
        }
        known.insert("a".parse().unwrap(), "999988887777".to_owned());
        observed.bar_scopes(&known);
        for region in regions {
            let barred = &observed.scopes[&scope("a", region)].barred;
            assert!(
                matches!(barred, Some(Barred::OtherAccount { .. })),
                "{barred:?}"
            );
            assert_eq!(observed.scopes[&scope("b", region)].barred, None);
        }
    }
}
