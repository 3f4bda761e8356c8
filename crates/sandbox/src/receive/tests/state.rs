//! What is kept in the state file, and what a sandbox cannot begin with.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Stopped, create, options, serve};
use crate::server::Sandbox;
use crate::{SandboxError, SandboxOptions};

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("redkeep-sandbox-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash_and_for_its_account_only() {
    let directory = directory("crash");
    let path = directory.join("sandbox.json");
    let first = serve(options(Some(path.clone()))).await;
    assert!(first.aws(&create("a")).await.starts_with("HTTP/1.1 200"));
    // Nothing is told to the first sandbox: the second sees what a kill would have left.
    let second = serve(options(Some(path.clone()))).await;
    assert!(second.has("a").await);
    let other = SandboxOptions {
        account_id: "999999999999".to_owned(),
        ..options(Some(path))
    };
    let error = Sandbox::open(other, Arc::new(Stopped)).err();
    assert!(
        matches!(error, Some(SandboxError::OtherAccount { .. })),
        "{error:?}"
    );
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_change_that_cannot_be_kept_is_refused_and_not_made() {
    let directory = directory("no-disk");
    let client = serve(options(Some(directory.join("sandbox.json")))).await;
    std::fs::remove_dir_all(&directory).unwrap();
    let answer = client.aws(&create("a")).await;
    assert!(
        answer.starts_with("HTTP/1.1 500") && answer.contains("Receiver"),
        "{answer}"
    );
    assert!(!client.has("a").await);
}

#[test]
fn a_wrong_account_number_and_a_wrong_seed_are_refused() {
    let account = SandboxOptions {
        account_id: "12".to_owned(),
        ..options(None)
    };
    let mut seed = options(None);
    seed.clusters[0].cluster_identifier = "Dw".to_owned();
    for (options, wanted) in [(account, "twelve digits"), (seed, "'Dw'")] {
        let message = Sandbox::open(options, Arc::new(Stopped))
            .err()
            .map(|error| error.to_string());
        assert!(
            message.as_deref().is_some_and(|text| text.contains(wanted)),
            "{message:?}"
        );
    }
}
