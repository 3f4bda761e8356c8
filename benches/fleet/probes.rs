//! Whoever scrapes and probes the daemon while it is at work.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// How long a pause is slept through at a time.
const PIECE: Duration = Duration::from_millis(100);
const IN_GZIP: &str = "Accept-Encoding: gzip\r\n";

/// The slowest answers so far.
pub struct Probes {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<[Duration; 2]>,
}

impl Probes {
    /// Scrapes and probes again and again, with a pause between.
    pub fn start(address: SocketAddr, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asking = thread::spawn(move || {
            let mut worst = [Duration::ZERO; 2];
            while !stopped.load(Ordering::Relaxed) {
                let paths = [("/metrics", IN_GZIP), ("/healthz", "")];
                for ((path, headers), worst) in paths.into_iter().zip(&mut worst) {
                    let began = Instant::now();
                    get(address, path, headers);
                    *worst = began.elapsed().max(*worst);
                }
                // In pieces, so that the end is not waited for.
                let next = Instant::now() + every;
                while Instant::now() < next && !stopped.load(Ordering::Relaxed) {
                    sleep(PIECE.min(every));
                }
            }
            worst
        });
        Self { stop, asking }
    }

    pub fn tell(self) {
        self.stop.store(true, Ordering::Relaxed);
        let [scrape, probe] = self.asking.join().unwrap().map(ms);
        println!("/metrics        {scrape:>9.1} ms at worst meanwhile");
        println!("/healthz        {probe:>9.1} ms at worst meanwhile");
    }
}

/// Tells the median time of a scrape, which it returns, and its sizes.
pub fn tell_scrape(address: SocketAddr) -> Duration {
    let mut times: Vec<(Duration, usize)> = (0..5)
        .map(|_| {
            let began = Instant::now();
            let bytes = get(address, "/metrics", IN_GZIP);
            (began.elapsed(), bytes)
        })
        .collect();
    times.sort();
    let (time, sent) = times[times.len() / 2];
    let whole = get(address, "/metrics", "");
    println!(
        "a scrape        {:>9.1} ms, {:.3} MB as it is sent, {:.3} MB as text",
        ms(time),
        sent as f64 / 1e6,
        whole as f64 / 1e6
    );
    time
}

/// How many bytes the body has.
fn get(address: SocketAddr, path: &str, headers: &str) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: fleet\r\n{headers}Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    answer.len() - end.unwrap() - 4
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
