//! The page by the real binary: its words are those of the history, hostile text stays text, and it is shown to nobody else.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod fleet;
mod past;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use flate2::read::GzDecoder;
use redkeep::cli::Cli;

use crate::support::{
    AtTheEnd, Daemon, Dir, EACH_TWO_SECONDS, Sandbox, eventually, free_port, in_state, redkeep,
};

const SOON: Duration = Duration::from_secs(60);

/// What came back.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn unpacked(&self) -> String {
        let mut text = String::new();
        GzDecoder::new(&*self.body)
            .read_to_string(&mut text)
            .unwrap();
        text
    }
}

fn ask(listen: SocketAddr, request: &str, host: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.set_read_timeout(Some(SOON * 3)).unwrap();
    let request =
        format!("{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body }
}

fn get(listen: SocketAddr, path: &str) -> Answer {
    ask(listen, &format!("GET {path}"), "localhost", "")
}

/// Waits until the page shows something.
fn page_with(daemon: &Daemon, path: &str, words: &str) -> String {
    eventually(words, SOON, || {
        let answer = TcpStream::connect(daemon.listen).map(|_| get(daemon.listen, path));
        answer.is_ok_and(|answer| answer.status == 200 && answer.text().contains(words))
    });
    get(daemon.listen, path).text()
}

/// Every text between two others.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let rest = text.split(begin).skip(1);
    rest.map(|rest| rest.split(end).next().unwrap()).collect()
}

