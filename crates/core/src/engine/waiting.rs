//! What waits in one scope: the index that spares a plan all that nothing has happened to.
//!
//! Owns: which clusters' runs are to be looked at by an instant, which wait for the budget, in the order in which they go,
//! and what is known of the others. It only repeats what the last plan of each cluster has told: a plan of the whole scope
//! is made each half minute whatever it says, and `Engine::audit` finds what is not so (I25).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::names::ClusterId;
use crate::observed::CALLS_IN_FLIGHT;
use crate::plan::outlook::{Outlook, Outlooks, Rest};
use crate::slot::{Pair, Slot};

/// The clusters by an instant.
type ByInstant = BTreeSet<(DateTime<Utc>, ClusterId)>;

/// More than AWS is asked at once for looks by name, also where as many calls as may be are under way for the first of them.
const LOOKS: usize = 2 * CALLS_IN_FLIGHT;

/// What waits in one scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    outlooks: BTreeMap<ClusterId, Outlook>,
    wakes: ByInstant,
    listings: ByInstant,
    looks: ByInstant,
    asking: BTreeSet<Slot>,
    /// The pairs that have a snapshot whose end is near.
    pub(super) near: BTreeSet<Pair>,
    /// Whether runs were looked for by their names.
    pub(super) looks_by_name: bool,
}

impl Waiting {
    /// What the plan of a whole scope has told.
    pub(super) fn new(outlooks: Outlooks, near: BTreeSet<Pair>, looks_by_name: bool) -> Self {
        let mut waiting = Self {
            near,
            looks_by_name,
            ..Self::default()
        };
        waiting.put(outlooks);
        waiting
    }

    /// The clusters that are to be looked at: those whose instant has come, and those of the first runs that may ask.
    pub(super) fn due(&self, room: usize, now: DateTime<Utc>) -> BTreeSet<ClusterId> {
        let is_come = |(at, _): &&(DateTime<Utc>, ClusterId)| *at <= now;
        let wakes = self.wakes.iter().take_while(is_come);
        let most = if self.looks_by_name { LOOKS } else { 0 };
        let looks = self.looks.iter().take_while(is_come).take(most);
        let come = wakes.chain(looks).map(|(_, cluster)| cluster);
        let asking = self.asking.iter().take(room);
        let asking = asking.map(|slot| &slot.pair.cluster);
        come.chain(asking).cloned().collect()
    }

    /// Whether the slot's run would ask AWS, and waits for the budget.
    pub(super) fn asks(&self, slot: &Slot) -> bool {
        self.asking.contains(slot)
    }

    /// Forgets what these clusters waited for: they are looked at. What is left is the rest.
    pub(super) fn take(&mut self, clusters: &BTreeSet<ClusterId>) -> Rest {
        for cluster in clusters {
            let Some(outlook) = self.outlooks.remove(cluster) else {
                continue;
            };
            let Outlook {
                wake_at,
                listing_at,
                look_at,
                asking,
            } = outlook;
            for (index, at) in self.indexes([wake_at, listing_at, look_at]) {
                index.remove(&(at, cluster.clone()));
            }
            for slot in asking {
                self.asking.remove(&slot);
            }
        }
        let first = |index: &ByInstant| index.first().map(|(at, _)| *at);
        Rest {
            wake_at: first(&self.wakes),
            listing_at: first(&self.listings),
            look_at: first(&self.looks),
            asking: self.asking.len(),
        }
    }

    /// Takes in what was told of clusters that were looked at.
    pub(super) fn put(&mut self, outlooks: Outlooks) {
        for (cluster, outlook) in outlooks.0 {
            let instants = [outlook.wake_at, outlook.listing_at, outlook.look_at];
            for (index, at) in self.indexes(instants) {
                index.insert((at, cluster.clone()));
            }
            self.asking.extend(outlook.asking.iter().cloned());
            self.outlooks.insert(cluster, outlook);
        }
    }

    /// The indexes in which a cluster is, each with its instant.
    fn indexes(
        &mut self,
        instants: [Option<DateTime<Utc>>; 3],
    ) -> impl Iterator<Item = (&mut ByInstant, DateTime<Utc>)> {
        let indexes = [&mut self.wakes, &mut self.listings, &mut self.looks];
        let both = indexes.into_iter().zip(instants);
        both.filter_map(|(index, at)| Some((index, at?)))
    }

