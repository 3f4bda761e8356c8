//! What was seen of AWS since the daemon started.
//!
//! Owns: for each scope its last complete listings, its clock, its rate budget and what is in flight. Never
//! calls AWS and never outlives the process: what must survive is in the history.

mod budget;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

pub use budget::Budget;

use crate::brief::{Brief, Known};
use crate::names::{AccountName, ClusterId, PolicyName};
use crate::redshift::{Cluster, ServerDate};
use crate::settings::DEFAULT_MAX_REQUESTS_PER_SECOND;
use crate::slot::{Scope, Slot};
use crate::snapshot::{Hold, Snapshot, SnapshotId};

/// No slot starts further ahead of AWS's clock than this, and beyond it the clock is an alarm.
pub const SKEW_LIMIT: TimeDelta = TimeDelta::minutes(5);

/// How far apart the listings of a scope are when nothing calls for one.
pub const LISTING_INTERVAL: TimeDelta = TimeDelta::seconds(60);

/// A listing older than this tells too little of what is there.
pub const MAX_LISTING_AGE: TimeDelta = TimeDelta::minutes(10);

/// AWS shows what it has accepted, or removed, at most so long after: what a look contradicts then is not so.
pub const MAX_LISTING_LAG: TimeDelta = TimeDelta::minutes(10);

/// So many listings that fail in a row are no passing trouble: the next one would come soon.
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

/// So many of those are left to others by the looks for single names: hundreds of snapshots may be missing at once, and
/// a slot that is due comes first.
pub const LOOKS_LEAVE: usize = CALLS_IN_FLIGHT / 2;

/// So many requests of a scope's budget are left to create calls by the looks that can wait.
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

/// What was seen of one scope.
#[derive(Debug, Clone)]
pub struct ScopeView {
    /// What is known of AWS's clock.
    pub server_clock: ServerClock,
    /// A difference to it that an answer told and none has confirmed since.
    pub doubted: Option<Doubted>,
    /// Why no work is done in the scope; `None` where it is.
    pub barred: Option<Barred>,
    /// All clusters, by the last complete listing.
    pub clusters: Option<BTreeMap<ClusterId, Cluster>>,
    /// All manual snapshots, by the last complete listing.
    pub snapshots: Option<SnapshotListing>,
    /// The listing that is under way or comes next.
    pub listing: Listing,
    /// How many pages the last complete listing had, of clusters and of snapshots.
    pub pages: u32,
    /// No listing comes before this, whoever wants one: the last one was long.
    pub rests_until: DateTime<Utc>,
    /// How fast the scope may be asked.
    pub budget: Budget,
    /// When AWS last answered a listing in full.
    pub reached_at: Option<DateTime<Utc>>,
    /// Why the last listing failed; `None` when it did not.
    pub trouble: Option<String>,
    /// Whether it failed for lack of credentials that AWS takes.
    pub lacks_credentials: bool,
    /// Whether the last listing is known to be of the account that the history is of: else what it lacks proves
    /// nothing.
    pub is_identified: bool,
    /// Whether the clusters of the last listing told whose account it is; where they do not, STS is asked.
    pub names_account: bool,
    /// Whether STS was asked with the last listing.
    pub asked_account: bool,
}

/// Why no work is done in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Barred {
    /// Another scope turned out to be the same account and region, and does the work of both.
    Twin(Scope),
    /// The account's name has stood for another account: the history is that one's.
    OtherAccount {
        /// The number that the history has.
        wanted: String,
        /// The number that the credentials belong to.
        got: String,
    },
}

/// What is known of the difference between this machine's clock and AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerClock {
    /// Not asked since the start or since the last step of our clock.
    Unasked,
    /// The endpoint sends no date; it is taken at its word.
    Undated,
    /// Our clock minus AWS's.
    Skew(TimeDelta),
}

/// A difference between our clock and AWS's of more than [`SKEW_LIMIT`] that one answer told. One wrong date is not
/// believed: what it made of the pairs' activations would stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubted {
    /// Our clock minus AWS's.
    pub skew: TimeDelta,
    /// From when on an answer that tells the same confirms it.
    pub confirmed_from: DateTime<Utc>,
}

