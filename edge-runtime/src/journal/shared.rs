//! What the writer and its thread share.

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use expression_core::Stamp;

use super::failure::Kind;
use super::queue::{Item, Queue};
use crate::event::Event;

/// Most events that wait to be reported; the oldest go first.
const MAX_REPORTS: usize = 64;
/// An attempt to write that gets no further for this long has failed: a disk that hangs gives no error.
const MAX_ATTEMPT: Duration = Duration::from_secs(30);

/// The queue, and the signals between writer and thread.
pub(super) struct Shared {
    state: Mutex<WriterState>,
    pub work: Condvar,
    pub settled: Condvar,
    pub committed: AtomicI64,
    pub synchronised: AtomicBool,
}

pub(super) struct WriterState {
    pub queue: Queue,
    pub closing: bool,
    /// Requests to flush so far, and how many of them had their attempt.
    pub asked: u64,
    pub settled: u64,
    pub failing: Option<Failing>,
    /// When the attempt to write that goes on now began, or last got further.
    pub attempt: Option<Instant>,
    /// Whether the last attempt wrote all that waited.
    pub written: bool,
    /// Events of the writer itself that nobody has asked for yet.
    pub reports: Vec<Event>,
    /// Transactions and records that were committed and not reported yet.
    pub unreported_batches: u64,
    pub unreported_records: u64,
}

pub(super) struct Failing {
    pub since_ns: u64,
    pub message: String,
}

impl WriterState {
    /// Queues an event of the writer itself, and reports it.
    pub fn record(&mut self, stamp: Stamp, event: Event) {
        self.queue.push(Item::Event(stamp, event.clone()));
        self.report(event);
    }

    /// Reports that writing fails if the attempt that goes on has got no further for too long.
    pub fn note_hang(&mut self, now: Instant, stamp: Stamp) {
        let silent = self.attempt.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        if silent < MAX_ATTEMPT || self.failing.is_some() {
            return;
        }
        let message = format!("the disk has not answered for {} s", MAX_ATTEMPT.as_secs());
        let advice = Kind::Other.advice();
        tracing::warn!("cannot write the journal: {message}; {advice}; until then records wait in memory");
        self.record(stamp, Event::WritingFailed { cause: Kind::Other.name().into(), message: message.clone() });
        let since_ns = stamp.monotonic_ns.saturating_sub(silent.as_nanos() as u64);
        self.failing = Some(Failing { since_ns, message });
    }

    fn report(&mut self, event: Event) {
        if self.reports.len() == MAX_REPORTS {
            self.reports.remove(0);
        }
        self.reports.push(event);
    }

    /// The events of the writer itself since the last call, counts of committed and lost records last.
    pub fn take_reports(&mut self) -> Vec<Event> {
        let mut reports = std::mem::take(&mut self.reports);
        let (batches, records) =
            (std::mem::take(&mut self.unreported_batches), std::mem::take(&mut self.unreported_records));
        if batches > 0 {
            reports.push(Event::JournalCommitted { batches, records });
        }
        reports.extend(std::mem::take(&mut self.queue.unreported).event());
        reports
    }
}

impl Shared {
    pub fn new(queue: Queue, synchronised: bool) -> Shared {
        let state = WriterState {
            queue,
            closing: false,
            asked: 0,
            settled: 0,
            failing: None,
            attempt: None,
            written: true,
            reports: Vec::new(),
            unreported_batches: 0,
            unreported_records: 0,
        };
        Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            settled: Condvar::new(),
            committed: AtomicI64::new(0),
            synchronised: AtomicBool::new(synchronised),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, WriterState> {
        // No code that holds the lock leaves the state half changed, so a panic elsewhere is no reason to stop.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait_for_work<'a>(
        &self,
        state: MutexGuard<'a, WriterState>,
        pause: Duration,
    ) -> MutexGuard<'a, WriterState> {
        self.work.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
    }

    pub fn settle(&self, ticket: u64, written: bool) {
        let mut state = self.lock();
        state.settled = ticket;
        state.written = written;
        self.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_disk_that_does_not_answer_is_told_once_as_a_failure() {
        let shared = Shared::new(Queue::new(1 << 20), true);
        let mut state = shared.lock();
        let (begun, second, stamp) = (Instant::now(), Duration::from_secs(1), clock::now());
        let reports = |state: &mut WriterState, after: Duration| {
            state.note_hang(begun + after, stamp);
            state.take_reports()
        };
        assert!(reports(&mut state, 2 * MAX_ATTEMPT).is_empty());
        state.attempt = Some(begun);
        assert!(reports(&mut state, MAX_ATTEMPT - second).is_empty());
        let message = "the disk has not answered for 30 s".to_owned();
        let failed = Event::WritingFailed { cause: "other".into(), message };
        assert_eq!(reports(&mut state, MAX_ATTEMPT), [failed]);
        assert!(state.failing.is_some());
        assert!(reports(&mut state, 3 * MAX_ATTEMPT).is_empty());
    }
}
