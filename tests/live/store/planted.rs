//! What somebody has put in the place of the history or beside it is refused, and what it leads to stays.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use redkeep::store::{Check, EndpointKind, Inbox, Reader, Store, StoreError, copy_of};

use crate::store::sample::{Place, at};

/// A closed history, and a file that nobody may touch.
async fn prepared() -> (Place, PathBuf) {
    let place = Place::new();
    place.open().store.close().await.unwrap();
    let precious = place.directory().join("precious");
    fs::write(&precious, "precious").unwrap();
    (place, precious)
}

fn beside(place: &Place, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", place.file().display()))
}

#[tokio::test]
async fn a_link_in_the_place_of_a_file_of_sqlites_is_refused_by_everybody() {
    for end in ["-wal", "-shm", "-journal"] {
        let (place, precious) = prepared().await;
        symlink(&precious, beside(&place, end)).unwrap();
        let daemon =
            Store::open_or_begin_anew(&place.file(), EndpointKind::Sandbox, at(0), Check::First);
        let errors = [
            daemon.map(drop).unwrap_err(),
            Store::open(&place.file(), EndpointKind::Sandbox, at(0))
                .map(drop)
                .unwrap_err(),
            Reader::open(&place.file()).map(drop).unwrap_err(),
            Inbox::open(&place.file()).map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(
                matches!(error, StoreError::Refused { .. }),
                "{end}: {error:?}"
            );
            assert!(error.to_string().contains(end), "{error}");
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_holds_nobody_up() {
    let (place, _) = prepared().await;
    let pipe = |path: &PathBuf| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    pipe(&beside(&place, "-wal"));
    let error = Reader::open(&place.file()).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    fs::remove_file(beside(&place, "-wal")).unwrap();
    fs::remove_file(place.file()).unwrap();
    pipe(&place.file());
    let error = Reader::open(&place.file()).map(drop).unwrap_err();
    assert!(
        matches!(error, StoreError::NotADatabase { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_link_in_the_place_of_a_copy_is_replaced_and_not_written_through() {
    let (place, precious) = prepared().await;
    let store = place.open().store;
    let partial = place.directory().join("history.copy.db.partial");
    symlink(&precious, &partial).unwrap();
    store.backup().await.unwrap();
    assert!(
        fs::symlink_metadata(copy_of(&place.file()))
            .unwrap()
            .is_file()
    );
    // In the place of the copy itself it is refused: it may be the operator's.
    fs::remove_file(copy_of(&place.file())).unwrap();
    symlink(&precious, copy_of(&place.file())).unwrap();
    let error = store.backup().await.unwrap_err();
    assert!(matches!(error, StoreError::Symlink { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
}
