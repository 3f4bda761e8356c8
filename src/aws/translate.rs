//! The SDK's types and errors in redkeep's words.
//!
//! Owns: the one mapping of AWS's error codes to classes, and of the API's shapes to ours. A code that is
//! not here is [`ErrorClass::Other`] and keeps its text.

use std::error::Error as StdError;

use aws_sdk_redshift::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_redshift::types as sdk;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use chrono::{DateTime, Utc};

use super::credentials::Lacking;
use super::http::is_kept_back;
use crate::error_chain::with_causes;
use crate::names::{Tags, account_in_arn};
use crate::redshift::{Cluster, ErrorClass, RedshiftError, SnapshotEvent, error_class, known};
use crate::snapshot::{RestoreAccess, Snapshot};

/// An SDK error as ours: AWS's code and message where it gave them, else what the transport said.
pub(super) fn error<E>(error: SdkError<E, HttpResponse>) -> RedshiftError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    if let SdkError::ServiceError(context) = &error {
        let status = context.raw().status().as_u16();
        let (code, message) = (context.err().code(), context.err().message());
        return RedshiftError {
            class: error_class(code, status),
            code: code.map(str::to_owned),
            message: message.map_or_else(|| format!("HTTP status {status}"), str::to_owned),
        };
    }
    if let Some(lacking) = lacking(&error) {
        return lacking.clone().into();
    }
    RedshiftError {
        class: transport_class(&error),
        code: None,
        message: with_causes(&error),
    }
}

/// Why there were no credentials for the call, where that is why it was not made.
fn lacking<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Lacking> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(lacking) = inner.downcast_ref() {
            return Some(lacking);
        }
        cause = inner.source();
    }
    None
}

/// The value of the metric label `code`: `ok`, a code that redkeep knows, or `other`.
pub(super) fn label<T>(result: &Result<T, RedshiftError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error
            .code
            .as_deref()
            .and_then(known)
            .map_or("other", |(code, _)| code),
    }
}

/// Whether the request may have arrived. Only what surely never left is [`ErrorClass::Unsent`].
fn transport_class<E>(error: &SdkError<E, HttpResponse>) -> ErrorClass
where
    E: StdError + Send + Sync + 'static,
{
    if matches!(error, SdkError::ConstructionFailure(_)) {
        return ErrorClass::Unsent;
    }
    if !matches!(error, SdkError::DispatchFailure(_)) {
        return ErrorClass::Unknown;
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if is_kept_back(inner) {
            return ErrorClass::Unsent;
        }
        let io = inner.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return ErrorClass::Unsent;
        }
        cause = inner.source();
    }
    ErrorClass::Unknown
}

/// `None` for a cluster without a usable identifier, which no policy can name.
pub(super) fn cluster(cluster: sdk::Cluster) -> Option<Cluster> {
    Some(Cluster {
        id: cluster.cluster_identifier?.parse().ok()?,
        status: cluster.cluster_status.unwrap_or_default(),
        created_at: cluster.cluster_create_time.and_then(instant),
        tags: tags(cluster.tags),
        account_number: cluster
            .cluster_namespace_arn
            .as_deref()
            .and_then(account_in_arn)
            .map(str::to_owned),
    })
}

/// `None` for an event of another source than the one that was asked about.
pub(super) fn event(event: sdk::Event, id: &str) -> Option<SnapshotEvent> {
    let is_of = event.source_identifier.is_none_or(|source| source == id);
    is_of.then(|| SnapshotEvent {
        id: event.event_id.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
    })
}

pub(super) fn snapshot(snapshot: sdk::Snapshot) -> Snapshot {
    Snapshot {
        snapshot_identifier: snapshot.snapshot_identifier.unwrap_or_default(),
        cluster_identifier: snapshot.cluster_identifier,
        snapshot_create_time: snapshot.snapshot_create_time.and_then(instant),
        status: snapshot.status,
        port: snapshot.port,
        availability_zone: snapshot.availability_zone,
        cluster_create_time: snapshot.cluster_create_time.and_then(instant),
        master_username: snapshot.master_username,
        cluster_version: snapshot.cluster_version,
        engine_full_version: snapshot.engine_full_version,
        snapshot_type: snapshot.snapshot_type,
        node_type: snapshot.node_type,
        number_of_nodes: snapshot.number_of_nodes,
        db_name: snapshot.db_name,
        vpc_id: snapshot.vpc_id,
        encrypted: snapshot.encrypted,
        kms_key_id: snapshot.kms_key_id,
        encrypted_with_hsm: snapshot.encrypted_with_hsm,
        accounts_with_restore_access: restore_access(snapshot.accounts_with_restore_access),
        owner_account: snapshot.owner_account,
        total_backup_size_in_mega_bytes: snapshot.total_backup_size_in_mega_bytes,
        actual_incremental_backup_size_in_mega_bytes: snapshot
            .actual_incremental_backup_size_in_mega_bytes,
        backup_progress_in_mega_bytes: snapshot.backup_progress_in_mega_bytes,
        current_backup_rate_in_mega_bytes_per_second: snapshot
            .current_backup_rate_in_mega_bytes_per_second,
        estimated_seconds_to_completion: snapshot.estimated_seconds_to_completion,
        elapsed_time_in_seconds: snapshot.elapsed_time_in_seconds,
        source_region: snapshot.source_region,
        tags: tags(snapshot.tags),
        restorable_node_types: snapshot.restorable_node_types.unwrap_or_default(),
        enhanced_vpc_routing: snapshot.enhanced_vpc_routing,
        maintenance_track_name: snapshot.maintenance_track_name,
        manual_snapshot_retention_period: snapshot.manual_snapshot_retention_period,
        manual_snapshot_remaining_days: snapshot.manual_snapshot_remaining_days,
        snapshot_retention_start_time: snapshot.snapshot_retention_start_time.and_then(instant),
        master_password_secret_arn: snapshot.master_password_secret_arn,
        master_password_secret_kms_key_id: snapshot.master_password_secret_kms_key_id,
        snapshot_arn: snapshot.snapshot_arn,
    }
}

fn restore_access(accounts: Option<Vec<sdk::AccountWithRestoreAccess>>) -> Vec<RestoreAccess> {
    accounts
        .unwrap_or_default()
        .into_iter()
        .map(|account| RestoreAccess {
            account_id: account.account_id,
            account_alias: account.account_alias,
        })
        .collect()
}

fn tags(tags: Option<Vec<sdk::Tag>>) -> Tags {
    tags.unwrap_or_default()
        .into_iter()
        .filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
        .collect()
}

fn instant(time: aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
