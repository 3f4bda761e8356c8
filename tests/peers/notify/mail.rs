//! Mail to a server that wants TLS and a login.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::moto::server::peer;
use crate::support::{
    Daemon, Dir, EACH_TWO_SECONDS, MINUTE, Process, Sandbox, eventually, first_line, free_port,
    redkeep,
};

/// The server, and its two ports.
struct MailServer {
    _process: Process,
    host: String,
    ports: [u16; 2],
}

impl MailServer {
    fn start(dir: &Dir) -> Option<Self> {
        let python = peer("python");
        if !python.exists() {
            let is_required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
            assert!(
                !is_required,
                "aiosmtpd is not installed: run tests/peers/install.sh"
            );
            eprintln!("skipped, because aiosmtpd is not installed: run tests/peers/install.sh");
            return None;
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .unwrap()
            .trim()
            .to_owned();
        let ports = [free_port(), free_port()];
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/mail.py"))
            .arg(&dir.0)
            .arg(&host)
            .args(ports.map(|port| port.to_string()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(first_line(&mut child), "ready");
        Some(Self {
            _process: Process(child),
            host,
            ports,
        })
    }
}

fn table(name: &str, url: &str) -> String {
    format!(
        "[[notify]]\nname = \"{name}\"\nkind = \"email\"\nurl = \"{url}\"\nfrom = \"redkeep@example.com\"\n\
         to = [\"ops@example.com\", \"dw@example.com\"]\nuser = \"redkeep\"\nsecret_file = \"password\"\n"
    )
}

fn mails(dir: &Dir) -> Vec<String> {
    let files = std::fs::read_dir(&dir.0)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("mail-") && !name.contains('.')
        })
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn mail_is_sent_with_tls_and_a_login_and_tells_what_failed() {
    let dir = Dir::new();
    let Some(server) = MailServer::start(&dir) else {
        return;
    };
    let sandbox = Sandbox::of(&["dw"]);
    dir.write("password", "mail-password\n");
    super::fail(&sandbox, 1);
    let authority = dir.0.join("ca.pem").display().to_string();
    let policies = format!(
        "endpoint = \"{}\"\n{EACH_TWO_SECONDS}{}",
        sandbox.url,
        table("mail", &format!("smtps://localhost:{}", server.ports[0]))
    );
    let daemon = Daemon::start_among(&dir, &policies, &[("SSL_CERT_FILE", &authority)]);
    eventually("two mails", MINUTE, || mails(&dir).len() >= 2);
    let mails = mails(&dir);
    let failed = mails
        .iter()
        .find(|mail| mail.contains("[critical]"))
        .unwrap();
    for wanted in [
        "MAIL FROM redkeep@example.com",
        "RCPT TO ops@example.com",
        "RCPT TO dw@example.com",
        "TLS True LOGIN True",
        "Auto-Submitted: auto-generated",
        "policy: often",
        "no such tag",
        "redkeep check --config ",
    ] {
        assert!(failed.contains(wanted), "{wanted} is not in {failed}");
    }
    assert!(mails.iter().any(|mail| mail.contains("[ok]")), "{mails:#?}");
    let thread = |mail: &str| {
        let line = mail.lines().find(|line| line.starts_with("References:"));
        line.unwrap().to_owned()
    };
    assert_eq!(thread(&mails[0]), thread(&mails[1]));
    assert!(!daemon.log().contains("mail-password"));
}

#[test]
fn a_certificate_that_does_not_verify_is_refused_and_starttls_is_required() {
    let dir = Dir::new();
    let Some(server) = MailServer::start(&dir) else {
        return;
    };
    dir.write("password", "mail-password\n");
    let account = "[[account]]\nname = \"a\"\nregions = [\"us-east-1\"]\n";
    let wrapped = table("wrapped", &format!("smtps://localhost:{}", server.ports[0]));
    let upgraded = table(
        "upgraded",
        &format!("smtp://{}:{}", server.host, server.ports[1]),
    );
    let config = dir.policy_file("sandbox", &format!("{account}{wrapped}{upgraded}"));
    let config = config.to_str().unwrap();
    let told = redkeep(&["notify", "--test", "wrapped", "--config", config]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let error = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        error.contains("certificate") || error.contains("UnknownIssuer"),
        "{error}"
    );
    let authority = dir.0.join("ca.pem");
    let with = |name: &str| {
        let mut command = Command::new(crate::support::REDKEEP);
        let command = crate::support::credentials(&mut command);
        let command = command.args(["notify", "--test", name, "--config", config]);
        crate::support::finish(command.env("SSL_CERT_FILE", &authority))
    };
    assert!(with("wrapped").status.success(), "{:?}", with("wrapped"));
    // The host's own name is no loopback address to redkeep, so TLS is wanted.
    if !server.host.is_empty() && server.host != "localhost" {
        let told = with("upgraded");
        assert!(told.status.success(), "{told:?}");
    }
    dir.write("password", "another\n");
    let told = with("wrapped");
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(
        !String::from_utf8_lossy(&told.stderr).contains("another"),
        "{told:?}"
    );
    std::thread::sleep(Duration::from_millis(100));
    assert!(
        mails(&dir)
            .iter()
            .all(|mail| mail.contains("TLS True LOGIN True"))
    );
}
