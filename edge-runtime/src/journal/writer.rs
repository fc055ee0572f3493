//! The pipeline's end of the journal.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use expression_core::Record;

use super::failure::Kind;
use super::keep::Keeper;
use super::queue::{Item, KeptFace, Queue, Tally};
use super::rate_limit::RateLimit;
use super::shared::Shared;
use super::store::minute_of;
use super::worker::Worker;
use super::{Config, Face, JournalError, Row, Session};
use crate::clock;
use crate::event::Event;
use crate::frame::Observation;

/// After this long at the end it is told that the journal is still being written.
const FAREWELL: Duration = Duration::from_secs(10);

/// Writes a journal. No method but [`Writer::flush`] and [`Writer::close`] waits for the disk; all may be called from any
/// thread. Dropping it writes what waits, as [`Writer::close`] does.
pub struct Writer {
    shared: Arc<Shared>,
    rate_limit: Mutex<RateLimit>,
    keeper: Option<Mutex<Keeper>>,
    thread: Option<JoinHandle<()>>,
}

/// How writing goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Number of the newest record or event that is safe on the disk; 0 before the first.
    pub committed: i64,
    /// Records and events that wait in memory.
    pub queued: usize,
    /// Records lost since the writer was opened, because the queue was full.
    pub lost_records: u64,
    /// Why nothing can be written at present; `None` if it can.
    pub failing: Option<String>,
}

