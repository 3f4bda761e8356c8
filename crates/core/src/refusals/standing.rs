//! What AWS refuses open slots for now, and for how long.
//!
//! Owns: which refusals have one cause and are told as one, and after what time people are told of them. Never says how: the
//! words are those of `standing`.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::Answers;
use crate::history::History;
use crate::run::{Reason, Run, RunState};
use crate::slot::{Pair, Scope};

/// How long AWS may refuse for something that is likely to pass before anybody should see it.
pub const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// The least time for which AWS has to refuse a slot before receivers get a message.
const LEAST_NOTICE: TimeDelta = TimeDelta::minutes(5);

/// For how long AWS has to refuse a slot before receivers get a message: a quarter of its start window, in which somebody can
/// still do something about it.
pub fn notice_after(run: &Run) -> TimeDelta {
    let window = run.request.deadline - run.slot.scheduled_at;
    LEAST_NOTICE.max(window / 4)
}

/// The open slots that AWS refuses now.
#[derive(Debug, Default)]
pub struct Refusals<'a> {
    by_pair: BTreeMap<&'a Pair, Vec<&'a Run>>,
}

/// What AWS refuses for one cause: the slots of a pair, or those of an account and region where the cause is common to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused<'a> {
    /// The cause.
    pub why: &'a Reason,
    /// The runs, the one that was refused last at the end; never none.
    runs: Vec<&'a Run>,
}

impl<'a> Refusals<'a> {
    /// Those of a history. A slot whose cause is over by an acceptance asks again at once, and is not refused any more.
    pub fn now(history: &'a History, now: DateTime<Utc>) -> Self {
        let mut by_pair: BTreeMap<&Pair, Vec<&Run>> = BTreeMap::new();
        for scope in history.open_scopes() {
            let open = || { history.open_in(scope) }.filter(|run| run.refusal().is_some());
            let answers = Answers::about(history, scope, open(), now);
            for run in open().filter(|run| !answers.refute(run)) {
                by_pair.entry(&run.slot.pair).or_default().push(run);
            }
        }
        Self { by_pair }
    }

    /// Those of a pair, one for each cause; those that it shares with others first.
    pub fn of_pair(&self, pair: &Pair) -> Vec<Refused<'a>> {
        let runs = self.by_pair.get(pair).into_iter().flatten();
        let mut causes = grouped(runs.copied());
        causes.sort_by_key(|one| !one.why.is_of_scope());
        causes
    }

    /// Those of the pairs for which `has` holds, one for each cause.
    pub fn of_pairs(&self, has: impl Fn(&Pair) -> bool) -> Vec<Refused<'a>> {
        let pairs = self.by_pair.iter().filter(|(pair, _)| has(pair));
        grouped(pairs.flat_map(|(_, runs)| runs.iter().copied()))
    }
}

/// The runs by their cause, scope by scope.
fn grouped<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<Refused<'a>> {
    let mut causes: BTreeMap<_, Refused<'a>> = BTreeMap::new();
    for run in runs {
        let Some(why) = run.refusal() else { continue };
        let pair = &run.slot.pair;
        let own = (!why.is_of_scope()).then_some(pair);
        let cause = causes.entry((&pair.scope, own, why.to_string()));
        let runs = Vec::new();
        cause.or_insert(Refused { why, runs }).runs.push(run);
    }
    let mut causes: Vec<Refused<'a>> = causes.into_values().collect();
    for one in &mut causes {
        one.runs.sort_by_key(|run| run.refused_at());
    }
    causes
}

impl<'a> Refused<'a> {
    /// The run that was refused last.
    pub fn last(&self) -> &'a Run {
        self.runs[self.runs.len() - 1]
    }

    /// The account and region.
    pub fn scope(&self) -> &'a Scope {
        &self.last().slot.pair.scope
    }

    /// The pair, where all of the slots are of one.
    pub fn pair(&self) -> Option<&'a Pair> {
        let pair = &self.last().slot.pair;
        let is_its = |run: &&Run| run.slot.pair == *pair;
        self.runs.iter().all(is_its).then_some(pair)
    }

    /// How many slots.
    pub fn count(&self) -> usize {
        self.runs.len()
    }

    /// Since when the first of them has been refused.
    pub fn since(&self) -> DateTime<Utc> {
        let since = self.runs.iter().map(|run| refused_since(run));
        since.min().unwrap_or_default()
    }

    /// Until when redkeep asks at most; `None` where AWS is not asked for any of them again.
    pub fn asks_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let is_asked = |run: &&&Run| {
            matches!(
                run.state,
                RunState::Waiting { .. } | RunState::Asking { .. }
            )
        };
        let asked = self.runs.iter().filter(is_asked);
        let until = asked.map(|run| run.request.deadline).max();
        until.filter(|until| *until > now)
    }

    /// Whether people should see it: at once what does not pass by itself, the rest after a while.
    pub fn is_shown(&self, now: DateTime<Utc>) -> bool {
        !self.why.may_pass() || now - self.since() >= PATIENCE
    }

    /// Whether receivers get a message of it: AWS has refused one of the slots for long, and is still asked.
    pub fn is_long(&self, now: DateTime<Utc>) -> bool {
        let is_long = |run: &&Run| now - refused_since(run) >= notice_after(run);
        self.asks_until(now).is_some() && self.runs.iter().any(is_long)
    }
}

