//! The thread that writes: commits by time, retries with growing pauses, never in the pipeline's way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use expression_core::Stamp;

use super::clock::Watch;
use super::failure::{Failure, Kind};
use super::queue::Item;
use super::shared::{Failing, Shared};
use super::store::Store;
use super::{Config, Session, quarantine};
use crate::clock;
use crate::event::Event;

/// How long counts of frames without faces wait for records to be committed with.
const COUNTS_WAIT: Duration = Duration::from_secs(30);
/// The first pause after a failure.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// How often faces that are too old are looked for.
const EXPIRY: Duration = Duration::from_secs(600);
/// Attempts to write what is left when the writer is closed.
const CLOSING_ATTEMPTS: usize = 3;

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
    /// When faces that are too old were last looked for.
    pub expired: Option<Instant>,
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
            expired: None,
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
            let mut written = self.attempt();
            for _ in 1..if closing { CLOSING_ATTEMPTS } else { 1 } {
                if !written {
                    std::thread::sleep(FIRST_RETRY);
                    written = self.attempt();
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
            self.shared.lock().record(now, Event::ClockChanged { synchronised, step_ms });
        }
    }

    /// [`Worker::write_all`], and meanwhile others can see how long it takes.
    fn attempt(&mut self) -> bool {
        self.shared.lock().attempt = Some(Instant::now());
        let written = self.write_all();
        self.shared.lock().attempt = None;
        written
    }

    /// Writes what waits now; true where nothing failed. What comes meanwhile waits for its own commit.
    fn write_all(&mut self) -> bool {
        self.expire_faces();
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

    /// Opens the file if it is not open.
    pub fn open(&mut self) -> Result<(), Failure> {
        if self.store.is_none() {
            let opened = Store::open(&self.path, &self.config, &self.session, self.started);
            self.store = Some(opened.map_err(|failure| failure.or_confined(&self.path))?);
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
                Ok(newest) => {
                    self.shared.committed.store(newest, Ordering::Release);
                    let records = batch.items.iter().filter(|item| matches!(item, Item::Record(..))).count() as u64;
                    let mut state = self.shared.lock();
                    state.unreported_batches += 1;
                    state.unreported_records += records;
                }
                Err(failure) => {
                    self.shared.lock().queue.put_back(batch);
                    return Err(failure);
                }
            }
        }
        self.succeeded(left);
        Ok(*left == 0)
    }

    /// Deletes the faces that are too old, now and then, and queues the event that says so.
    fn expire_faces(&mut self) {
        if self.config.keep_faces_days.is_none() || self.expired.is_some_and(|last| last.elapsed() < EXPIRY) {
            return;
        }
        // A file that cannot be opened is dealt with by whoever writes next.
        let (Some(days), Ok(()), Some(store)) = (self.config.keep_faces_days, self.open(), self.store.as_mut()) else {
            return;
        };
        self.expired = Some(Instant::now());
        let now = clock::now();
        match store.expire_faces(now.wall_us.saturating_sub(i64::from(days) * 86_400_000_000)) {
            Ok(0) => {}
            Ok(faces) => self.shared.lock().record(now, Event::FacesDeleted { faces, by: "age".into() }),
            Err(failure) => {
                let (path, minutes) = (self.path.display(), EXPIRY.as_secs() / 60);
                tracing::warn!("cannot delete old faces from {path}: {failure}; tried again in {minutes} minutes");
            }
        }
    }

    fn succeeded(&mut self, left: &mut usize) {
        self.pause = FIRST_RETRY;
        self.last_commit = Instant::now();
        self.next = self.last_commit + self.config.commit_every;
        let now = clock::now();
        let mut state = self.shared.lock();
        state.attempt = Some(self.last_commit);
        let recovered = state.failing.take().map(|failing| {
            let seconds = now.monotonic_ns.saturating_sub(failing.since_ns) as f64 / 1e9;
            tracing::warn!("the journal is written again after {seconds:.1} s");
            Event::WritingRecovered { seconds }
        });
        let lost = std::mem::take(&mut state.queue.lost).event();
        if let Some(recovered) = recovered {
            state.record(now, recovered);
            *left = state.queue.len();
        }
        // Reported as it happened: here it is only written.
        if let Some(lost) = lost {
            state.queue.push(Item::Event(now, lost));
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
        // A disk that was waited for has come, and is of no use to this run: that is said even while writing fails already.
        let is_news = match &state.failing {
            None => true,
            Some(failing) => failure.kind == Kind::Confined && failing.message != failure.message,
        };
        if is_news {
            let (path, kib) = (self.path.display(), self.config.queue_bytes >> 10);
            let advice = failure.kind.advice();
            tracing::warn!(
                "cannot write the journal {path}: {failure}; {advice}; until then up to {kib} KiB of records wait in memory"
            );
        }
        let message = failure.message.clone();
        match &mut state.failing {
            Some(failing) => failing.message = message,
            None => {
                let event = Event::WritingFailed { cause: failure.kind.name().into(), message: message.clone() };
                state.record(now, event);
                state.failing = Some(Failing { since_ns: now.monotonic_ns, message });
            }
        }
    }

    /// Moves a damaged file out of the way, so that a new one is begun; `false` if that cannot be done.
    pub fn replace(&mut self, failure: &Failure) -> bool {
        self.store = None;
        match quarantine::quarantine(&self.path) {
            Ok(target) => {
                let moved_to = target.display().to_string();
                tracing::warn!(
                    "the journal {} is damaged ({failure}); it was moved to {moved_to} and a new one is begun",
                    self.path.display()
                );
                let event = Event::JournalDamaged { reason: failure.message.clone(), moved_to };
                self.shared.lock().record(clock::now(), event);
                true
            }
            Err(error) => {
                tracing::warn!(
                    "cannot move the damaged journal {} out of the way: {error}; move it, or give another --journal",
                    self.path.display()
                );
                false
            }
        }
    }
}