impl Writer {
    /// Opens a journal, or makes one, and begins a session. A disk that is full or read-only and a locked file are no
    /// errors: records wait in memory, and writing is tried again and again. A damaged file is moved aside.
    ///
    /// # Errors
    /// Returns an error if the configuration makes no sense, if the file belongs to another program or a newer schema, if the
    /// path is a folder or below a file, or if no thread can be started.
    pub fn open(path: &Path, config: Config, session: Session) -> Result<Writer, JournalError> {
        config.check()?;
        let unwritable = |reason: String| JournalError::Unwritable { path: path.to_owned(), reason };
        if path.is_dir() {
            return Err(JournalError::Folder(path.to_owned()));
        }
        if let Some(file) = path.ancestors().skip(1).find(|parent| parent.exists()).filter(|parent| !parent.is_dir()) {
            return Err(unwritable(format!("{} is a file, not a folder; give another path", file.display())));
        }
        let started = clock::now();
        let mut queue = Queue::new(usize::try_from(config.queue_bytes).unwrap_or(usize::MAX));
        queue.push(Item::Event(started, Event::Start));
        if config.keep_faces {
            let which = Some(config.keep_faces_which.to_string());
            queue.push(Item::Event(started, Event::KeepFaces { on: true, which }));
        }
        let shared = Arc::new(Shared::new(queue, session.clock_synchronised));
        let rate_limit = Mutex::new(RateLimit::new(config.max_records_per_second));
        let settings = config.clone();
        let mut worker = Worker::new(shared.clone(), path.to_owned(), config, session, started);
        match worker.open() {
            Err(failure) if matches!(failure.kind, Kind::Foreign | Kind::Newer(_)) => return Err(failure.at(path)),
            // The thread tries again, and deals with what stands in the way.
            Err(_) | Ok(()) => {}
        }
        // Those of today count, however often the program is started. A file that cannot be read yet has none.
        let today = worker.store.as_ref().map(|store| store.faces_since(Keeper::midnight(started.wall_us)));
        let keeper = Keeper::new(&settings, started.wall_us, today.and_then(Result::ok).unwrap_or(0));
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || worker.run());
        let thread = thread.map_err(|error| unwritable(format!("no thread to write it: {error}")))?;
        Ok(Writer { shared, rate_limit, keeper: keeper.map(Mutex::new), thread: Some(thread) })
    }

    /// Counts a frame and records its faces, as many a second of each track as the configuration allows.
    pub fn observe(&self, observation: &Observation) {
        self.observe_with_faces(observation, &[]);
    }

    /// [`Writer::observe`] with the aligned faces in the order of [`Observation::faces`]. They are stored only if the
    /// settings say so, and only for records that are written.
    pub fn observe_with_faces(&self, observation: &Observation, faces: &[Option<Face<'_>>]) {
        let stamp = observation.stamp;
        let kept = |index: usize, record: &Record| -> Option<Box<KeptFace>> {
            let face = faces.get(index).copied().flatten()?;
            let whole = usize::from(face.channels) * usize::from(face.size) * usize::from(face.size);
            let mut keeper = self.keeper.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
            (face.pixels.len() == whole && keeper.admits(record, stamp.wall_us, stamp.monotonic_ns / 1000))
                .then(|| Box::new(KeptFace { channels: face.channels, size: face.size, pixels: face.pixels.to_vec() }))
        };
        let synchronised = self.shared.synchronised.load(Ordering::Relaxed);
        let name: Option<Arc<str>> = observation.name.as_deref().map(Arc::from);
        let mut tally = Tally { frames: 1, with_faces: u64::from(!observation.faces.is_empty()), thinned: 0 };
        let mut rate_limit = self.rate_limit.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.shared.lock();
        for (index, record) in observation.faces.iter().enumerate() {
            if name.is_none() && !rate_limit.admits(record.track, stamp.monotonic_ns / 1000) {
                tally.thinned += 1;
                continue;
            }
            let row = Row {
                id: 0,
                session: 0,
                stamp,
                synchronised,
                sequence: observation.sequence,
                name: name.clone(),
                size: observation.size,
                record: *record,
                latency_us: observation.latency_us,
                millicelsius: observation.millicelsius,
            };
            state.queue.push(Item::Record(row, kept(index, record)));
        }
        state.queue.count(minute_of(stamp), tally);
        if state.queue.is_half_full() && state.failing.is_none() {
            self.shared.work.notify_one();
        }
    }

    /// Writes an event that happened now.
    pub fn event(&self, event: Event) {
        let mut state = self.shared.lock();
        // Read under the lock, so that events lie in the order of their times.
        state.queue.push(Item::Event(clock::now(), event));
    }

    /// Remembers under a name how far a reader has come; written with the next commit, so that it costs no wear of its
    /// own.
    pub fn set_cursor(&self, name: &str, id: i64) {
        self.shared.lock().queue.set_cursor(name, id);
    }

    /// Number of the newest record or event that is safe on the disk, power cuts included; 0 before the first.
    pub fn committed(&self) -> i64 {
        self.shared.committed.load(Ordering::Acquire)
    }

    /// Events of the writer itself since the last call: that writing failed or recovered, what was committed or lost, that the
    /// clock was set. They are in the journal, or will be, and are here for everybody else.
    pub fn reports(&self) -> Vec<Event> {
        let mut state = self.shared.lock();
        state.note_hang(Instant::now(), clock::now());
        state.take_reports()
    }

    /// How writing goes.
    pub fn health(&self) -> Health {
        let state = self.shared.lock();
        Health {
            committed: self.committed(),
            queued: state.queue.len(),
            lost_records: state.queue.lost_records,
            failing: state.failing.as_ref().map(|failing| failing.message.clone()),
        }
    }

    /// Commits what waits now, without waiting for its time. Returns whether everything is safe on the disk; false
    /// where that failed or took longer than `patience`.
    pub fn flush(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        state.asked += 1;
        let ticket = state.asked;
        self.shared.work.notify_one();
        while state.settled < ticket {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.written
    }

    /// Ends the session in order: writes the event [`Event::Stop`] and all that waits, and folds the log into the file.
    /// Returns the number of the newest record or event.
    ///
    /// # Errors
    /// [`JournalError::Unsaved`] where some of it could not be written; says how much.
    pub fn close(mut self, reason: &str) -> Result<i64, JournalError> {
        self.finish(reason)
    }

    /// Whether aligned faces are kept.
    pub fn keeps_faces(&self) -> bool {
        self.keeper.is_some()
    }

    /// [`Writer::close`] for a writer whose last reports are still wanted.
    pub(crate) fn finish(&mut self, reason: &str) -> Result<i64, JournalError> {
        let Some(thread) = self.thread.take() else { return Ok(self.committed()) };
        self.event(Event::Stop { reason: reason.to_owned() });
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        let patience = Instant::now() + FAREWELL;
        let mut is_told = false;
        while !thread.is_finished() {
            if Instant::now() >= patience && !std::mem::replace(&mut is_told, true) {
                let seconds = FAREWELL.as_secs();
                tracing::warn!(
                    "the journal is still being written after {seconds} s: its disk does not answer, or another program holds it; \
                     a second Ctrl-C or SIGTERM ends at once, and what waits is lost"
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let panicked = thread.join().is_err();
        let state = self.shared.lock();
        if state.queue.is_empty() && !panicked {
            return Ok(self.committed());
        }
        let why = state.failing.as_ref().map_or("its thread failed", |failing| failing.message.as_str());
        let reason = format!("{why}; {} records and events were not written", state.queue.len());
        Err(JournalError::Unsaved { reason })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.finish("ended without being closed") {
            tracing::warn!("{error}");
        }
    }
}
