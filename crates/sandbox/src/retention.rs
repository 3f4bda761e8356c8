//! The documented ranges of retention periods.
//!
//! Owns: reading and checking the two parameters. Never applies them: a snapshot knows when it expires.

use super::error::{ApiError, Code};
use super::query::Params;

/// ManualSnapshotRetentionPeriod in days: -1 (for ever) or 1 to 3,653 (API model).
///
/// `InvalidRetentionPeriodFault` for any other number.
pub fn manual(params: &Params) -> Result<Option<i32>, ApiError> {
    manual_named("ManualSnapshotRetentionPeriod", params)
}

/// The same rule for a parameter of another name, as DeleteCluster has it.
pub fn manual_named(name: &str, params: &Params) -> Result<Option<i32>, ApiError> {
    let Some(days) = params.integer(name)? else {
        return Ok(None);
    };
    match i32::try_from(days) {
        Ok(days @ (-1 | 1..=3_653)) => Ok(Some(days)),
        _ => Err(invalid(
            days,
            "The value must be either -1 or an integer between 1 and 3,653.",
        )),
    }
}

/// AutomatedSnapshotRetentionPeriod in days: 0 to 35 (API model, CreateCluster).
///
/// `InvalidRetentionPeriodFault` for any other number.
pub fn automated(params: &Params) -> Result<Option<u32>, ApiError> {
    let Some(days) = params.integer("AutomatedSnapshotRetentionPeriod")? else {
        return Ok(None);
    };
    match u32::try_from(days) {
        Ok(days @ 0..=35) => Ok(Some(days)),
        _ => Err(invalid(
            days,
            "The value must be an integer between 0 and 35.",
        )),
    }
}

fn invalid(days: i64, wanted: &str) -> ApiError {
    let message = format!("The retention period {days} is not valid. {wanted}");
    ApiError::new(Code::InvalidRetentionPeriod, message)
}
