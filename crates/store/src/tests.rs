//! The store by its handle, on storage that fails.

use super::*;
use redkeep_core::history::PairState;
use redkeep_core::slot::{Pair, Scope};

fn change(cluster: usize) -> Change {
    let pair = Pair {
        policy: "nightly".parse().unwrap(),
        scope: Scope {
            account: "prod".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
        },
        cluster: format!("dw-{cluster}").parse().unwrap(),
    };
    let state = PairState {
        active_from: DateTime::UNIX_EPOCH,
        watermark: DateTime::UNIX_EPOCH,
        schedule: "x".repeat(1000),
        timezone: "UTC".to_owned(),
        clocks: None,
        cluster_created_at: None,
        closed_at: None,
        cluster_gone_at: None,
    };
    Change::Pair(pair, state)
}

/// A store whose storage is spoiled by `pragma`, and the directory that it lies in.
fn spoiled(name: &str, pragma: &str) -> (Store, PathBuf) {
    let directory =
        std::env::temp_dir().join(format!("redkeep-store-{name}-{}", std::process::id()));
    let path = directory.join("history.db");
    let mut found =
        StoreWriter::open(&path, EndpointKind::Aws, DateTime::UNIX_EPOCH, Check::First).unwrap();
    found.writer.spoil(pragma);
    (Store::keep(&path, found).unwrap().store, directory)
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_of_a_commit_and_the_store_goes_on() {
    let (store, directory) = spoiled("full", "PRAGMA max_page_count = 40");
    let error = store
        .commit((0..200).map(change).collect())
        .await
        .unwrap_err();
    assert!(error.is_storage(), "{error:?}");
    store.commit(vec![change(1000)]).await.unwrap();
    let history = Reader::open(&store.shared.path).unwrap().history().unwrap();
    assert_eq!(history.pairs.len(), 1);
    store.close().await.unwrap();
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_read_only_disk_is_told_from_damage() {
    let (store, directory) = spoiled("read-only", "PRAGMA query_only = ON");
    let error = store.commit(vec![change(0)]).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Storage { .. }) && error.is_storage(),
        "{error:?}"
    );
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn what_was_asked_before_closing_is_carried_out_and_nothing_after() {
    let (store, directory) = spoiled("close", "");
    let other = store.clone();
    store.commit(vec![change(0)]).await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(
        other.commit(vec![change(1)]).await,
        Err(StoreError::Closed)
    ));
    assert!(
        !directory.join("history.db-wal").exists(),
        "the log was not moved into the file"
    );
    std::fs::remove_dir_all(directory).unwrap();
}
