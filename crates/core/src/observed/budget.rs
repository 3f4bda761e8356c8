//! How fast AWS is asked in one scope.
//!
//! Owns: the token bucket and its pace, which finds its own level: it grows while AWS throttles nothing and halves when it
//! does (docs/semantics.md section 3). Never waits: it says how many requests may be sent, and when more may.

use chrono::{DateTime, TimeDelta, Utc};

/// A token bucket: so many requests at once, so many a second in the long run.
///
/// How many pages a listing has is known only afterwards: up to a bucket's worth of them are a debt, and nothing is
/// sent before that is paid off. After a listing of 1,800 snapshots a full bucket still lets a slot start within
/// two seconds. What a longer one took is paid by half of the pace, and by no more of it while it is under way: the
/// other half is everybody else's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    tokens: f64,
    filled_at: DateTime<Utc>,
    /// Requests a second at `paced_at`.
    pace: f64,
    /// When the pace was set last: at the start, or by a throttling answer.
    paced_at: DateTime<Utc>,
    /// The pace never exceeds this.
    limit: f64,
    /// Whether a throttling answer has set the pace.
    is_throttled: bool,
    /// Pages of a long listing that are not paid for yet; below zero what was paid before they were counted.
    owed: f64,
    /// Whether a listing that is known to be long is under way.
    is_listing: bool,
}

impl Budget {
    /// How many requests may be sent at once.
    pub const BURST: u32 = 20;
    /// The pace at the start, in requests a second.
    pub const FIRST_PACE: f64 = 10.0;
    /// The slowest pace.
    const SLOWEST: f64 = 1.0;
    /// By this the pace grows each minute without throttling.
    const GROWTH: f64 = 1.25;
    /// Throttling answers of requests that were sent together count once.
    const ONE_WAVE: TimeDelta = TimeDelta::seconds(1);
    /// From the slowest pace to the highest limit it takes fewer minutes than this.
    const MINUTES_OF_GROWTH: f64 = 30.0;
    /// The part of the pace that a long listing may take.
    const LISTING_SHARE: f64 = 0.5;

    /// A full bucket, whose pace never exceeds `limit` requests a second.
    pub fn full(limit: u32, now: DateTime<Utc>) -> Self {
        Self {
            tokens: f64::from(Self::BURST),
            filled_at: now,
            pace: Self::FIRST_PACE,
            paced_at: now,
            limit: f64::from(limit),
            is_throttled: false,
            owed: 0.0,
            is_listing: false,
        }
    }

    /// The same with another limit.
    #[must_use]
    pub fn limited(self, limit: u32) -> Self {
        let limit = f64::from(limit);
        Self { limit, ..self }
    }

    /// How many requests a second may be sent in the long run.
    pub fn pace(&self, now: DateTime<Utc>) -> f64 {
        let minutes = (now - self.paced_at).as_seconds_f64() / 60.0;
        let minutes = minutes.clamp(0.0, Self::MINUTES_OF_GROWTH);
        let grown = self.pace * Self::GROWTH.powf(minutes);
        grown.min(self.limit)
    }

    /// The pace when a request was counted last.
    pub fn last_pace(&self) -> f64 {
        self.pace(self.filled_at)
    }

    /// AWS has throttled a request: half the pace from now on, and no burst.
    #[must_use]
    pub fn throttled(self, now: DateTime<Utc>) -> Self {
        let budget = self.at(now);
        let is_same_wave = budget.pace < Self::FIRST_PACE.min(budget.limit)
            && (now - budget.paced_at).abs() < Self::ONE_WAVE;
        if is_same_wave {
            return budget;
        }
        Self {
            tokens: budget.tokens.min(1.0),
            pace: (budget.pace(now) / 2.0).max(Self::SLOWEST),
            paced_at: now,
            is_throttled: true,
            ..budget
        }
    }

    /// Whether AWS has throttled requests, and the pace has not come back to its limit since.
    pub fn is_slowed(&self, now: DateTime<Utc>) -> bool {
        self.is_throttled && self.pace(now) < self.limit
    }

    /// How many requests may be sent at `now`.
    pub fn available(&self, now: DateTime<Utc>) -> usize {
        self.at(now).tokens as usize
    }

