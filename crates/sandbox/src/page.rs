//! Paging by `MaxRecords` and `Marker`.
//!
//! Owns: the limits of a page and the opaque marker. A marker holds the place of the last record that was
//! served, not a count, so that snapshots which come or go between two pages shift nothing. Never accepts
//! a marker that this code did not issue for the same operation, region and order.

use std::ops::RangeInclusive;

use super::digest;
use super::error::{ApiError, Code};
use super::query::{Params, invalid_value};

/// How many records a page may have in most listings.
pub const RECORDS: RangeInclusive<i64> = 20..=100;
const SEAL_DIGITS: usize = 16;

/// What a client asks of a listing.
#[derive(Debug, Clone)]
pub struct PageRequest {
    records_max: usize,
    marker: Option<String>,
}

/// A part of a listing, and the marker of the next part if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// At most `MaxRecords` records.
    pub records: Vec<T>,
    /// Absent on the last page.
    pub marker: Option<String>,
}

impl PageRequest {
    /// Reads `MaxRecords` (within `allowed`, by default its end) and `Marker`; `InvalidParameterValue`
    /// otherwise.
    pub fn from_params(params: &Params, allowed: RangeInclusive<i64>) -> Result<Self, ApiError> {
        let records = params.integer("MaxRecords")?.unwrap_or(*allowed.end());
        let records_max = usize::try_from(records)
            .ok()
            .filter(|_| allowed.contains(&records))
            .ok_or_else(|| {
                let wanted = format!("it must be from {} to {}", allowed.start(), allowed.end());
                invalid_value("MaxRecords", &records.to_string(), &wanted)
            })?;
        Ok(Self {
            records_max,
            marker: params.optional("Marker").map(str::to_owned),
        })
    }

    /// The same request from the start of the listing.
    pub fn restarted(self) -> Self {
        Self {
            marker: None,
            ..self
        }
    }

    /// Whether a place to go on from was given.
    pub fn has_marker(&self) -> bool {
        self.marker.is_some()
    }

    /// Cuts one page out of `records`, each with its place in the order (unique, ascending).
    ///
    /// `scope` says which listing this is; a marker from another one is an `InvalidParameterValue`.
    pub fn cut<T>(&self, mut records: Vec<(String, T)>, scope: &str) -> Result<Page<T>, ApiError> {
        records.sort_by(|(left, _), (right, _)| left.cmp(right));
        if let Some(marker) = &self.marker {
            let served = unseal(marker, scope).ok_or_else(|| {
                ApiError::new(
                    Code::InvalidParameterValue,
                    format!("The Marker '{marker}' was not issued for this request."),
                )
            })?;
            records.retain(|(place, _)| *place > served);
        }
        let more = records.len() > self.records_max;
        records.truncate(self.records_max);
        let marker = records
            .last()
            .filter(|_| more)
            .map(|(place, _)| seal(place, scope));
        Ok(Page {
            records: records.into_iter().map(|(_, record)| record).collect(),
            marker,
        })
    }
}

fn seal(place: &str, scope: &str) -> String {
    let seal = digest::hex(&["marker", scope, place], SEAL_DIGITS);
    format!("{seal}{}", digest::to_hex(place.as_bytes()))
}

fn unseal(marker: &str, scope: &str) -> Option<String> {
    let body = marker.get(SEAL_DIGITS..)?;
    let place = String::from_utf8(digest::from_hex(body)?).ok()?;
    (seal(&place, scope) == marker).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(form: &str) -> PageRequest {
        PageRequest::from_params(&Params::parse(form.as_bytes()), RECORDS).unwrap()
    }

    fn records(numbers: impl Iterator<Item = u32>) -> Vec<(String, u32)> {
        numbers.map(|n| (format!("{n:04}"), n)).collect()
    }

    #[test]
    fn pages_join_to_the_whole_even_when_records_vanish_between_them() {
        let first = request("MaxRecords=20").cut(records(0..50), "s").unwrap();
        assert_eq!(first.records, (0..20).collect::<Vec<_>>());
        let form = format!("MaxRecords=20&Marker={}", first.marker.unwrap());
        let next = request(&form)
            .cut(records((5..50).filter(|n| *n != 19)), "s")
            .unwrap();
        assert_eq!(next.records, (20..40).collect::<Vec<_>>());
        assert!(next.marker.is_some());
    }

    #[test]
    fn a_full_last_page_has_no_marker() {
        let page = request("MaxRecords=20").cut(records(0..20), "s").unwrap();
        assert_eq!(page.marker, None);
    }

    #[test]
    fn a_marker_from_elsewhere_is_refused() {
        let marker = request("MaxRecords=20")
            .cut(records(0..50), "s")
            .unwrap()
            .marker
            .unwrap();
        for (form, scope) in [
            (format!("Marker={marker}"), "other"),
            (format!("Marker={marker}0"), "s"),
            ("Marker=abc".to_owned(), "s"),
            (
                "Marker=%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9".to_owned(),
                "s",
            ),
        ] {
            let error = request(&form).cut(records(0..50), scope).unwrap_err();
            assert_eq!(error.code, "InvalidParameterValue", "{form}");
        }
    }

    #[test]
    fn a_page_has_20_to_100_records() {
        for form in ["MaxRecords=19", "MaxRecords=101", "MaxRecords=-1"] {
            assert!(
                PageRequest::from_params(&Params::parse(form.as_bytes()), RECORDS).is_err(),
                "{form}"
            );
        }
        assert_eq!(request("").records_max, 100);
    }
}