/// The text of each cell of the first strip.
fn cells(page: &str) -> Vec<String> {
    let strip = between(page, "<ol class=\"strip\"", "</ol>")[0];
    let cells = between(strip, "<span>", "</span>");
    cells.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn each_cell_has_the_words_of_the_history() {
    let dir = Dir::new();
    let config = past::make(&dir).await;
    let daemon = Daemon::start_with(&dir, &config, past::port(&config));
    let page = page_with(&daemon, "/", "class=\"strip\"");
    let cells = cells(&page);
    assert_eq!(cells.len(), 35);
    let mut compared = 0;
    for row in daemon.history() {
        let day = &row["scheduled_at"].as_str().unwrap()[..10];
        let Some(cell) = cells.iter().find(|cell| cell.starts_with(day)) else {
            continue;
        };
        let state = row["state"].as_str().unwrap();
        let reason = row["reason"].as_str().unwrap_or_default();
        let excused = ["paused", "blackout", "disabled"].contains(&reason);
        let wanted = match excused {
            true => format!("{day} {state} ({reason})"),
            false => format!("{day} {state}"),
        };
        assert_eq!(*cell, wanted, "{row:#}");
        compared += 1;
    }
    assert_eq!(compared, past::outcomes().len());
    assert!(
        cells.iter().any(|cell| cell.ends_with("nothing due")),
        "{cells:?}"
    );
}

#[tokio::test]
async fn what_aws_and_strangers_wrote_stays_text_on_every_page() {
    let dir = Dir::new();
    let config = past::make(&dir).await;
    let daemon = Daemon::start_with(&dir, &config, past::port(&config));
    let fleet = page_with(&daemon, "/", "&lt;script&gt;");
    let id = past::hostile_id();
    for (path, wanted) in [
        ("/".to_owned(), "&lt;script&gt;"),
        ("/cluster?name=dw".to_owned(), "&lt;script&gt;"),
        (
            format!("/snapshot?id={id}"),
            "&lt;img src=x onerror=alert(1)&gt;",
        ),
    ] {
        let page = page_with(&daemon, &path, wanted);
        for hostile in ["<script", "<img src=x", "\u{202e}", "\u{7}"] {
            assert!(!page.contains(hostile), "{path}: {page}");
        }
    }
    let asked = "/?policy=%3Cscript%3Ealert(1)%3C/script%3E";
    let refused = get(daemon.listen, asked);
    assert_eq!(refused.status, 404);
    assert!(!refused.text().contains("<script"), "{}", refused.text());
    assert!(fleet.contains("redkeep iam-policy --account "), "{fleet}");
}

#[tokio::test]
async fn every_command_on_a_page_is_one() {
    let dir = Dir::new();
    let config = past::make(&dir).await;
    let daemon = Daemon::start_with(&dir, &config, past::port(&config));
    page_with(&daemon, "/", "class=\"strip\"");
    let id = past::hostile_id();
    let scope = "account=prod&region=us-east-1";
    for path in [
        "/".to_owned(),
        format!("/cluster?name=dw&{scope}"),
        format!("/snapshot?id={id}&{scope}"),
        format!("/scope?{scope}"),
    ] {
        let page = page_with(&daemon, &path, "The same on a terminal");
        let commands: Vec<&str> = { between(&page, "<code>", "</code>").into_iter() }
            .filter(|code| code.starts_with("redkeep "))
            .collect();
        let footer = commands.last().unwrap();
        assert!(
            footer.ends_with(config.to_str().unwrap()),
            "{path}: {footer}"
        );
        for command in &commands {
            let words = command.split(' ');
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{path}: {command}: {:?}", parsed.err());
        }
        let words: Vec<&str> = footer.split(' ').skip(1).collect();
        let same = redkeep(&words);
        assert_eq!(same.status.code(), Some(0), "{footer}: {same:?}");
    }
}

#[test]
fn a_page_has_its_headers_and_comes_in_gzip_and_only_looking_is_allowed() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let daemon = Daemon::start(&dir, &sandbox.url, EACH_TWO_SECONDS);
    page_with(&daemon, "/", "class=\"strip\"");
    for (path, status) in [
        ("/", 200),
        ("/cluster?name=dw", 200),
        ("/scope?account=default&region=us-east-1", 200),
        ("/forecast.svg?account=default&region=us-east-1", 200),
        ("/cluster?name=nowhere", 404),
        ("/cluster", 404),
        ("/snapshot?id=x", 404),
        ("/scope?account=x&region=y", 404),
        ("/?state=splendid", 404),
        ("/?page=2", 404),
        ("/?page=x", 404),
    ] {
        let answer = get(daemon.listen, path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        for header in [
            "content-security-policy: default-src 'none'; ",
            "frame-ancestors 'none'\r\n",
            "x-content-type-options: nosniff\r\n",
            "referrer-policy: no-referrer\r\n",
            "cache-control: no-store\r\n",
        ] {
            assert!(
                answer.head.contains(header),
                "{path}: {header}: {}",
                answer.head
            );
        }
        let head = ask(daemon.listen, &format!("HEAD {path}"), "127.0.0.1", "");
        assert_eq!((head.status, head.body.len()), (status, 0), "{path}");
        let packed = ask(
            daemon.listen,
            &format!("GET {path}"),
            "localhost",
            "Accept-Encoding: gzip\r\n",
        );
        assert!(
            packed.head.contains("content-encoding: gzip\r\n"),
            "{}",
            packed.head
        );
        assert!(!packed.unpacked().is_empty());
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            let answer = ask(daemon.listen, &format!("{method} {path}"), "localhost", "");
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
    assert!(
        daemon.history().len() < 60,
        "a page does not make snapshots"
    );
}

#[test]
fn the_page_is_shown_on_this_machine_alone_and_by_no_foreign_name() {
    let sandbox = Sandbox::of(&["dw"]);
    let start = |listen: &str, keys: &str| {
        let (dir, port) = (Dir::new(), free_port());
        let text = format!("listen = \"{listen}:{port}\"\n{keys}\n{EACH_TWO_SECONDS}");
        let config = dir.policy_file(&sandbox.url, &text);
        let daemon = Daemon::start_with(&dir, &config, port);
        eventually("it listens", SOON, || {
            TcpStream::connect(daemon.listen).is_ok()
        });
        (dir, daemon)
    };
    let (_near_dir, near) = start("127.0.0.1", "");
    page_with(&near, "/", "class=\"strip\"");
    for path in ["/", "/cluster?name=dw", "/style.css"] {
        for host in [
            "evil.example",
            "localhost.evil.example:9835",
            "10.0.0.5",
            "",
        ] {
            let answer = ask(near.listen, &format!("GET {path}"), host, "");
            assert_eq!(answer.status, 421, "{path} {host}");
            assert!(!answer.text().contains("dw"), "{}", answer.text());
        }
    }
    assert_eq!(
        ask(near.listen, "GET http://evil.example/", "localhost", "").status,
        421
    );
    assert_eq!(
        ask(near.listen, "GET /healthz", "evil.example", "").status,
        200
    );
    let (_far_dir, far) = start("0.0.0.0", "");
    let index = get(far.listen, "/");
    assert!(
        index.text().contains("/metrics") && !index.text().contains('<'),
        "{}",
        index.text()
    );
    for path in [
        "/cluster?name=dw",
        "/snapshot?id=x",
        "/scope",
        "/forecast.svg",
        "/style.css",
    ] {
        assert_eq!(get(far.listen, path).status, 404, "{path}");
    }
    assert_eq!(get(far.listen, "/metrics").status, 200);
    assert!(
        far.log().contains("the page is for this machine alone"),
        "{}",
        far.log()
    );
    let (_open_dir, open) = start("0.0.0.0", "page = \"open\"");
    page_with(&open, "/", "class=\"strip\"");
    assert_eq!(ask(open.listen, "GET /", "redkeep.example", "").status, 200);
    assert!(
        open.log().contains("every host that can reach"),
        "{}",
        open.log()
    );
}

#[test]
fn what_is_under_way_and_what_is_wrong_is_told_while_nobody_can_read_the_history() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("600", &["dw"], &[]));
    let policy = "[[policy]]\nname = \"once\"\nschedule = \"*/2 * * * * *\"\nclusters = [\"dw\"]\nretention = \"7d\"\n";
    let daemon = Daemon::start(&dir, &sandbox.url, policy);
    daemon.wait("it is creating", SOON, |rows| {
        in_state(rows, "creating").next().is_some()
    });
    let page = page_with(&daemon, "/", "Under way");
    assert!(page.contains("creating, slot "), "{page}");
    assert!(page.contains("creating</span>"), "{page}");
    let mut other = rusqlite::Connection::open(dir.0.join("state/history.db")).unwrap();
    let lock = other
        .transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)
        .unwrap();
    let asked = Instant::now();
    let locked = get(daemon.listen, "/");
    assert_eq!(locked.status, 200, "{}", locked.text());
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    drop(lock);
}