    /// The bucket after that many requests by `now`.
    #[must_use]
    pub fn spent(&self, requests: u32, now: DateTime<Utc>) -> Self {
        let mut budget = self.at(now);
        budget.tokens -= f64::from(requests);
        budget
    }

    /// The bucket when a listing begins that is known to be long, or is not.
    #[must_use]
    pub fn listing(&self, is_long: bool, now: DateTime<Utc>) -> Self {
        Self {
            is_listing: is_long,
            ..self.at(now)
        }
    }

    /// The bucket after a listing that took so many requests more than were counted when it began.
    #[must_use]
    pub fn listed(&self, further: u32, now: DateTime<Utc>) -> Self {
        let budget = self.at(now);
        let at_once = match budget.is_listing {
            true => 0,
            false => further.min(Self::BURST),
        };
        Self {
            tokens: budget.tokens - f64::from(at_once),
            owed: (budget.owed + f64::from(further - at_once)).max(0.0),
            is_listing: false,
            ..budget
        }
    }

    /// How far apart the pages of a long listing are.
    pub fn page_pause(&self, now: DateTime<Utc>) -> TimeDelta {
        TimeDelta::milliseconds((1000.0 / (self.pace(now) * Self::LISTING_SHARE)).ceil() as i64)
    }

    /// The bucket as it is, filling from `now` by another clock.
    #[must_use]
    pub(super) fn restarted(self, now: DateTime<Utc>) -> Self {
        Self {
            filled_at: now,
            pace: self.pace(self.filled_at),
            paced_at: now,
            ..self
        }
    }

    /// When so many requests may be sent at once.
    pub fn holds_at(&self, requests: u32, now: DateTime<Utc>) -> DateTime<Utc> {
        let budget = self.at(now);
        let wanting = (f64::from(requests) - budget.tokens).max(0.0);
        // While a listing is paid for, its share of the pace brings nothing.
        let share = Self::LISTING_SHARE;
        let beside = match budget.is_listing {
            true => wanting,
            false => wanting.min(budget.owed.max(0.0) / share * (1.0 - share)),
        };
        let seconds = (beside / (1.0 - share) + wanting - beside) / budget.pace(now);
        now + TimeDelta::milliseconds((seconds * 1000.0).ceil() as i64)
    }