    /// A cluster of which less is known than `truth` tells.
    pub(super) fn lacks<'a>(&self, truth: &'a Outlooks) -> Option<(&'a ClusterId, &'a Outlook)> {
        let nothing = Outlook::default();
        let mut truth = truth.0.iter();
        truth.find(|(cluster, truth)| {
            let known = self.outlooks.get(*cluster).unwrap_or(&nothing);
            !known.covers(truth)
        })
    }

    /// Loses what waits, as a planted fault does.
    pub(super) fn lose(&mut self) {
        *self = Self {
            near: std::mem::take(&mut self.near),
            looks_by_name: self.looks_by_name,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn cluster(name: &str) -> ClusterId {
        name.parse().unwrap()
    }

    fn slot(name: &str) -> Slot {
        let scope = crate::slot::Scope {
            account: "prod".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
        };
        let pair = Pair {
            policy: "nightly".parse().unwrap(),
            scope,
            cluster: cluster(name),
        };
        Slot {
            pair,
            scheduled_at: at(0),
        }
    }

    fn waiting() -> Waiting {
        let asks = |name: &str| Outlook {
            wake_at: Some(at(900)),
            asking: vec![slot(name)],
            ..Outlook::default()
        };
        let made = Outlook {
            wake_at: Some(at(60)),
            listing_at: Some(at(30)),
            look_at: Some(at(40)),
            ..Outlook::default()
        };
        let outlooks = [
            ("b", asks("b")),
            ("a", asks("a")),
            ("c", asks("c")),
            ("m", made),
        ];
        let outlooks = outlooks.map(|(name, outlook)| (cluster(name), outlook));
        Waiting::new(Outlooks(outlooks.into()), BTreeSet::new(), false)
    }

    fn names(clusters: &BTreeSet<ClusterId>) -> Vec<&str> {
        clusters.iter().map(ClusterId::as_str).collect()
    }

    #[test]
    fn what_has_come_is_due_and_of_what_asks_as_much_as_there_is_room_for() {
        let mut waiting = waiting();
        assert_eq!(names(&waiting.due(2, at(59))), ["a", "b"]);
        assert_eq!(names(&waiting.due(0, at(60))), ["m"]);
        assert!(
            waiting.due(0, at(59)).is_empty(),
            "it is not looked for by its name"
        );
        waiting.looks_by_name = true;
        assert_eq!(names(&waiting.due(0, at(40))), ["m"]);
    }

    #[test]
    fn the_rest_is_what_is_not_looked_at_and_what_is_told_again_is_there_again() {
        let mut waiting = waiting();
        let rest = waiting.take(&["a", "m", "unknown"].map(cluster).into());
        assert_eq!((rest.wake_at, rest.asking), (Some(at(900)), 2));
        assert_eq!((rest.listing_at, rest.look_at), (None, None));
        let later = Outlook {
            listing_at: Some(at(70)),
            ..Outlook::default()
        };
        waiting.put(Outlooks([(cluster("m"), later)].into()));
        let rest = waiting.take(&BTreeSet::new());
        assert_eq!((rest.listing_at, rest.asking), (Some(at(70)), 2));
        assert_eq!(names(&waiting.due(9, at(60))), ["b", "c"]);
    }

    #[test]
    fn an_index_that_knows_less_than_is_so_lacks_it_and_one_that_wakes_early_does_not() {
        let truth = |wake: i64, asks: bool| {
            let outlook = Outlook {
                wake_at: Some(at(wake)),
                asking: if asks { vec![slot("a")] } else { Vec::new() },
                ..Outlook::default()
            };
            Outlooks([(cluster("a"), outlook)].into())
        };
        let mut waiting = waiting();
        assert_eq!(waiting.lacks(&truth(900, true)), None);
        assert_eq!(waiting.lacks(&truth(901, false)), None);
        assert!(waiting.lacks(&truth(899, false)).is_some());
        waiting.lose();
        assert!(waiting.lacks(&truth(900, true)).is_some());
    }
}
