//! Asks the sample program all the time whether it answers, and remembers the longest time that it didn't.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::programs::greeting;

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(50);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// Someone who asks the sample program all the time.
pub(super) struct Pulse {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What was seen of the sample program.
#[derive(Debug, Clone)]
struct Seen {
    version: String,
    answered_at: Instant,
    longest_gap: Duration,
    answers: u64,
}

impl Seen {
    fn new(now: Instant) -> Self {
        Self {
            version: String::new(),
            answered_at: now,
            longest_gap: Duration::ZERO,
            answers: 0,
        }
    }

    fn answered(&mut self, version: String, now: Instant) {
        self.longest_gap = self.gap(now);
        self.answered_at = now;
        self.version = version;
        self.answers += 1;
    }

    /// The longest time without an answer, the one that goes on included.
    fn gap(&self, now: Instant) -> Duration {
        self.longest_gap.max(now.duration_since(self.answered_at))
    }
}

impl Pulse {
    /// Begins to ask on a port of this machine.
    pub(super) fn begin(port: u16) -> Self {
        let seen = Arc::new(Mutex::new(Seen::new(Instant::now())));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Some(version) = greeting(port, ANSWER) {
                        lock(&seen).answered(version, Instant::now());
                    }
                    std::thread::sleep(EVERY);
                }
            }
        });
        Self {
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// The version in the newest answer.
    pub(super) fn version(&self) -> String {
        lock(&self.seen).version.clone()
    }

    /// The longest time without an answer since the last call, and how many answers there were.
    pub(super) fn take_longest_gap(&self) -> (Duration, u64) {
        let mut seen = lock(&self.seen);
        let result = (seen.gap(Instant::now()), seen.answers);
        (seen.longest_gap, seen.answers) = (Duration::ZERO, 0);
        result
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_counts_also_while_it_goes_on() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut seen = Seen::new(start);
        seen.answered("1".to_owned(), at(50));
        seen.answered("2".to_owned(), at(450));
        seen.answered("2".to_owned(), at(500));
        assert_eq!(seen.gap(at(510)), Duration::from_millis(400));
        assert_eq!(seen.gap(at(1500)), Duration::from_millis(1000));
        assert_eq!((seen.answers, seen.version.as_str()), (3, "2"));
    }
}