    fn at(self, now: DateTime<Utc>) -> Self {
        let elapsed = (now - self.filled_at)
            .max(TimeDelta::zero())
            .as_seconds_f64();
        let gained = elapsed * self.pace(now);
        let share = gained * Self::LISTING_SHARE;
        let paid = match self.is_listing {
            true => share,
            false => share.min(self.owed.max(0.0)),
        };
        Self {
            tokens: (self.tokens + gained - paid).min(f64::from(Self::BURST)),
            owed: self.owed - paid,
            filled_at: now,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_pace_grows_by_a_quarter_a_minute_up_to_its_limit() {
        let budget = Budget::full(20, at(0));
        let paces = [0, 60, 120, 240, 100_000].map(|second| budget.pace(at(second)));
        assert_eq!(paces, [10.0, 12.5, 15.625, 20.0, 20.0]);
        assert!((11.1..11.2).contains(&budget.pace(at(30))));
        assert_eq!(Budget::full(3, at(0)).pace(at(0)), 3.0);
    }

    #[test]
    fn a_wave_of_throttling_halves_the_pace_once_and_never_below_one() {
        let mut budget = Budget::full(20, at(0));
        for _ in 0..8 {
            budget = budget.throttled(at(0));
        }
        assert_eq!(budget.pace(at(0)), 5.0);
        assert_eq!(budget.available(at(0)), 1);
        for second in 12..40 {
            budget = budget.throttled(at(second));
        }
        assert_eq!(budget.pace(at(39)), 1.0);
        assert!(budget.pace(at(39 + 15 * 60)) > 19.0);
    }

    #[test]
    fn what_throttling_has_slowed_is_slow_until_the_pace_is_back_at_its_limit() {
        let budget = Budget::full(20, at(0));
        assert!(!budget.is_slowed(at(0)), "it only has not grown yet");
        let budget = budget.throttled(at(600));
        assert!(budget.is_slowed(at(600)) && budget.is_slowed(at(700)));
        assert!(!budget.is_slowed(at(900)));
    }

    /// Who asks as fast as each budget allows, of an account that takes `capacity` requests a second: for each how many
    /// were taken in half an hour, and how many refused.
    fn shared(mut budgets: Vec<Budget>, capacity: f64) -> Vec<[u32; 2]> {
        let mut counts = vec![[0, 0]; budgets.len()];
        let (mut room, step) = (capacity, TimeDelta::milliseconds(50));
        for tick in 0..36_000 {
            let now = at(0) + step * tick;
            room = (room + capacity / 20.0).min(capacity);
            let turn = usize::try_from(tick).unwrap() % budgets.len();
            for index in 0..budgets.len() {
                let who = (index + turn) % budgets.len();
                while budgets[who].available(now) > 0 {
                    budgets[who] = budgets[who].spent(1, now);
                    let is_taken = room >= 1.0;
                    counts[who][usize::from(!is_taken)] += 1;
                    match is_taken {
                        true => room -= 1.0,
                        false => budgets[who] = budgets[who].throttled(now),
                    }
                }
            }
        }
        counts
    }

    #[test]
    fn daemons_that_share_a_limit_use_most_of_it_and_none_starves() {
        for (daemons, capacity) in [(1, 5.0), (2, 8.0), (2, 12.0), (3, 9.0)] {
            let counts = shared(vec![Budget::full(20, at(0)); daemons], capacity);
            let taken: u32 = counts.iter().map(|[taken, _]| taken).sum();
            let refused: u32 = counts.iter().map(|[_, refused]| refused).sum();
            let most = capacity * 1_800.0;
            let told = format!("{daemons} daemons, {capacity} a second: {counts:?}");
            assert!(f64::from(taken) > most * 0.6, "{told}");
            assert!(f64::from(refused) < f64::from(taken) * 0.1, "{told}");
            let fair = f64::from(taken) / f64::from(u32::try_from(daemons).unwrap());
            assert!(
                counts
                    .iter()
                    .all(|[taken, _]| f64::from(*taken) > fair / 2.0),
                "{told}"
            );
        }
    }

    #[test]
    fn a_long_listing_leaves_half_of_the_pace_to_others_and_no_debt_behind() {
        let pace = Budget::FIRST_PACE;
        // The first one: nobody knew that it is long.
        let after = Budget::full(10, at(0)).listed(198, at(10));
        assert_eq!(after.available(at(10)), 0);
        assert_eq!(
            after.holds_at(1, at(10)),
            at(10) + TimeDelta::milliseconds(200)
        );
        assert_eq!(after.available(at(12)), 10, "half of the pace");
        let (sent, owed) = (after.spent(10, at(12)), 178.0);
        assert_eq!(sent.available(at(14)), 10);
        assert!(sent.owed <= owed - 10.0 + 0.001);
        // The next one takes its share while it is under way, at the pauses that its pages keep.
        let pause = after.page_pause(at(100)).as_seconds_f64();
        assert_eq!(pause, 2.0 / pace);
        let (begun, pages) = (Budget::full(10, at(100)).spent(20, at(100)), 198);
        let begun = begun.listing(true, at(100));
        assert_eq!(begun.available(at(102)), 10, "half of the pace");
        assert_eq!(begun.holds_at(10, at(100)), at(102));
        let listed = begun.listed(pages, at(100) + TimeDelta::milliseconds(198 * 200));
        assert_eq!(listed.available(at(140)), 20, "no debt");
        assert!(listed.owed.abs() < 0.001, "{}", listed.owed);
    }

    #[test]
    fn no_more_is_sent_than_the_burst_and_the_pace_allow() {
        let mut budget = Budget::full(20, at(0));
        let mut sent = 0;
        for millisecond in (0..60_000).step_by(10) {
            let now = at(0) + TimeDelta::milliseconds(millisecond);
            while budget.available(now) > 0 {
                budget = budget.spent(1, now);
                sent += 1;
            }
        }
        assert!((685..=696).contains(&sent), "{sent}");
    }
}
