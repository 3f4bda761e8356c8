//! Credentials that a command prints (`credential_process`).
//!
//! Owns: the command's process group: whoever no longer waits for it ends it with everything that it started, and none
//! of them outlives redkeep but where redkeep is killed. Bounds what it may print. Never shows what it printed, but for
//! its complaint.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use aws_sdk_redshift::config::Credentials;
use chrono::DateTime;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::Lacking;
use crate::config::clean;

/// More than this is no credentials.
const BYTES_MAX: u64 = 64 << 10;
/// Processes that the command has left behind may hold its output open for this long after its end.
const LEFT_OPEN: Duration = Duration::from_secs(1);
/// How many characters of a complaint are shown.
const COMPLAINT: usize = 200;

/// Ends a process group, unless its first process has ended.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // What has ended needs no signal; tokio looks after the child that is left.
            let _ = kill_process_group(leader, Signal::Kill);
        }
    }
}

/// Runs the command of the profile `name`.
pub(super) async fn credentials(name: &str, command: &str) -> Result<Credentials, Lacking> {
    let told = |why: String| {
        Lacking::new(format!(
            "the credential_process of the profile {name:?} {why}"
        ))
    };
    let child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let child = child.map_err(|error| told(format!("cannot be started: {error}")))?;
    let ended = tokio::select! {
        ended = ended(child) => ended,
        () = interrupted() => return Err(told("was ended because redkeep stops".to_owned())),
    };
    let (status, printed, complaint) =
        ended.map_err(|error| told(format!("cannot be waited for: {error}")))?;
    if printed.len() as u64 > BYTES_MAX {
        return Err(told(format!("printed more than {} KiB", BYTES_MAX >> 10)));
    }
    if !status.success() {
        let complaint = String::from_utf8_lossy(&complaint);
        let words: Vec<&str> = complaint.split_whitespace().collect();
        let words: String = words.join(" ").chars().take(COMPLAINT).collect();
        let complaint = match words.as_str() {
            "" => "says nothing".to_owned(),
            words => format!("says: {}", clean(words)),
        };
        return Err(told(format!("ended with {status} and {complaint}")));
    }
    parsed(&printed).map_err(told)
}

/// Ends when redkeep is asked to stop: the command is in a group of its own, which a terminal tells nothing.
async fn interrupted() {
    let stops = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate)] = stops else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Waits for its end; whoever drops this ends it.
async fn ended(mut child: Child) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let mut group = Group::of(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut printed, mut complaint) = (Vec::new(), Vec::new());
    let status = {
        let reading =
            async { tokio::join!(all(stdout, &mut printed), all(stderr, &mut complaint)) };
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => child.wait().await,
            status = child.wait() => {
                let _ = tokio::time::timeout(LEFT_OPEN, reading).await;
                status
            }
        }
    };
    group.0 = None;
    Ok((status?, printed, complaint))
}

async fn all(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    if let Some(pipe) = pipe {
        // What has come before an error is judged as it is.
        let _ = pipe.take(BYTES_MAX + 1).read_to_end(into).await;
    }
}

/// Reads what it printed, as the "Process credential provider" of the AWS SDKs and Tools Reference Guide has it.
fn parsed(printed: &[u8]) -> Result<Credentials, String> {
    let document: Value =
        serde_json::from_slice(printed).map_err(|_| "did not print JSON".to_owned())?;
    let Value::Object(members) = document else {
        return Err("did not print a JSON object".to_owned());
    };
    let version = member(&members, "Version");
    if version.and_then(Value::as_i64) != Some(1) {
        return Err("printed no \"Version\": 1".to_owned());
    }
    let text = |name: &str| member(&members, name).and_then(Value::as_str);
    let wanted = |name: &str| text(name).ok_or_else(|| format!("printed no {name}"));
    let expires_at = text("Expiration").map(|text| {
        DateTime::parse_from_rfc3339(text)
            .map(SystemTime::from)
            .map_err(|_| "printed an Expiration that is not a time".to_owned())
    });
    Ok(Credentials::new(
        wanted("AccessKeyId")?,
        wanted("SecretAccessKey")?,
        text("SessionToken").map(str::to_owned),
        expires_at.transpose()?,
        "process",
    ))
}

/// The SDKs do not mind the case of a name.
fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut found = members.iter();
    let found = found.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}
