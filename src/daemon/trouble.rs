//! Telling commands what keeps slots from beginning in an account and region.
//!
//! Owns: which of the alarms do that, in the words of the page, and when the file is written anew. Storage that hangs holds
//! nothing up.

use chrono::{DateTime, TimeDelta, Utc};
use tracing::debug;

use super::Daemon;
use super::publish::unreached;
use crate::http::health::NOT_YET;
use crate::page::StandingAlarm;
use crate::plan::Alarm;
use crate::redshift::Redshift;
use crate::slot::Scope;
use crate::told::trouble::{self, Trouble};
use redkeep_core::notify::UNREACHABLE_AFTER;

impl<R: Redshift> Daemon<R> {
    /// Tells it where it is another than what was told last.
    pub(super) fn tell_troubles(&mut self) {
        let is_telling = self
            .telling
            .as_ref()
            .is_some_and(|task| !task.is_finished());
        let troubles = self.troubles();
        let key = |one: &Trouble| (one.account.clone(), one.region.clone(), one.meaning.clone());
        let keys: Vec<_> = troubles.iter().map(key).collect();
        if is_telling || self.troubles_told.as_ref() == Some(&keys) {
            return;
        }
        self.troubles_told = Some(keys);
        let state_dir = self.parts.engine.config().state_dir.clone();
        self.telling = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = trouble::write(&state_dir, &troubles) {
                debug!(%error, "commands cannot show what keeps slots from starting");
            }
        }));
    }

    fn troubles(&self) -> Vec<Trouble> {
        let now = self.parts.clock.now();
        let unreached = unreached(&self.parts.engine);
        let unreached: Vec<_> = { unreached.into_iter() }
            .filter(|(_, why)| why != NOT_YET)
            .collect();
        let alarms = self.parts.board.alarms();
        let scopes = self.parts.engine.observed().scopes.keys();
        let of_alarms = scopes.flat_map(|scope| {
            let is_told = unreached.iter().any(|(one, _)| one == scope);
            let alarms = alarms.iter();
            alarms
                .filter(move |one| holds_up(one, scope, is_told, now))
                .map(move |one| of_alarm(one, scope))
        });
        let of_alarms: Vec<Trouble> = of_alarms.collect();
        let unreached = unreached.iter().map(|(scope, why)| Trouble {
            account: scope.account.to_string(),
            region: scope.region.to_string(),
            since: None,
            words: format!("{scope}: {why}"),
            meaning: "No snapshot can be taken there.".to_owned(),
            command: "redkeep doctor".to_owned(),
        });
        unreached.chain(of_alarms).collect()
    }
}

/// Whether an alarm says that no slot begins in the scope. A listing that fails once is no trouble.
fn holds_up(one: &StandingAlarm, scope: &Scope, is_told: bool, now: DateTime<Utc>) -> bool {
    let lasts = |least: TimeDelta| now - one.since >= least;
    match &one.alarm {
        Alarm::ClockSkew(its) | Alarm::SameAccount(its) => its == scope,
        Alarm::OtherAccount(account) => *account == scope.account,
        Alarm::Unreachable(its) => its == scope && !is_told && lasts(UNREACHABLE_AFTER),
        _ => false,
    }
}

fn of_alarm(one: &StandingAlarm, scope: &Scope) -> Trouble {
    let words = format!("{}: {}", one.words.subject, one.words.what);
    Trouble {
        account: scope.account.to_string(),
        region: scope.region.to_string(),
        since: Some(one.since),
        words: match one.said.is_empty() {
            true => words,
            false => format!("{words}: {}", one.said),
        },
        meaning: one.words.meaning.to_owned(),
        command: one.words.command.clone(),
    }
}
