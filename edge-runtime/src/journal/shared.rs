//! What the writer and its thread share.

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use expression_core::Stamp;

use super::queue::{Item, Queue};
use crate::event::Event;

/// Most events that wait to be reported; the oldest go first.
const MAX_REPORTS: usize = 64;

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