/// How long after a date that differs another one has to tell the same.
const CONFIRMED_AFTER: TimeDelta = TimeDelta::seconds(5);

/// A complete listing of manual snapshots.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotListing {
    /// When it began: only what was asked before this can be missing from it for good.
    pub began_at: DateTime<Utc>,
    /// All of them by name, but for those that other accounts share with this one.
    pub by_id: BTreeMap<SnapshotId, Brief>,
    /// The names that several accounts have a snapshot of, where nobody knows which account is this one: none of
    /// them counts, and none is missing.
    pub unclear: BTreeSet<SnapshotId>,
    /// Those of them whose hold is not whole, so that no turn looks at all the others.
    half_held: BTreeSet<SnapshotId>,
}

impl SnapshotListing {
    /// A listing that began then and shows these.
    pub fn new<'a>(
        began_at: DateTime<Utc>,
        all: impl IntoIterator<Item = &'a Arc<Snapshot>>,
        unclear: BTreeSet<SnapshotId>,
    ) -> Self {
        let mut known = Known::default();
        let briefs = all
            .into_iter()
            .map(|one| Brief::from(&**one).shared(&mut known));
        let by_id: BTreeMap<_, _> = briefs.map(|one| (one.id().clone(), one)).collect();
        let half = by_id.iter().filter(|(_, one)| one.hold() == Hold::Half);
        let half_held = half.map(|(id, _)| id.clone()).collect();
        Self {
            began_at,
            by_id,
            unclear,
            half_held,
        }
    }

    /// Puts in what AWS has told of one snapshot since.
    pub fn put(&mut self, snapshot: &Snapshot) {
        let brief = Brief::from(snapshot);
        let id = brief.id().clone();
        match brief.hold() {
            Hold::Half => drop(self.half_held.insert(id.clone())),
            Hold::Free | Hold::Held => drop(self.half_held.remove(&id)),
        }
        self.by_id.insert(id, brief);
    }

    /// The snapshots whose hold is not whole.
    pub fn half_held(&self) -> impl Iterator<Item = (&SnapshotId, &Brief)> {
        let half = self.half_held.iter();
        half.filter_map(|id| self.by_id.get_key_value(id))
    }
}

/// When a scope is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Not before this instant; after so many failures in a row.
    Next {
        /// The instant.
        at: DateTime<Utc>,
        /// Failed listings in a row.
        failures: u32,
    },
    /// Under way.
    UnderWay {
        /// Failed listings in a row before this one.
        failures: u32,
        /// Since when.
        since: DateTime<Utc>,
    },
}

impl ScopeView {
    /// A scope of which nothing has been seen, to be listed at once.
    pub fn unseen(now: DateTime<Utc>) -> Self {
        Self {
            server_clock: ServerClock::Unasked,
            doubted: None,
            barred: None,
            clusters: None,
            snapshots: None,
            listing: Listing::Next {
                at: now,
                failures: 0,
            },
            pages: 0,
            rests_until: now,
            budget: Budget::full(DEFAULT_MAX_REQUESTS_PER_SECOND, now),
            reached_at: None,
            trouble: None,
            lacks_credentials: false,
            is_identified: true,
            names_account: false,
            asked_account: false,
        }
    }

    /// The instant up to which slots are taken up, started and given up: our present, but not further ahead
    /// of AWS's clock than [`SKEW_LIMIT`]; `None` until AWS has been asked.
    pub fn horizon(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.server_clock {
            ServerClock::Unasked => None,
            ServerClock::Undated => Some(now),
            ServerClock::Skew(skew) => Some(now.min(now - skew + SKEW_LIMIT)),
        }
    }

    /// Whether this instant has come by our clock and, give or take [`SKEW_LIMIT`], by AWS's.
    pub fn has_come(&self, instant: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.horizon(now).is_some_and(|horizon| instant <= horizon)
    }

    /// The present as activations record it: ours, or AWS's where the two are further apart than
    /// [`SKEW_LIMIT`], since what a wrong clock writes into the history would stay; `None` until AWS has
    /// been asked.
    pub fn present(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.server_clock {
            ServerClock::Unasked => None,
            ServerClock::Skew(skew) if skew.abs() > SKEW_LIMIT => Some(now - skew),
            ServerClock::Undated | ServerClock::Skew(_) => Some(now),
        }
    }

