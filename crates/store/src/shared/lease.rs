//! The lease, as the server has it.
//!
//! Owns: every statement on the lease's row and on the terms, but for the one that writes rows (`push`). When a lease may be
//! taken and for how long it may be trusted, `redkeep_core::lease` says. Never asks what time the server has.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;

use super::wire::{Trouble, Wire};
use super::{Fence, SHARD, number, text};
use crate::cell::{parse_instant, to_text};
use crate::error::Fault;
use crate::schema::latest_version;
use redkeep_core::lease::{Line, Mark, Pulse};

/// A lease as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Its two counts.
    pub pulse: Pulse,
    /// The holder's id, if somebody holds it.
    pub holder: Option<String>,
    /// The holder's name.
    pub name: String,
    /// How many changes the shared history has seen.
    pub changes: i64,
    /// The name of whoever wants the holder to give it up.
    pub wanted_by: Option<String>,
    /// The oldest version of the schema that may write.
    pub floor: i64,
}

impl LeaseView {
    /// Refuses a server that wants a newer redkeep.
    pub(super) fn check_floor(&self) -> Result<(), Fault> {
        let (got, wanted) = (self.floor, latest_version());
        match got > wanted {
            true => Err(Fault::ServerNewer { got, wanted }),
            false => Ok(()),
        }
    }
}

/// Where the history on the server was moved to, if it was.
pub(super) fn moved_to(wire: &Wire) -> Result<Option<String>, Fault> {
    let rows = wire.query(
        "SELECT coalesce(moved_to, '') FROM {s}.installation",
        Vec::new(),
    )?;
    let to = rows.first().map(|row| text(row.first()));
    Ok(to.filter(|to| !to.is_empty()))
}

pub(super) fn view(wire: &Wire) -> Result<LeaseView, Fault> {
    let rows = wire.query(
        "SELECT epoch, renewals, coalesce(holder::text, ''), name, changes, coalesce(wanted_by, ''),
             (SELECT floor FROM {s}.installation) FROM {s}.leases WHERE shard = $1",
        vec![shard()],
    )?;
    let row = rows.first().ok_or_else(no_row)?;
    let filled = |at: usize| Some(text(row.get(at))).filter(|text| !text.is_empty());
    Ok(LeaseView {
        pulse: Pulse {
            epoch: number(row.first()),
            renewals: number(row.get(1)),
        },
        holder: filled(2),
        name: text(row.get(3)),
        changes: number(row.get(4)),
        wanted_by: filled(5),
        floor: number(row.get(6)),
    })
}

/// A term that was taken.
pub(super) struct Begun {
    /// Its number.
    pub epoch: i64,
    /// The last sign of life of the term before, if there was one.
    pub last_sign: Option<DateTime<Utc>>,
}

/// A term of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// The instance's id.
    pub holder: String,
    /// The term's number.
    pub epoch: i64,
}

impl Term {
    /// Under which the instance writes while the term lasts.
    pub(super) fn fence(&self) -> Fence {
        Fence::Holder {
            id: self.holder.clone(),
            epoch: self.epoch,
        }
    }

    fn values(&self) -> Vec<Value> {
        vec![
            shard(),
            Value::from(self.holder.clone()),
            Value::from(self.epoch),
        ]
    }
}

/// Takes the lease for `holder`, known as `name`, if it still has this pulse, and a history that was moved away only where
/// that `is_mover`; `None` where somebody was faster.
pub(super) fn take(
    wire: &Wire,
    (holder, name): (&str, &str),
    pulse: Pulse,
    now: DateTime<Utc>,
    is_mover: bool,
) -> Result<Option<Begun>, Fault> {
    let rows = wire.query(
        "WITH taken AS (UPDATE {s}.leases SET holder = $2::uuid, name = $5, epoch = epoch + 1, renewals = renewals + 1,
             wanted_by = NULL WHERE shard = $1 AND epoch = $3 AND renewals = $4
                 AND EXISTS (SELECT 1 FROM {s}.installation WHERE floor <= $8 AND ($7 = 1 OR moved_to IS NULL))
             RETURNING epoch),
         begun AS (INSERT INTO {s}.terms (shard, epoch, holder, name, begun_at, renewed_at)
             SELECT $1, epoch, $2::uuid, $5, $6, $6 FROM taken)
         SELECT epoch, (SELECT renewed_at FROM {s}.terms WHERE shard = $1 ORDER BY epoch DESC, renewed_at DESC LIMIT 1)
         FROM taken",
        vec![
            shard(),
            Value::from(holder.to_owned()),
            Value::from(pulse.epoch),
            Value::from(pulse.renewals),
            Value::from(name.to_owned()),
            Value::from(to_text(now)),
            Value::from(i64::from(is_mover)),
            Value::from(latest_version()),
        ],
    )?;
    Ok(rows.first().map(|row| Begun {
        epoch: number(row.first()),
        last_sign: parse_instant(&text(row.get(1))).ok(),
    }))
}

