//! What was seen of one scope.
//!
//! Owns: its last complete listings, its clock, its rate budget, and when it is listed again. Never calls AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::budget::Budget;
use super::{
    BLIND_FROM, LISTING_INTERVAL, LISTING_PAUSE, LONGEST_REST, REST, SHORT_PAGES, SKEW_LIMIT,
};
use crate::brief::{Brief, Known};
use crate::names::ClusterId;
use crate::redshift::{Cluster, ServerDate};
use crate::settings::DEFAULT_MAX_REQUESTS_PER_SECOND;
use crate::slot::Scope;
use crate::snapshot::{Hold, Snapshot, SnapshotId};

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
    /// Whether the last listing failed for lack of credentials that AWS takes.
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
    /// When the listing began: only what was asked before this can be missing from it for good.
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
