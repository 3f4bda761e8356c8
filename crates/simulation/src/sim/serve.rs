//! AWS at work: the sandbox's pure model, asked without HTTP, and what goes wrong on the way.
//!
//! Owns: what one request does to the account, and what it suffers. Never knows which call it belongs to: the product's
//! own steps lead from one request to the next.

mod changes;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::redshift::{
    Answer, Cluster, ErrorClass, RedshiftError, ServerDate, SnapshotEvent, error_class,
};
use redkeep_core::snapshot::{Snapshot, SnapshotId};
use redkeep_sandbox::account::snapshot_not_found;
use redkeep_sandbox::error::ApiError;
use redkeep_sandbox::event::EventKind;
use redkeep_sandbox::faults::{self, Fault, FaultEffect};

use super::aws::{ALL, Aws, tags};
use super::dice::Dice;
use super::refused::NO_CODE;
use super::wire::{Request, To};

/// What became of a request.
pub struct Served {
    pub hand_over: Box<dyn FnOnce() + Send>,
    /// What the log says of it.
    pub told: Option<String>,
}

/// How long it waits at AWS.
pub fn latency(fault_effect: &FaultEffect) -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(fault_effect.latency_milliseconds).unwrap())
}

/// Whether the client hears nothing until it gives up.
pub fn hangs(fault_effect: &FaultEffect) -> bool {
    matches!(fault_effect.fault, Some(Fault::Hang))
}

/// Whether the answer does not say what was done.
pub fn leaves_open(fault_effect: &FaultEffect) -> bool {
    match &fault_effect.fault {
        Some(Fault::Error { code, .. }) => {
            matches!(code.as_str(), "InternalFailure" | "NobodyKnowsIt")
        }
        Some(Fault::LostReply | Fault::Reset | Fault::Hang | Fault::Truncate | Fault::Empty) => {
            true
        }
        Some(Fault::Html { .. }) => true,
        _ => false,
    }
}

impl Aws {
    /// Asks the fault plan.
    pub fn fault_effect(&mut self, request: &Request, region: &str) -> FaultEffect {
        let operation = request.operation();
        *self.asked.entry(operation).or_default() += 1;
        if let (Request::Snapshots(..), Some(fault)) = (request, &self.blind) {
            return FaultEffect {
                fault: Some(fault.clone()),
                ..FaultEffect::default()
            };
        }
        let cluster = match request {
            Request::Create(wanted, _) => Some(wanted.cluster.as_str()),
            Request::Delete(_, cluster, _) => Some(cluster.as_str()),
            Request::Snapshots(..) => Some(ALL),
            _ => None,
        };
        self.faults.next(faults::Call {
            operation,
            account: None,
            region,
            cluster,
        })
    }

    /// How much later a listing looks, and how much later its answer comes.
    pub fn slowness(&mut self, request: &Request, dice: &mut Dice) -> (TimeDelta, TimeDelta) {
        if let (Request::Snapshots(_, pause), None) = (request, self.slow) {
            return (TimeDelta::zero(), *pause * self.further_pages());
        }
        let Some((least, most)) = self.slow.filter(|_| request.is_listing()) else {
            return (TimeDelta::zero(), TimeDelta::zero());
        };
        let mut seconds = || dice.milliseconds((least * 1_000, most * 1_000)) / 2;
        (seconds(), seconds())
    }

    /// How many pages beyond those that come at once a listing of the snapshots has in the largest region.
    fn further_pages(&self) -> i32 {
        let regions = self.account.regions.values();
        let most = regions.map(|region| region.snapshots.len()).max();
        let pages = most.unwrap_or_default() / PAGE;
        i32::try_from(pages)
            .unwrap_or_default()
            .saturating_sub(20)
            .max(0)
    }

    /// Keeps the code with which a create call was refused.
    fn note_refusal(&mut self, id: String, code: Option<&str>) {
        let code = code.unwrap_or(NO_CODE).to_owned();
        if code == "ClusterSnapshotAlreadyExists" {
            self.found_existing += 1;
        }
        self.last_codes.insert(id.clone(), code.clone());
        self.refused.entry(id).or_default().insert(code);
    }

    /// Carries a request out, in so far as its fault_effect lets it.
    pub fn carry_out(
        &mut self,
        request: Request,
        fault_effect: &FaultEffect,
        region: &str,
        now: DateTime<Utc>,
    ) -> Served {
        let twist = fault_effect.twist();
        match request {
            Request::Clusters(to) => {
                let list = |aws: &mut Self| Ok(aws.clusters(region, now));
                let answer = in_pages(self.answer(fault_effect, now, list));
                served(to, answer, "the listing of clusters", |_| None)
            }
            Request::Snapshots(to, _) => {
                self.listings.push(now);
                let list = |aws: &mut Self| {
                    let strangers = aws.strangers.clone();
                    Ok(aws
                        .listed(region, now)
                        .into_iter()
                        .chain(strangers)
                        .collect())
                };
                let answer = in_pages(self.answer(fault_effect, now, list));
                served(to, answer, "the listing of snapshots", |_| None)
            }
            Request::Snapshot(id, to) => {
                let find = |aws: &mut Self| {
                    let found = aws.named(region, &id, now);
                    match found.is_empty() {
                        true => Err(snapshot_not_found(id.as_str())),
                        false => Ok(found),
                    }
                };
                let answer = self.answer(fault_effect, now, find);
                let what = format!("the look for {id}");
                served(to, answer, &what, |found| {
                    Some(format!("finds {} of {id}", found.len()))
                })
            }
            Request::Create(wanted, to) => {
                let create = |aws: &mut Self| aws.create(region, &wanted, twist, now);
                let answer = self.answer(fault_effect, now, create);
                let id = &wanted.snapshot_id;
                if let Err(error) = &answer.result {
                    self.note_refusal(id.to_string(), error.code.as_deref());
                }
                let what = format!("the request for {id}");
                served(to, answer, &what, |_| Some(format!("accepts {id}")))
            }
            Request::KeepFor(id, retention, to) => {
                let modify = |aws: &mut Self| aws.modify(region, &id, retention, now);
                let answer = self.answer(fault_effect, now, modify);
                let what = format!("the period of {id}");
                served(to, answer, &what, |_| {
                    Some(format!("keeps {id} for {retention}"))
                })
            }
            Request::Delete(id, cluster, to) => {
                let delete = |aws: &mut Self| aws.remove(region, &id, &cluster, now);
                let answer = self.answer(fault_effect, now, delete);
                let what = format!("the removal of {id}");
                served(to, answer, &what, |()| Some(format!("removes {id}")))
            }
            Request::Tag(arn, key, value, to) => {
                self.set_tag(fault_effect, region, (&arn, &key, Some(&value)), to, now)
            }
            Request::Untag(arn, key, to) => {
                self.set_tag(fault_effect, region, (&arn, &key, None), to, now)
            }
            Request::Look(_, look) => look(self, fault_effect, region, now),
        }
    }