    /// Whether the credentials lead to another account than the history's: what is seen there proves nothing.
    pub fn is_other_account(&self) -> bool {
        matches!(self.barred, Some(Barred::OtherAccount { .. }))
    }

    /// Whether our clock was compared with AWS's, and the two agree.
    pub fn clocks_agree(&self) -> bool {
        let is_near = |skew: TimeDelta| skew.abs() <= SKEW_LIMIT;
        self.doubted.is_none()
            && matches!(self.server_clock, ServerClock::Skew(skew) if is_near(skew))
    }

    /// Takes in what an answer told about AWS's clock.
    pub fn note_date(&mut self, date: ServerDate, now: DateTime<Utc>) {
        match date {
            ServerDate::NoAnswer => {}
            ServerDate::Undated => self.server_clock = ServerClock::Undated,
            ServerDate::At(at) => self.note_skew(now - at, now),
        }
    }

    /// A difference is believed when it is small, or when it has been told before.
    fn note_skew(&mut self, skew: TimeDelta, now: DateTime<Utc>) {
        let is_same = |told: TimeDelta| (skew - told).abs() <= SKEW_LIMIT;
        let is_known = matches!(self.server_clock, ServerClock::Skew(known) if is_same(known));
        let doubted = self.doubted.filter(|doubted| is_same(doubted.skew));
        let is_confirmed = doubted.is_some_and(|doubted| now >= doubted.confirmed_from);
        if is_known || is_confirmed || skew.abs() <= SKEW_LIMIT {
            self.server_clock = ServerClock::Skew(skew);
            self.doubted = None;
        } else {
            let confirmed_from = now + CONFIRMED_AFTER;
            let new = || Doubted {
                skew,
                confirmed_from,
            };
            self.doubted = Some(doubted.unwrap_or_else(new));
        }
    }

    /// Asks for a listing in a second, if the pace of failed ones allows: answers that come together want one listing.
    pub fn want_listing(&mut self, now: DateTime<Utc>) {
        if let Listing::Next { at, failures: 0 } = &mut self.listing {
            *at = (*at).min((now + LISTING_PAUSE).max(self.rests_until));
        }
    }

    /// Notes how many pages a complete listing had, which says when the next one may come.
    pub fn note_pages(&mut self, pages: u32, now: DateTime<Utc>) {
        self.pages = pages;
        self.rests_until = match self.is_long() {
            true => now + (self.listing_takes(now) * REST).min(LONGEST_REST),
            false => now,
        };
    }

    /// Whether a listing of the scope is a long one, as far as is known.
    pub fn is_long(&self) -> bool {
        self.pages > SHORT_PAGES
    }

    /// How long the pauses between the pages of a listing take together.
    fn listing_takes(&self, now: DateTime<Utc>) -> TimeDelta {
        let pauses = i32::try_from(self.pages.saturating_sub(SHORT_PAGES)).unwrap_or(i32::MAX);
        self.budget.page_pause(now) * pauses
    }

    /// Whether STS is to be asked whose account it is with the next listing.
    pub fn wants_account(&self) -> bool {
        !self.names_account || !self.is_identified || self.is_other_account()
    }

    /// Whether no listing comes: the last ones failed, or one takes too long.
    pub fn is_blind(&self, now: DateTime<Utc>) -> bool {
        match self.listing {
            Listing::Next { failures, .. } => failures >= BLIND_FROM,
            Listing::UnderWay { failures, since } => {
                let patience = LISTING_INTERVAL + self.listing_takes(now);
                failures >= BLIND_FROM || now - since > patience
            }
        }
    }

    /// Whether a listing has ended since the start, well or not.
    pub fn was_looked_at(&self) -> bool {
        self.reached_at.is_some() || self.trouble.is_some()
    }

    /// Whether a complete listing of snapshots began at or after `since`.
    pub fn listed_since(&self, since: DateTime<Utc>) -> bool {
        self.snapshots
            .as_ref()
            .is_some_and(|listing| listing.began_at >= since)
    }
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
