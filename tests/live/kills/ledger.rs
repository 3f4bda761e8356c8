//! Every create call that the sandbox has received, read from its request log before that forgets it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::Sandbox;

/// The outcome of each create call, by when and where it was received and for which identifier.
pub type Creates = BTreeMap<[String; 4], Option<String>>;

#[derive(Default)]
pub struct Ledger {
    creates: Mutex<Creates>,
    newest: Mutex<Option<Value>>,
}

impl Ledger {
    pub fn open(sandbox: &Sandbox) -> Self {
        let ledger = Self::default();
        ledger.read(sandbox);
        ledger
    }

    pub fn keep(&self, sandbox: &Sandbox, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1_000));
            self.read(sandbox);
        }
    }

    pub fn close(self, sandbox: &Sandbox) -> Creates {
        self.read(sandbox);
        self.creates.into_inner().unwrap()
    }

    fn read(&self, sandbox: &Sandbox) {
        let log = sandbox.control("GET", "/_sandbox/requests", "");
        let log = log.as_array().unwrap();
        let mut newest = self.newest.lock().unwrap();
        // While a request runs it has no outcome yet: only the rest tells it.
        let identity =
            |entry: &Value| [&entry["received_at"], &entry["parameters"]].map(Value::clone);
        let known = newest.as_ref().map(identity);
        let overlaps = known.is_none_or(|known| log.iter().any(|entry| identity(entry) == known));
        assert!(overlaps, "the sandbox forgot requests that nobody has read");
        *newest = log.last().cloned();
        let mut creates = self.creates.lock().unwrap();
        let calls = log
            .iter()
            .filter(|entry| entry["operation"] == "CreateClusterSnapshot");
        for entry in calls {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = [
                text(&entry["received_at"]),
                text(&entry["account"]),
                text(&entry["region"]),
                text(&entry["parameters"]["SnapshotIdentifier"]),
            ];
            creates.insert(key, entry["outcome"].as_str().map(str::to_owned));
        }
    }
}
