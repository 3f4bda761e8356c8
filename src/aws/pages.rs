//! Collecting a listing of many pages.
//!
//! Owns: the bound on pages, their distance, and the check that each leads on. Never knows what is listed.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use super::unclear;
use crate::clock::sleep;
use crate::observed::SHORT_PAGES;
use crate::redshift::RedshiftError;

/// More pages than this are a loop, not a listing: 100,000 snapshots.
const PAGES_MAX: usize = 1000;

/// Collects all pages, those of a long listing so far apart; a marker that came before is an error, not an endless
/// listing.
pub(super) async fn all_pages<T, F>(
    pause: Duration,
    page: impl Fn(Option<String>) -> F,
) -> Result<Vec<T>, RedshiftError>
where
    F: Future<Output = Result<(Vec<T>, Option<String>), RedshiftError>>,
{
    let (mut all, mut marker, mut seen) = (Vec::new(), None, HashSet::new());
    for number in 0..PAGES_MAX {
        if number >= SHORT_PAGES as usize {
            sleep(pause).await;
        }
        let (items, next) = page(marker.clone()).await?;
        all.extend(items);
        let Some(next) = next.filter(|next| !next.is_empty()) else {
            return Ok(all);
        };
        if !seen.insert(next.clone()) {
            return Err(unclear("the listing repeats a marker"));
        }
        marker = Some(next);
    }
    Err(unclear("the listing does not end"))
}
