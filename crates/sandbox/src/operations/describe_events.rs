//! DescribeEvents.
//!
//! Checked: SourceIdentifier and SourceType (each needs the other), StartTime, EndTime, Duration (default
//! the last 60 minutes), MaxRecords, Marker. Oldest first. Not modelled: events of anything but snapshots;
//! asking for another source answers an empty list.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Outcome, Request};
use crate::account::Account;
use crate::error::{ApiError, Code};
use crate::event::Event;
use crate::query::{Params, invalid_value};
use crate::xml::Element;

/// The values of SourceType in the API model.
const SOURCE_TYPES: [&str; 5] = [
    "cluster",
    "cluster-parameter-group",
    "cluster-security-group",
    "cluster-snapshot",
    "scheduled-action",
];
const DURATION_MINUTES_DEFAULT: i64 = 60;
const DURATION_MINUTES_MAX: i64 = 14 * 24 * 60;

/// Lists events.
///
/// Errors: InvalidParameterCombination, InvalidParameterValue.
pub fn run(account: &Account, request: &Request) -> Outcome {
    let page = request.page()?;
    let source = source(&request.params)?;
    let (from, until) = window(&request.params, request.now)?;
    let events = account
        .region(&request.region)
        .into_iter()
        .flat_map(|region| region.events.iter().enumerate())
        .filter(|(_, event)| event.date >= from && event.date <= until && event.date <= request.now)
        .filter(|(_, event)| source.as_ref().is_none_or(|source| source.admits(event)))
        .map(|(number, event)| {
            (
                format!("{:020} {number:010}", event.date.timestamp_millis()),
                event,
            )
        })
        .collect();
    let page = page.cut(events, &format!("DescribeEvents {}", request.region))?;
    let elements = page.records.iter().map(|event| event.element()).collect();
    let marker = page.marker.map(|marker| Element::text("Marker", marker));
    Ok(marker
        .into_iter()
        .chain([Element::group("Events", elements)])
        .collect())
}

struct Source {
    source_type: String,
    identifier: String,
}

impl Source {
    fn admits(&self, event: &Event) -> bool {
        self.source_type == "cluster-snapshot" && self.identifier == event.source_identifier
    }
}

fn source(params: &Params) -> Result<Option<Source>, ApiError> {
    match (
        params.optional("SourceType"),
        params.optional("SourceIdentifier"),
    ) {
        (None, None) => Ok(None),
        (Some(source_type), Some(_)) if !SOURCE_TYPES.contains(&source_type) => {
            let wanted = format!("it must be one of {}", SOURCE_TYPES.join(", "));
            Err(invalid_value("SourceType", source_type, &wanted))
        }
        (Some(source_type), Some(identifier)) => Ok(Some(Source {
            source_type: source_type.to_owned(),
            identifier: identifier.to_ascii_lowercase(),
        })),
        _ => Err(ApiError::new(
            Code::InvalidParameterCombination,
            "SourceIdentifier and SourceType must be given together.",
        )),
    }
}

/// The interval asked for: StartTime counts before Duration, and an interval with an end only is as long
/// as Duration says.
fn window(params: &Params, now: DateTime<Utc>) -> Result<(DateTime<Utc>, DateTime<Utc>), ApiError> {
    let minutes = params
        .integer("Duration")?
        .unwrap_or(DURATION_MINUTES_DEFAULT);
    if !(1..=DURATION_MINUTES_MAX).contains(&minutes) {
        let wanted = format!("it must be from 1 to {DURATION_MINUTES_MAX} minutes");
        return Err(invalid_value("Duration", &minutes.to_string(), &wanted));
    }
    let until = params.instant("EndTime")?.unwrap_or(now);
    let from = match params.instant("StartTime")? {
        Some(from) => from,
        None => until
            .checked_sub_signed(TimeDelta::minutes(minutes))
            .unwrap_or(DateTime::<Utc>::MIN_UTC),
    };
    if from > until {
        let message = "StartTime must not be after EndTime.";
        return Err(ApiError::new(Code::InvalidParameterCombination, message));
    }
    Ok((from, until))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, call_with, refusal};
    use crate::operations::Modifier;

    const CREATE: &str = "CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier=a";
    const ABOUT: &str = "DescribeEvents&SourceType=cluster-snapshot&SourceIdentifier=a";
    const EVENT_ID: [&str; 3] = ["Events", "Event", "EventId"];

    #[test]
    fn an_event_is_seen_from_its_date_on_and_for_the_last_hour_by_default() {
        let mut account = account();
        let plan = Modifier::FailSnapshot {
            reason: "out of luck".to_owned(),
        };
        call_with(&mut account, 0, CREATE, plan).unwrap();
        let mut first = |seconds, form: &str| {
            let answer = call(&mut account, seconds, form).unwrap();
            answer.find(&EVENT_ID).map(str::to_owned)
        };
        assert_eq!(first(4, ABOUT).as_deref(), Some("REDSHIFT-EVENT-2009"));
        assert_eq!(first(3_601, ABOUT).as_deref(), Some("REDSHIFT-EVENT-3503"));
        assert_eq!(first(3_606, ABOUT), None);
        let all = format!("{ABOUT}&StartTime=2026-11-24T00:00:00Z");
        assert_eq!(first(3_606, &all).as_deref(), Some("REDSHIFT-EVENT-2009"));
        let message = call(&mut account, 3_601, ABOUT).unwrap();
        let message = message
            .find(&["Events", "Event", "Message"])
            .unwrap_or_default()
            .to_owned();
        assert!(message.ends_with("out of luck"), "{message}");
    }

    #[test]
    fn a_source_needs_both_its_type_and_its_name() {
        let mut account = account();
        for (form, code) in [
            (
                "DescribeEvents&SourceIdentifier=a",
                "InvalidParameterCombination",
            ),
            (
                "DescribeEvents&SourceType=cluster",
                "InvalidParameterCombination",
            ),
            (
                "DescribeEvents&SourceType=x&SourceIdentifier=a",
                "InvalidParameterValue",
            ),
            ("DescribeEvents&Duration=20161", "InvalidParameterValue"),
            (
                "DescribeEvents&StartTime=2026-11-24T00:00:00Z&EndTime=2026-11-23T00:00:00Z",
                "InvalidParameterCombination",
            ),
        ] {
            assert_eq!(refusal(&mut account, 0, form), code, "{form}");
        }
    }
}