/// Since when AWS has been asked for the run, and refused it.
fn refused_since(run: &Run) -> DateTime<Utc> {
    run.requested_at.unwrap_or(run.request.starts_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Tier;
    use crate::run::{Outcome, Refusal};
    use crate::test_fixtures::{at, good, policy};

    fn refused(cluster: &str, slot: &str, why: Reason) -> Run {
        let retention = "7d".parse::<crate::names::Retention>().unwrap();
        let policy = policy("hourly", "0 * * * *", &["*"], retention.into());
        let mut run = good(&policy, cluster, slot, Tier::Base, 7);
        let since = run.slot.scheduled_at;
        run.request.deadline = since + TimeDelta::minutes(30);
        (run.requested_at, run.asked_at) = (Some(since), Some(since));
        (run.accepted_at, run.snapshot) = (None, None);
        let refusal = Refusal {
            why,
            times: 1,
            at: Some(since),
        };
        run.state = RunState::Waiting {
            until: since + TimeDelta::minutes(20),
            refusal,
        };
        run
    }

    fn history(runs: Vec<Run>) -> History {
        let mut history = History::default();
        runs.into_iter().for_each(|run| history.insert(run));
        history
    }

    const ONE: &str = "2026-11-24T01:00:00Z";
    const TWO: &str = "2026-11-24T02:00:00Z";

    #[test]
    fn slots_of_one_cause_are_one_and_never_asked_for_until_an_instant_that_has_passed() {
        let paused = || Reason::ClusterState(Some("paused".to_owned()));
        let mut given_up = refused("dw", ONE, paused());
        given_up.state = RunState::Concluding {
            since: at(TWO),
            verdict: Outcome::Expired(paused().superseded()),
        };
        let history = history(vec![
            given_up,
            refused("dw", TWO, paused()),
            refused("b", TWO, Reason::Throttled),
            refused("c", TWO, Reason::Throttled),
        ]);
        let now = at("2026-11-24T02:10:00Z");
        let causes = Refusals::now(&history, now).of_pairs(|_| true);
        let told = causes.iter().map(|one| (one.count(), one.pair().is_some()));
        assert_eq!(told.collect::<Vec<_>>(), [(2, false), (2, true)]);
        for one in &causes {
            assert_eq!(one.asks_until(now), Some(at("2026-11-24T02:30:00Z")));
            assert_eq!(one.asks_until(at("2026-11-24T02:30:00Z")), None);
        }
        assert_eq!(causes[1].since(), at(ONE));
    }

    #[test]
    fn what_an_acceptance_has_ended_is_refused_no_more() {
        let mut accepted = refused("c", TWO, Reason::Quota);
        accepted.asked_at = Some(at("2026-11-24T02:05:00Z"));
        accepted.accepted_at = accepted.asked_at;
        accepted.state = RunState::Ended(Outcome::Available);
        let paused = Reason::ClusterState(Some("paused".to_owned()));
        let history = history(vec![
            refused("a", TWO, Reason::Quota),
            refused("b", TWO, paused),
            accepted,
        ]);
        let now = |instant| {
            Refusals::now(&history, at(instant))
                .of_pairs(|_| true)
                .len()
        };
        assert_eq!(now("2026-11-24T02:04:00Z"), 2, "before it was asked for");
        assert_eq!(now("2026-11-24T02:06:00Z"), 1, "the paused cluster is left");
    }

    #[test]
    fn receivers_hear_after_a_quarter_of_the_window_and_not_before_five_minutes() {
        let mut run = refused("a", TWO, Reason::Throttled);
        assert_eq!(notice_after(&run), TimeDelta::minutes(30) / 4);
        run.request.deadline = run.slot.scheduled_at + TimeDelta::minutes(8);
        assert_eq!(notice_after(&run), TimeDelta::minutes(5));
    }
}
