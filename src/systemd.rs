//! What systemd is told of the daemon: sd_notify(3) and sd_watchdog_enabled(3).
//!
//! Owns: the socket and the order of the words in a message. The words themselves and the monotonic time
//! are the crate sd-notify's; its functions are not used, because they read the environment at each call
//! and know no abstract sockets. Outside systemd everything here does nothing, and nothing here ever fails
//! the daemon: what cannot be told is logged. The environment is left as it is (changing it would not be
//! safe beside other threads); redkeep starts no process that could inherit it by surprise.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::logging::one_line;
use crate::spool::Spool;

/// The service manager reads at once; should it not, a message is given up after this.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end of the daemon waits for the service manager.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The way to the service manager, if there is one. The daemon never waits for it.
#[derive(Debug, Default)]
pub struct Notifier {
    manager: Option<Spool>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`, once.
    pub fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var_os(name), std::process::id())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let path = variable("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let manager = path.and_then(|path| {
            let opened = open(&path);
            if let Err(error) = &opened {
                tracing::warn!(%error, ?path, "cannot reach systemd: it will not know the daemon's state");
            }
            opened.ok()
        });
        Self {
            manager,
            watchdog: watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), pid),
        }
    }

    /// The daemon serves: after the start, and after a reload.
    pub fn ready(&self, status: &str) {
        let status = one_line(status);
        self.send(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// What `systemctl status` shows.
    pub fn status(&self, status: &str) {
        let status = one_line(status);
        self.send(&[NotifyState::Status(&status)]);
    }

    /// The configuration is being read again; [`Notifier::ready`] ends it, whatever came of it.
    pub fn reloading(&self) {
        // Without the time, systemd from version 253 on waits for it and then kills a reloading service.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "cannot report the reload to systemd"),
        }
    }

    /// The daemon is about to end.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
        if let Some(manager) = &self.manager {
            manager.flush(LAST_WORDS);
        }
    }

    /// How often the watchdog is to be fed, half of what systemd allows; `None` when it does not watch.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// The daemon's loop has turned; does nothing when systemd does not watch.
    pub fn feed_watchdog(&self) {
        if self.watchdog.is_some() {
            self.send(&[NotifyState::Watchdog]);
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(manager) = &self.manager else {
            return;
        };
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        manager.put(message.into_bytes());
    }
}

fn open(path: &OsStr) -> io::Result<Spool> {
    // A leading '@' stands for the NUL of an abstract address, as in sd_notify(3).
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    let send = move |message: &[u8]| {
        let sent = socket.send_to_addr(message, &address).map(drop);
        sent.inspect_err(
            |error| tracing::warn!(%error, "cannot report the daemon's state to systemd"),
        )
    };
    // What could not be sent has been told of.
    Spool::start("systemd", send, drop)
}

/// The watchdog's limit, if it is meant for this process.
fn watchdog(usec: Option<OsString>, wanted_pid: Option<OsString>, pid: u32) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    let limit = usec.and_then(number).filter(|usec| *usec > 0)?;
    let ours = wanted_pid.is_none_or(|wanted| number(wanted) == Some(u64::from(pid)));
    ours.then(|| Duration::from_micros(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A stand-in for the service manager.
    struct Manager {
        socket: UnixDatagram,
        path: PathBuf,
    }

    impl Manager {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("redkeep-{name}-{}", std::process::id()));
            let _ = std::fs::remove_file(&path);
            let socket = UnixDatagram::bind(&path).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            Self { socket, path }
        }

        fn notifier(&self, more: &[(&str, &str)]) -> Notifier {
            let path = self.path.clone().into_os_string();
            let find = |name: &str| more.iter().find(|(key, _)| *key == name);
            let variable = |name: &str| match name {
                "NOTIFY_SOCKET" => Some(path.clone()),
                _ => find(name).map(|(_, value)| OsString::from(value)),
            };
            Notifier::from_variables(variable, 4711)
        }

        fn heard(&self) -> String {
            let mut bytes = [0; 4096];
            let length = self.socket.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        }

        fn silent(&self) -> bool {
            self.socket.set_nonblocking(true).unwrap();
            let heard = self.socket.recv(&mut [0; 16]);
            heard.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        }
    }

    impl Drop for Manager {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    #[test]
    fn each_message_is_what_sd_notify_documents() {
        let manager = Manager::new("messages");
        let notifier = manager.notifier(&[("WATCHDOG_USEC", "2000000")]);
        notifier.ready("3 policies");
        assert_eq!(manager.heard(), "READY=1\nSTATUS=3 policies\n");
        notifier.status("1 run in progress");
        assert_eq!(manager.heard(), "STATUS=1 run in progress\n");
        notifier.feed_watchdog();
        assert_eq!(manager.heard(), "WATCHDOG=1\n");
        notifier.stopping();
        assert_eq!(manager.heard(), "STOPPING=1\n");
    }

    #[test]
    fn a_reload_carries_the_monotonic_time() {
        let manager = Manager::new("reload");
        manager.notifier(&[]).reloading();
        let heard = manager.heard();
        let usec = heard
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap()
            .trim_end();
        assert!(usec.parse::<u64>().unwrap() > 0, "{heard:?}");
    }

    #[test]
    fn a_status_with_line_breaks_cannot_say_anything_else() {
        let manager = Manager::new("forged");
        manager.notifier(&[]).status("x\nSTOPPING=1\n");
        assert_eq!(manager.heard(), "STATUS=x\\nSTOPPING=1\\n\n");
    }

    #[test]
    fn an_abstract_socket_is_reached() {
        let name = format!("redkeep-abstract-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let variable = |asked: &str| (asked == "NOTIFY_SOCKET").then(|| format!("@{name}").into());
        Notifier::from_variables(variable, 1).stopping();
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"STOPPING=1\n");
    }

    #[test]
    fn the_watchdog_counts_only_for_the_process_that_it_names() {
        let manager = Manager::new("watchdog");
        let interval = |more: &[(&str, &str)]| manager.notifier(more).watchdog_interval();
        let second = Some(Duration::from_secs(1));
        assert_eq!(interval(&[("WATCHDOG_USEC", "2000000")]), second);
        assert_eq!(
            interval(&[("WATCHDOG_USEC", "2000000"), ("WATCHDOG_PID", "4711")]),
            second
        );
        assert_eq!(
            interval(&[("WATCHDOG_USEC", "2000000"), ("WATCHDOG_PID", "1")]),
            None
        );
        assert_eq!(interval(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(interval(&[("WATCHDOG_USEC", "soon")]), None);
        manager.notifier(&[]).feed_watchdog();
        assert!(manager.silent());
    }

    #[test]
    fn outside_systemd_and_after_its_end_nothing_happens() {
        let nowhere = Notifier::from_variables(|_| None, 1);
        nowhere.ready("");
        assert_eq!(nowhere.watchdog_interval(), None);
        let manager = Manager::new("gone");
        let notifier = manager.notifier(&[]);
        drop(manager);
        notifier.ready("nobody hears this");
    }
}