/// Renews the lease of a term, and notes this as the term's last sign of life if all that it did until now `is_recorded`: the
/// term after it looks for what was created since. How many changes there were, and who wants the lease (empty: nobody); `None` where it is
/// another's, or the schema wants a newer redkeep.
pub(super) fn renew(
    wire: &Wire,
    term: &Term,
    now: DateTime<Utc>,
    is_recorded: bool,
) -> Result<Option<(i64, String)>, Trouble> {
    let mut values = term.values();
    values.extend([
        Value::from(to_text(now)),
        Value::from(latest_version()),
        Value::from(i64::from(is_recorded)),
    ]);
    let rows = wire.query(
        "WITH renewed AS (UPDATE {s}.leases SET renewals = renewals + 1
                 WHERE shard = $1 AND holder = $2::uuid AND epoch = $3
                     AND EXISTS (SELECT 1 FROM {s}.installation WHERE floor <= $5)
                 RETURNING changes, coalesce(wanted_by, '') AS wanted_by),
             noted AS (UPDATE {s}.terms SET renewed_at = $4 FROM renewed
                 WHERE shard = $1 AND epoch = $3 AND holder = $2::uuid AND $6 = 1)
             SELECT changes, wanted_by FROM renewed",
        values,
    )?;
    Ok(rows
        .first()
        .map(|row| (number(row.first()), text(row.get(1)))))
}

/// Gives the lease of a term up, if it is still that term's; `is_recorded` as for [`renew`].
pub(super) fn release(
    wire: &Wire,
    term: &Term,
    now: DateTime<Utc>,
    is_recorded: bool,
) -> Result<(), Trouble> {
    let mut values = term.values();
    values.extend([
        Value::from(to_text(now)),
        Value::from(i64::from(is_recorded)),
    ]);
    let released = wire.query(
        "WITH released AS (UPDATE {s}.leases SET holder = NULL, name = '', renewals = renewals + 1, wanted_by = NULL
                 WHERE shard = $1 AND holder = $2::uuid AND epoch = $3 RETURNING epoch AS ended)
             UPDATE {s}.terms SET ended_at = $4, renewed_at = CASE WHEN $5 = 1 THEN $4 ELSE renewed_at END FROM released
             WHERE shard = $1 AND epoch = ended AND holder = $2::uuid",
        values,
    );
    released.map(drop)
}

/// Asks the holder to let another instance work, on behalf of `name`; whether there is a holder.
pub(super) fn want(wire: &Wire, name: &str) -> Result<bool, Trouble> {
    let rows = wire.query(
        "UPDATE {s}.leases SET wanted_by = $2 WHERE shard = $1 AND holder IS NOT NULL RETURNING epoch",
        vec![shard(), Value::from(name.to_owned())],
    )?;
    Ok(!rows.is_empty())
}

/// What the server has of the line of changes that `mark` is on.
pub(super) fn line(wire: &Wire, mark: &Mark) -> Result<Line, Fault> {
    let rows = wire.query(
        "SELECT changes, floor, coalesce((SELECT id FROM {s}.commits WHERE change = $2), '')
         FROM {s}.leases WHERE shard = $1",
        vec![shard(), Value::from(mark.change)],
    )?;
    let row = rows.first().ok_or_else(no_row)?;
    Ok(Line {
        changes: number(row.first()),
        floor: number(row.get(1)),
        id: text(row.get(2)),
    })
}

fn shard() -> Value {
    Value::from(SHARD.to_owned())
}

fn no_row() -> Fault {
    Fault::away("its table leases has no row".to_owned())
}