    /// The answer to a request, by what it suffers.
    pub fn answer<T>(
        &mut self,
        fault_effect: &FaultEffect,
        now: DateTime<Utc>,
        operation: impl FnOnce(&mut Self) -> Result<T, ApiError>,
    ) -> Answer<T> {
        let unclear = |message: &str| RedshiftError {
            class: ErrorClass::Unknown,
            code: None,
            message: message.to_owned(),
        };
        let (result, answered) = match &fault_effect.fault {
            Some(Fault::Error {
                code,
                status,
                message,
            }) => (Err(refused(code, *status, message)), true),
            Some(Fault::LostReply | Fault::Truncate | Fault::Empty) => {
                // Whether it was done or refused, nobody hears of it.
                let _ = operation(self);
                (Err(unclear("connection closed")), false)
            }
            Some(Fault::Reset) => (Err(unclear("connection reset")), false),
            Some(Fault::Hang) => (Err(unclear("timeout")), false),
            Some(Fault::Html { status }) => (Err(without_code(*status)), true),
            Some(Fault::LoopMarker) => (Err(unclear("the marker does not advance")), true),
            _ => {
                let result = operation(self);
                let told = |error: ApiError| refused(&error.code, error.status, &error.message);
                (result.map_err(told), true)
            }
        };
        let server_date = match answered {
            true => self.date(now),
            false => ServerDate::NoAnswer,
        };
        Answer {
            result,
            server_date,
            requests: 1,
        }
    }

    fn named(&mut self, region: &str, id: &SnapshotId, now: DateTime<Utc>) -> Vec<Arc<Snapshot>> {
        let mut all = self.listed(region, now);
        all.extend(self.strangers.iter().cloned());
        all.retain(|one| one.snapshot_identifier == id.as_str());
        all
    }

    fn clusters(&self, region: &str, now: DateTime<Utc>) -> Vec<Cluster> {
        self.account
            .region_at(region, now)
            .clusters_at(now)
            .map(|cluster| Cluster {
                id: cluster.cluster_identifier.parse().unwrap(),
                status: cluster.status(now).to_owned(),
                created_at: Some(cluster.properties.created_at),
                tags: tags(&cluster.tags),
                account_number: self.tells_arns.then(|| self.account.account_id.clone()),
            })
            .collect()
    }

    pub fn events(&self, region: &str, id: &str, now: DateTime<Utc>) -> Vec<SnapshotEvent> {
        let all = self.account.region(region).into_iter();
        all.flat_map(|region| &region.events)
            .filter(|event| event.source_identifier == id && event.date <= now)
            .map(|event| SnapshotEvent {
                id: event_id(event.kind).to_owned(),
                message: event.message.clone(),
            })
            .collect()
    }
}

/// Hands the answer over when it has come, and says what it is.
pub fn served<T: Send + 'static>(
    to: To<T>,
    answer: Answer<T>,
    what: &str,
    done: impl FnOnce(&T) -> Option<String>,
) -> Served {
    let told = match &answer.result {
        Ok(result) => done(result),
        Err(error) => Some(format!("answers to {what}: {error}")),
    };
    Served {
        hand_over: Box::new(move || drop(to.send(answer))),
        told,
    }
}

/// An answer in which no code stands, as the product's client takes one in.
fn without_code(status: u16) -> RedshiftError {
    RedshiftError {
        class: error_class(None, status),
        code: None,
        message: format!("HTTP status {status}"),
    }
}

fn refused(code: &str, status: u16, message: &str) -> RedshiftError {
    RedshiftError {
        class: error_class(Some(code), status),
        code: Some(code.to_owned()),
        message: message.to_owned(),
    }
}

/// "Amazon Redshift event notifications".
fn event_id(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Started => "REDSHIFT-EVENT-2009",
        EventKind::Completed => "REDSHIFT-EVENT-3004",
        EventKind::Failed => "REDSHIFT-EVENT-3503",
        EventKind::Deleted => "REDSHIFT-EVENT-2011",
    }
}

/// How many are on a page.
const PAGE: usize = 100;

/// A listing took a request for each hundred; one whose marker does not advance, a second one.
fn in_pages<T>(answer: Answer<Vec<T>>) -> Answer<Vec<T>> {
    let requests = match &answer.result {
        Ok(all) => u32::try_from(all.len().div_ceil(PAGE).max(1)).unwrap(),
        Err(error) if error.message.contains("marker") => 2,
        Err(_) => 1,
    };
    Answer { requests, ..answer }
}
