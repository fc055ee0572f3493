//! The thread that writes: commits by time, retries with growing pauses, never in the pipeline's way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use expression_core::Stamp;

use super::clock::Watch;
use super::failure::{Failure, Kind};
use super::queue::Item;
use super::store::Store;
use super::writer::{Failing, Shared};
use super::{Config, Event, Session, aside};
use crate::clock;

/// Counts of frames without faces wait so long for records to be committed with.
const COUNTS_WAIT: Duration = Duration::from_secs(30);
/// The first pause after a failure.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// So often a last attempt is made when the writer is closed.
const LAST_ATTEMPTS: usize = 3;

/// All that the thread owns.
pub(super) struct Worker {
    pub shared: Arc<Shared>,
    pub path: PathBuf,
    pub config: Config,
    pub session: Session,
    pub started: Stamp,
    pub store: Option<Store>,
    pub watch: Watch,
    /// The next attempt, and the pause after it should it fail.
    pub next: Instant,
    pub pause: Duration,
    pub last_commit: Instant,
}

impl Worker {
    /// A worker that has not tried to open the file yet.
    pub fn new(shared: Arc<Shared>, path: PathBuf, config: Config, session: Session, started: Stamp) -> Worker {
        let watch = Watch::new(session.clock_synchronised, started);
        let now = Instant::now();
        Worker {
            shared,
            path,
            config,
            session,
            started,
            store: None,
            watch,
            next: now,
            pause: FIRST_RETRY,
            last_commit: now,
        }
    }

    /// Writes until the writer is closed.
    pub fn run(mut self) {
        loop {
            let Some((closing, ticket)) = self.wait() else {
                self.look_at_the_clock();
                continue;
            };
            self.look_at_the_clock();
            let mut written = self.write_all();
            for _ in 1..if closing { LAST_ATTEMPTS } else { 1 } {
                if !written {
                    std::thread::sleep(FIRST_RETRY);
                    written = self.write_all();
                }
            }
            self.shared.settle(ticket, written);
            if closing {
                return;
            }
        }
    }

    /// Waits until there is something to write: whether the writer closes, and the newest request to flush. `None` where
    /// the time of a commit has come and nothing is worth one.
    fn wait(&mut self) -> Option<(bool, u64)> {
        let mut state = self.shared.lock();
        loop {
            let now = Instant::now();
            let asked = state.closing || state.asked > state.settled;
            let due = now >= self.next;
            let worth = state.queue.has_items() || now >= self.last_commit + COUNTS_WAIT;
            let full = state.failing.is_none() && state.queue.is_half_full();
            if asked || full || (due && worth) {
                return Some((state.closing, state.asked));
            }
            if due {
                self.next = now + self.config.commit_every.max(Duration::from_millis(100));
                return None;
            }
            let pause = self.next.saturating_duration_since(now).max(Duration::from_millis(1));
            state = self.shared.wait_for_work(state, pause);
        }
    }

    fn look_at_the_clock(&mut self) {
        let synchronised = clock::is_synchronised();
        let now = clock::now();
        if let Some((synchronised, step_ms)) = self.watch.change(synchronised, now) {
            self.shared.synchronised.store(synchronised, Ordering::Relaxed);
            self.shared.lock().queue.push(Item::Event(now, Event::ClockChanged { synchronised, step_ms }));
        }
    }

    /// Writes what waits now; true where nothing failed. What comes meanwhile waits for its own commit.
    fn write_all(&mut self) -> bool {
        let mut left = self.shared.lock().queue.len();
        let mut replaced = false;
        loop {
            let result = match self.open() {
                Ok(()) => self.write_some(&mut left),
                Err(failure) => Err(failure),
            };
            match result {
                Ok(true) => return true,
                Ok(false) => {}
                Err(failure) if failure.kind == Kind::Damaged && !replaced && self.replace(&failure) => {
                    replaced = true;
                    left = self.shared.lock().queue.len();
                }
                Err(failure) => {
                    self.failed(&failure);
                    return false;
                }
            }
        }
    }

    /// Opens the file where it is not open.
    pub fn open(&mut self) -> Result<(), Failure> {
        if self.store.is_none() {
            self.store = Some(Store::open(&self.path, &self.config, &self.session, self.started)?);
        }
        Ok(())
    }

    /// One batch; true once nothing is left of what waited.
    fn write_some(&mut self, left: &mut usize) -> Result<bool, Failure> {
        let batch = self.shared.lock().queue.take(self.config.batch_bytes());
        *left = left.saturating_sub(batch.items.len());
        if !batch.is_empty() {
            let Some(store) = self.store.as_mut() else { return Ok(true) };
            match store.write(&batch) {
                Ok(newest) => self.shared.committed.store(newest, Ordering::Release),
                Err(failure) => {
                    self.shared.lock().queue.put_back(batch);
                    return Err(failure);
                }
            }
        }
        self.succeeded(left);
        Ok(*left == 0)
    }

    fn succeeded(&mut self, left: &mut usize) {
        self.pause = FIRST_RETRY;
        self.last_commit = Instant::now();
        self.next = self.last_commit + self.config.commit_every;
        let now = clock::now();
        let mut state = self.shared.lock();
        let recovered = state.failing.take().map(|failing| {
            let seconds = now.monotonic_ns.saturating_sub(failing.since_ns) as f64 / 1e9;
            tracing::warn!("the journal is written again after {seconds:.1} s");
            Event::WritingRecovered { seconds }
        });
        let lost = std::mem::take(&mut state.queue.lost).event();
        for event in [recovered, lost].into_iter().flatten() {
            state.queue.push(Item::Event(now, event));
            *left = state.queue.len();
        }
    }

    fn failed(&mut self, failure: &Failure) {
        // A connection survives a full disk and a lock; after anything else the file is opened anew.
        if !matches!(failure.kind, Kind::Full | Kind::Locked) {
            self.store = None;
        }
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(self.config.retry);
        let now = clock::now();
        let mut state = self.shared.lock();
        if state.failing.is_none() {
            let (path, limit) = (self.path.display(), self.config.queue_bytes);
            tracing::warn!("cannot write the journal {path}: {failure}; up to {limit} bytes wait in memory");
            let event = Event::WritingFailed { cause: failure.kind.name().into(), message: failure.message.clone() };
            state.queue.push(Item::Event(now, event));
            state.failing = Some(Failing { since_ns: now.monotonic_ns, message: failure.message.clone() });
        }
    }

    /// Moves a damaged file aside, so that a new one is begun; false where that cannot be done.
    pub fn replace(&mut self, failure: &Failure) -> bool {
        self.store = None;
        match aside::move_aside(&self.path) {
            Ok(target) => {
                let moved_to = target.display().to_string();
                tracing::warn!("the journal {} is damaged ({failure}): moved to {moved_to}", self.path.display());
                let event = Event::JournalDamaged { reason: failure.message.clone(), moved_to };
                self.shared.lock().queue.push(Item::Event(clock::now(), event));
                true
            }
            Err(error) => {
                tracing::warn!("cannot move the damaged journal {} aside: {error}", self.path.display());
                false
            }
        }
    }
}
