//! What people ask a host for beside its schedules.
//!
//! Owns: the way of what a command asks for into the ledger, and to the process if there is one. The commands write into the
//! real store, and only those of a host without one are played here.

use chrono::{DateTime, Utc};
use redkeep_core::engine::{Request, Requests};
use redkeep_core::history::Change;
use redkeep_core::names::Tier;
use redkeep_core::operations::{ActionKind, Confirmation, SnapshotAction};
use redkeep_core::plan::manual_run;
use redkeep_core::run::Run;
use redkeep_core::slot::{Pair, Slot};
use redkeep_core::snapshot::SnapshotId;

use super::host::{Host, Process};

impl Host {
    /// Confirms every plan as it is now, as `prune --confirm` does; how many snapshots may go.
    pub fn confirm(&mut self, now: DateTime<Utc>) -> usize {
        let confirmed = self.confirmations(now);
        let Some(Process { engine, .. }) = &mut self.process else {
            return 0;
        };
        let count = confirmed.iter().map(|one| one.plan.len()).sum();
        for one in confirmed {
            let ledger = &mut self.journal.ledger;
            ledger.confirmations.insert(one.policy.clone(), one.clone());
            let (_, history, _) = engine.falsify();
            history.confirmations.insert(one.policy.clone(), one);
        }
        count
    }

    /// Every plan as it is now, confirmed.
    pub fn confirmations(&self, now: DateTime<Utc>) -> Vec<Confirmation> {
        let Some(Process { engine, .. }) = &self.process else {
            return Vec::new();
        };
        let plans = engine.judge(now).into_iter();
        plans
            .map(|(policy, judgement)| Confirmation {
                id: 1 + i64::try_from(self.journal.ledger.passes.len()).unwrap(),
                policy: policy.name.clone(),
                rules: judgement.rules.clone(),
                plan_hash: judgement.hash.clone(),
                plan: judgement.plan(),
                confirmed_at: now,
                is_begun: false,
            })
            .collect()
    }

    /// Asks for a snapshot of a pair now, as `take` does; `None` where the pair's policy is not in the file, or that
    /// second has a run.
    pub fn take(&mut self, pair: &Pair, now: DateTime<Utc>) -> Option<Run> {
        let policy = self.config.policy(&pair.policy)?;
        let retention = policy.retention.of(Tier::Base);
        let run = manual_run(
            &self.config,
            &self.writer,
            policy,
            pair.clone(),
            retention,
            now,
        );
        let runs = &mut self.journal.ledger.runs;
        if runs.contains_key(&run.slot) {
            return None;
        }
        runs.insert(run.slot.clone(), run.clone());
        self.tell(Requests {
            runs: vec![run.clone()],
            ..Requests::default()
        });
        Some(run)
    }

    /// Asks for something to be done to a snapshot, as `hold`, `release` and `takeover` do.
    pub fn ask(
        &mut self,
        wanted: ActionKind,
        slot: Slot,
        snapshot: SnapshotId,
        now: DateTime<Utc>,
    ) {
        let actions = &mut self.journal.ledger.actions;
        let action = SnapshotAction {
            id: 1 + actions.last_key_value().map_or(0, |(id, _)| *id),
            ..SnapshotAction::new(wanted, slot, snapshot, now)
        };
        actions.insert(action.id, action.clone());
        self.tell(Requests {
            actions: vec![action],
            ..Requests::default()
        });
    }

    /// The process hears of it, where there is one.
    fn tell(&mut self, requests: Requests) {
        let ledger = &self.journal.ledger;
        let requests = Requests {
            pauses: ledger.pauses.clone(),
            rebuilt_at: ledger.rebuilt_at,
            ..requests
        };
        let Some(Process { engine, .. }) = &mut self.process else {
            return;
        };
        let news = engine.receive(requests, &()).into_iter();
        let runs = news.filter_map(|news| match news {
            Request::Snapshot(run) => Some(Change::Run(run)),
            _ => None,
        });
        let runs = runs.collect();
        engine.committed(runs, Vec::new());
    }
}
