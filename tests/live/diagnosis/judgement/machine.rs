//! What is said of the machine: the state directory, its room, and the history in it.

use std::path::PathBuf;

use redkeep::doctor::{Directory, Holder, Host, Severity, Sound, Space, of_host};
use redkeep::store::{EndpointKind, StoreError};
use rustix::io::Errno;

use super::NOW;
use crate::diagnosis::at;

fn host() -> Host {
    Host {
        database: None,
        state_dir: PathBuf::from("/var/lib/redkeep"),
        directory: Ok(Some(Directory {
            is_directory: true,
            owner: 987,
            mode: 0o700,
            user: 987,
            writable: Ok(()),
        })),
        holder: Ok(Holder::Daemon),
        late_slot: None,
        space: Some(Ok(Space {
            available_bytes: 1 << 30,
            available_files: Some(1000),
            history_bytes: 1 << 20,
        })),
        history: Ok(Sound {
            endpoint_kind: EndpointKind::Aws,
            created_at: at("2026-01-01 00:00"),
            schema_version: 1,
        }),
        endpoint_kind: EndpointKind::Aws,
        copied_at: Ok(Some(at("2026-11-24 03:17"))),
    }
}

fn with(change: impl FnOnce(&mut Host)) -> Host {
    let mut host = host();
    change(&mut host);
    host
}

fn directory(change: impl FnOnce(&mut Directory)) -> Host {
    with(|host| {
        if let Ok(Some(directory)) = &mut host.directory {
            change(directory);
        }
    })
}

fn space(available_bytes: u64, available_files: u64) -> Host {
    with(|host| {
        host.space = Some(Ok(Space {
            available_bytes,
            available_files: Some(available_files),
            history_bytes: 100 << 20,
        }));
    })
}

#[test]
fn a_healthy_machine_has_nothing_to_do() {
    for finding in of_host(&host(), at(NOW)) {
        assert_eq!(
            (finding.verdict, &finding.advice),
            (Severity::Ok, &None),
            "{finding:?}"
        );
    }
}

/// The one finding that there is of `host`.
#[track_caller]
fn told(host: &Host) -> (&'static str, Severity, String) {
    let findings = of_host(host, at(NOW));
    let mut bad = findings
        .into_iter()
        .filter(|finding| finding.verdict != Severity::Ok);
    let one = bad.next().unwrap();
    assert_eq!(bad.next(), None);
    assert!(
        one.advice.is_some_and(|advice| !advice.is_empty()),
        "no advice: {}",
        one.found
    );
    (one.check, one.verdict, one.found)
}

#[track_caller]
fn is_told(host: &Host, check: &str, verdict: Severity, found: &str) {
    let told = told(host);
    assert_eq!((told.0, told.1), (check, verdict), "{told:?}");
    assert!(told.2.contains(found), "{told:?}");
}

#[test]
fn a_state_directory_that_is_not_ours_alone_is_found() {
    const CHECK: &str = "state_directory";
    let failed = |host: &Host, found| is_told(host, CHECK, Severity::Failed, found);
    let warning = |host: &Host, found| is_told(host, CHECK, Severity::Warning, found);
    warning(&with(|host| host.directory = Ok(None)), "does not exist");
    failed(
        &with(|host| host.directory = Err("denied".to_owned())),
        "denied",
    );
    failed(&directory(|it| it.is_directory = false), "not a directory");
    failed(
        &directory(|it| it.mode = 0o770),
        "mode 770: others may write",
    );
    warning(
        &directory(|it| it.mode = 0o755),
        "mode 755: others may look",
    );
    failed(
        &directory(|it| it.writable = Err(Errno::ACCESS)),
        "user 987 may not write there",
    );
    is_told(
        &with(|host| host.holder = Ok(Holder::Nobody)),
        "daemon",
        Severity::Warning,
        "no redkeep runs",
    );
    is_told(
        &with(|host| host.holder = Ok(Holder::Command)),
        "daemon",
        Severity::Warning,
        "only a command",
    );
    is_told(
        &with(|host| {
            host.holder = Ok(Holder::Nobody);
            host.late_slot = Some(at(NOW));
        }),
        "daemon",
        Severity::Failed,
        "has not started",
    );
}

#[test]
fn a_state_directory_on_a_read_only_mount_is_told_from_one_of_somebody_elses() {
    let advice = |errno| {
        let findings = of_host(&directory(|it| it.writable = Err(errno)), at(NOW));
        let found = findings
            .into_iter()
            .find(|one| one.check == "state_directory");
        found.unwrap().advice.unwrap()
    };
    assert!(advice(Errno::ROFS).contains("mount its file system"));
    assert!(advice(Errno::ACCESS).contains("as its owner"));
}

#[test]
fn too_little_room_is_found_before_there_is_none() {
    const CHECK: &str = "free_space";
    is_told(&space(1 << 20, 9), CHECK, Severity::Failed, "1 MiB free");
    is_told(
        &space(200 << 20, 9),
        CHECK,
        Severity::Warning,
        "200 MiB free, history 100 MiB",
    );
    is_told(
        &space(1 << 40, 0),
        CHECK,
        Severity::Failed,
        "no file can be made",
    );
}

#[test]
fn a_history_that_cannot_be_used_and_an_old_copy_are_found() {
    const CHECK: &str = "history";
    let path = || PathBuf::from("x");
    let unusable = |error| with(|host| host.history = Err(error));
    let missing = StoreError::Missing { path: path() };
    is_told(&unusable(missing), CHECK, Severity::Warning, "none");
    let what = "page 3".to_owned();
    let corrupt = StoreError::Corrupt { path: path(), what };
    is_told(
        &unusable(corrupt),
        CHECK,
        Severity::Failed,
        "damaged: page 3",
    );
    let older = StoreError::OlderSchema {
        path: path(),
        got: 1,
        wanted: 2,
    };
    is_told(
        &unusable(older),
        CHECK,
        Severity::Warning,
        "schema version 1",
    );
    let other = with(|host| host.endpoint_kind = EndpointKind::Sandbox);
    is_told(&other, CHECK, Severity::Failed, "kind aws");
    let no_copy = with(|host| host.copied_at = Ok(None));
    is_told(&no_copy, "daily_copy", Severity::Warning, "none");
    let old_copy = with(|host| host.copied_at = Ok(Some(at("2026-11-20 03:17"))));
    is_told(&old_copy, "daily_copy", Severity::Warning, "4d 8h old");
}

#[test]
fn a_young_history_needs_no_copy_yet_and_none_needs_none() {
    let young = with(|host| {
        host.copied_at = Ok(None);
        host.history = Ok(Sound {
            endpoint_kind: EndpointKind::Aws,
            created_at: at("2026-11-24 00:00"),
            schema_version: 1,
        });
    });
    let copy = |host: &Host| {
        of_host(host, at(NOW))
            .into_iter()
            .find(|finding| finding.check == "daily_copy")
    };
    assert_eq!(copy(&young).unwrap().verdict, Severity::Ok);
    let none = with(|host| {
        host.history = Err(StoreError::Missing {
            path: PathBuf::from("x"),
        })
    });
    assert_eq!(copy(&none), None);
}