#[test]
fn nobody_can_overlook_that_it_is_the_sandbox() {
    let (dir, port) = (Dir::new(), free_port());
    let account = "[[account]]\nname = \"demo\"\nregions = [\"us-east-1\"]\n";
    let policy = EACH_TWO_SECONDS.replace("\"dw\"", "\"dw-prod\"");
    let config = dir.daemons_file(port, "sandbox", &format!("{account}{policy}"));
    let daemon = Daemon::start_with(&dir, &config, port);
    page_with(&daemon, "/", "class=\"strip\"");
    for path in [
        "/",
        "/cluster?name=dw-prod",
        "/scope?account=demo&region=us-east-1",
        "/?page=9",
    ] {
        let page = get(daemon.listen, path).text();
        assert!(
            page.contains("This is not AWS: nothing is really backed up."),
            "{path}: {page}"
        );
    }
}

/// Figures of a release build are in docs/page.md; the tests' build is slower.
const PATIENCE: Duration = match cfg!(debug_assertions) {
    true => Duration::from_secs(10),
    false => Duration::from_millis(60),
};

#[tokio::test]
async fn two_thousand_clusters_have_a_page_in_time_and_ten_readers_make_no_scrape_late() {
    let (dir, port) = (Dir::new(), free_port());
    let rest = fleet::make(&dir).await;
    let text = format!("state_dir = \"state\"\nlisten = \"127.0.0.1:{port}\"\n{rest}");
    let config = dir.write("redkeep.toml", &text);
    let daemon = Daemon::start_with(&dir, &config, port);
    let page = page_with(&daemon, "/", "Page 1 of 20");
    assert_eq!(page.matches("class=\"pair\"").count(), 100);
    let gzip = "Accept-Encoding: gzip\r\n";
    let (mut fastest, mut size) = (Duration::MAX, 0);
    for number in 1..=10 {
        let asked = Instant::now();
        let answer = ask(
            daemon.listen,
            &format!("GET /?page={number}"),
            "localhost",
            gzip,
        );
        fastest = fastest.min(asked.elapsed());
        assert_eq!(answer.status, 200);
        size = size.max(answer.body.len());
    }
    eprintln!("a page of 2,000 clusters: {fastest:?}, {size} bytes in gzip");
    assert!(size <= 150_000, "{size} bytes");
    assert!(fastest <= PATIENCE, "{fastest:?}");
    let failed = get(daemon.listen, "/?state=failed").text();
    assert!(
        failed.contains("is-failed") && !failed.contains("class=\"is-available\""),
        "{failed}"
    );
    assert_eq!(get(daemon.listen, "/?page=21").status, 404);
    let over = AtomicBool::new(false);
    let worst = thread::scope(|scope| {
        let end = AtTheEnd(&over);
        for _ in 0..10 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let answer = ask(daemon.listen, "GET /", "localhost", gzip);
                    assert!([200, 503].contains(&answer.status), "{}", answer.head);
                }
            });
        }
        let mut worst = Duration::ZERO;
        for _ in 0..10 {
            let asked = Instant::now();
            assert_eq!(get(daemon.listen, "/metrics").status, 200);
            worst = worst.max(asked.elapsed());
            thread::sleep(Duration::from_millis(100));
        }
        drop(end);
        worst
    });
    eprintln!("a scrape beside ten readers: {worst:?} at most");
    assert!(worst < Duration::from_millis(2_500), "{worst:?}");
}
