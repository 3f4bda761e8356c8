//! What the daemon tells the page.
//!
//! Owns: the configuration in force and the alarms, each with since when. Figures of pairs and scopes are those of the
//! metrics. Nothing here is made for a request: the daemon tells it when it has something new to tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::history::History;
use crate::plan::Alarm;
use crate::refusals::Refusals;
use crate::slot::rfc3339;
use crate::standing::{self, AlarmWords, Concern, subject, words};

/// An alarm that there is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingAlarm {
    /// Its cause.
    pub alarm: Alarm,
    /// What is to be said of it.
    pub said: String,
    /// When this process first saw it.
    pub since: DateTime<Utc>,
    /// How it is told.
    pub words: AlarmWords,
}

/// Something that AWS refuses now, of which no alarm tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whose slots: a pair's, or those of an account and region.
    pub subject: String,
    /// What is so.
    pub concern: Concern,
}

/// The configuration and the alarms, shared between the daemon and its page.
#[derive(Debug, Default)]
pub struct Board {
    told: Mutex<Told>,
}

/// What was told last.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// `None` before the daemon has begun.
    pub(super) config: Option<Arc<Config>>,
    /// In their order.
    pub(super) alarms: Arc<[StandingAlarm]>,
    /// One for each cause.
    pub(super) refused: Arc<[Refused]>,
}

impl Board {
    /// Tells the configuration that is in force from now on.
    pub fn configure(&self, config: Config) {
        self.change(|told| told.config = Some(Arc::new(config)));
    }

    /// Tells the alarms that there are at `now`, by the history that they are of. One that was told before keeps its
    /// beginning.
    pub fn alarm(&self, alarms: &BTreeMap<Alarm, String>, history: &History, now: DateTime<Utc>) {
        let before = self.told().alarms;
        let since = |alarm: &Alarm| {
            let place = before.binary_search_by(|one| one.alarm.cmp(alarm));
            place
                .ok()
                .and_then(|place| before.get(place))
                .map_or(now, |one| one.since)
        };
        let alarms = alarms.iter().map(|(alarm, said)| StandingAlarm {
            since: since(alarm),
            alarm: alarm.clone(),
            said: said.clone(),
            words: words(alarm, history),
        });
        let alarms: Arc<[StandingAlarm]> = alarms.collect();
        let refused: Arc<[Refused]> = refused(history, now).into();
        self.change(|told| {
            told.alarms = alarms;
            told.refused = refused;
        });
    }

    /// The alarms that there are, in their order.
    pub fn alarms(&self) -> Arc<[StandingAlarm]> {
        self.told().alarms
    }

    pub(super) fn told(&self) -> Told {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What AWS refuses now. What it refuses every create call for is an alarm of the account, and told as one.
fn refused(history: &History, now: DateTime<Utc>) -> Vec<Refused> {
    let causes = Refusals::now(history, now).of_pairs(|_| true);
    let causes = causes.iter().filter(|one| !one.why.is_lasting());
    let told = causes.filter_map(|one| {
        Some(Refused {
            subject: subject(one),
            concern: standing::refused(one, now, rfc3339)?,
        })
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_keeps_its_beginning_while_it_lasts() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let alarm = |name: &str| Alarm::OtherAccount(name.parse().unwrap());
        let board = Board::default();
        let alarm_at = |alarms: &BTreeMap<Alarm, String>, seconds| {
            board.alarm(alarms, &History::default(), at(seconds));
        };
        alarm_at(&BTreeMap::from([(alarm("b"), "1".to_owned())]), 10);
        let both = BTreeMap::from([(alarm("a"), String::new()), (alarm("b"), "2".to_owned())]);
        alarm_at(&both, 20);
        let told = board.told().alarms;
        let told: Vec<_> = told
            .iter()
            .map(|one| (one.said.as_str(), one.since))
            .collect();
        assert_eq!(told, [("", at(20)), ("2", at(10))]);
        alarm_at(&BTreeMap::new(), 30);
        alarm_at(&both, 40);
        assert_eq!(board.told().alarms[1].since, at(40));
    }
}
