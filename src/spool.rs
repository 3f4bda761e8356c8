//! Entries for a reader that may be slow, or not read at all.
//!
//! Owns: a queue with a bound, and the thread that empties it. Whoever has something to tell puts it there and goes on:
//! nothing here ever waits for the reader, but [`Spool::flush`], which is told for how long. What finds no room is dropped
//! and counted. Never looks into an entry.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// At most this many bytes wait, about five thousand lines of a log; one entry always finds room in an empty queue.
const BYTES_MAX: usize = 1 << 20;
/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 64;

/// The way to one reader.
#[derive(Debug, Clone, Default)]
pub struct Spool(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether an entry is with the reader.
    is_writing: bool,
    dropped: u64,
    /// How many of those nobody has been told of.
    untold: u64,
}

impl Spool {
    /// Begins to give each entry to `reader`, which may take its time. An error of it drops the entry.
    ///
    /// `tell` is told how many entries were dropped, once the reader is back and the queue half empty.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(
        name: &str,
        reader: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let spool = Self::default();
        let shared = Arc::clone(&spool.0);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || shared.work(reader, tell))?;
        Ok(spool)
    }

    /// Puts an entry into the queue, or drops it where there is no room.
    pub fn put(&self, entry: Vec<u8>) {
        let mut queue = self.0.lock();
        let bytes = queue.bytes + entry.len() + ENTRY_BYTES;
        if bytes > BYTES_MAX && !queue.entries.is_empty() {
            queue.drop_one();
            return;
        }
        queue.bytes = bytes;
        queue.entries.push_back(entry);
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Waits until the reader has everything, but no longer than `within`.
    pub fn flush(&self, within: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.entries.is_empty();
        // What the reader has not taken by then is lost.
        drop(
            self.0
                .changed
                .wait_timeout_while(self.0.lock(), within, is_busy),
        );
    }

    /// How many entries were dropped.
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }
}

impl Queue {
    fn drop_one(&mut self) {
        self.dropped += 1;
        self.untold += 1;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, mut reader: impl FnMut(&[u8]) -> io::Result<()>, tell: impl Fn(u64)) {
        loop {
            let entry = self.next();
            let written = reader(&entry);
            let untold = self.written(written.is_ok());
            if untold > 0 {
                tell(untold);
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut queue = self.lock();
        loop {
            if let Some(entry) = queue.entries.pop_front() {
                queue.bytes -= entry.len() + ENTRY_BYTES;
                queue.is_writing = true;
                return entry;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes what became of an entry; how many dropped ones it is time to tell of.
    fn written(&self, is_ok: bool) -> u64 {
        let mut queue = self.lock();
        queue.is_writing = false;
        if !is_ok {
            queue.drop_one();
        }
        let has_room = is_ok && queue.bytes <= BYTES_MAX / 2;
        let untold = if has_room {
            std::mem::take(&mut queue.untold)
        } else {
            0
        };
        drop(queue);
        self.changed.notify_all();
        untold
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    /// A reader that takes an entry each time it is let, and what it has taken and was told.
    struct Reader {
        spool: Spool,
        go_on: Sender<io::Result<()>>,
        taken: Receiver<Vec<u8>>,
        told: Receiver<u64>,
    }

    fn reader() -> Reader {
        let (go_on, may) = channel::<io::Result<()>>();
        let (take, taken) = channel();
        let (tell, told) = channel();
        let read = move |entry: &[u8]| {
            may.recv().unwrap_or(Ok(()))?;
            let _ = take.send(entry.to_vec());
            Ok(())
        };
        let spool = Spool::start("test", read, move |count| {
            tell.send(count).unwrap_or_default()
        })
        .unwrap();
        Reader {
            spool,
            go_on,
            taken,
            told,
        }
    }

    #[test]
    fn entries_arrive_whole_and_in_order() {
        let reader = reader();
        for entry in ["one", "two", "three"] {
            reader.spool.put(entry.into());
            reader.go_on.send(Ok(())).unwrap();
        }
        let taken = [(); 3].map(|()| reader.taken.recv_timeout(TEST_TIMEOUT).unwrap());
        assert_eq!(taken, [b"one".to_vec(), b"two".into(), b"three".into()]);
        assert_eq!(reader.spool.dropped(), 0);
    }

    #[test]
    fn a_reader_that_stands_still_costs_bounded_memory_and_is_told_of_what_was_dropped() {
        let reader = reader();
        let (size, count) = (10_000, 1_000);
        for _ in 0..count {
            reader.spool.put(vec![b'x'; size]);
        }
        let kept = BYTES_MAX / (size + ENTRY_BYTES);
        let dropped = reader.spool.dropped();
        // One more may be with the reader.
        let expected = [count - kept, count - kept - 1].map(|count| count as u64);
        assert!(expected.contains(&dropped), "{dropped}");
        assert!(reader.told.try_recv().is_err());
        drop(reader.go_on);
        assert_eq!(reader.told.recv_timeout(TEST_TIMEOUT), Ok(dropped));
        reader.spool.flush(TEST_TIMEOUT);
        assert_eq!(reader.taken.iter().take(kept).count(), kept);
        assert_eq!(reader.spool.dropped(), dropped);
    }

    #[test]
    fn an_entry_that_the_reader_refuses_counts_as_dropped_and_is_told_with_the_next() {
        let reader = reader();
        reader.spool.put("lost".into());
        reader
            .go_on
            .send(Err(io::ErrorKind::BrokenPipe.into()))
            .unwrap();
        reader.spool.flush(TEST_TIMEOUT);
        assert_eq!(reader.spool.dropped(), 1);
        reader.spool.put("kept".into());
        reader.go_on.send(Ok(())).unwrap();
        assert_eq!(reader.taken.recv_timeout(TEST_TIMEOUT).unwrap(), b"kept");
        assert_eq!(reader.told.recv_timeout(TEST_TIMEOUT), Ok(1));
    }

    #[test]
    fn one_entry_larger_than_the_bound_finds_room_in_an_empty_queue() {
        let reader = reader();
        reader.spool.put(vec![0; 2 * BYTES_MAX]);
        drop(reader.go_on);
        assert_eq!(
            reader.taken.recv_timeout(TEST_TIMEOUT).unwrap().len(),
            2 * BYTES_MAX
        );
    }

    #[test]
    fn a_flush_waits_no_longer_than_it_is_told() {
        let reader = reader();
        reader.spool.put("never read".into());
        reader.spool.flush(Duration::from_millis(50));
        assert_eq!(reader.spool.dropped(), 0);
        assert!(reader.taken.try_recv().is_err());
    }
}
