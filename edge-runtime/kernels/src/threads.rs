//! Threads that run one job together, with a barrier between its steps.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How often a thread looks again before it sleeps: some tens of microseconds. Steps of a net are shorter than what it takes to
/// wake a thread; from one frame to the next it is far longer, so threads sleep then.
const MAX_SPINS: usize = 2000;

/// A fixed number of threads, of which the caller of [`Threads::run`] is one.
pub struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// One job at a time.
    turn: Mutex<()>,
}

/// One of the threads at work on a job.
pub struct Member<'a> {
    /// Its number, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
    shared: &'a Shared,
}

struct Shared {
    barrier: Signal,
    /// Threads that have reached the barrier.
    arrived: AtomicUsize,
    /// Counts jobs.
    begun: Signal,
    /// Counts workers that have finished a job.
    finished: Signal,
    job: Mutex<Option<Job>>,
    /// Whether a thread has panicked.
    failed: AtomicBool,
}

/// A job, valid until every worker has finished it. `None` tells workers to end.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn(&Member) + Sync));

// SAFETY: what it points to is Sync, and `run` keeps it alive for as long as workers use it.
unsafe impl Send for Job {}

/// A number that grows, and that threads wait for: at first by looking, then asleep.
#[derive(Default)]
struct Signal {
    value: AtomicUsize,
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Signal {
    fn get(&self) -> usize {
        self.value.load(Ordering::SeqCst)
    }

    fn increase(&self) {
        self.value.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            // Whoever counts as a sleeper holds the lock until it sleeps.
            drop(lock(&self.lock));
            self.changed.notify_all();
        }
    }

    fn wait(&self, reached: impl Fn(usize) -> bool) {
        for _ in 0..MAX_SPINS {
            if reached(self.value.load(Ordering::Acquire)) {
                return;
            }
            std::hint::spin_loop();
        }
        let mut guard = lock(&self.lock);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while !reached(self.get()) {
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Threads {
    /// Starts threads, so many that with the caller's they are `threads`, or fewer than two.
    ///
    /// # Errors
    /// Returns the system's error if it refuses.
    pub(crate) fn start(threads: usize) -> std::io::Result<Threads> {
        let shared = Arc::new(Shared {
            barrier: Signal::default(),
            arrived: AtomicUsize::new(0),
            begun: Signal::default(),
            finished: Signal::default(),
            job: Mutex::new(None),
            failed: AtomicBool::new(false),
        });
        let mut started = Threads { shared, workers: Vec::new(), turn: Mutex::new(()) };
        for index in 1..threads {
            let shared = Arc::clone(&started.shared);
            let worker = std::thread::Builder::new().name(format!("kernels {index}"));
            started.workers.push(worker.spawn(move || work(&shared, index, threads))?);
        }
        Ok(started)
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `job` on every thread at once, and returns when all have finished.
    ///
    /// # Panics
    /// Panics if the job panics on any thread.
    pub(crate) fn run(&self, job: &(dyn Fn(&Member) + Sync)) {
        let count = self.count();
        let member = Member { index: 0, count, shared: &self.shared };
        if count == 1 {
            return job(&member);
        }
        let _turn = lock(&self.turn);
        let finished = self.shared.finished.get();
        // SAFETY: the lifetime alone changes; below, this function waits until every worker has finished with it.
        let erased: *const (dyn Fn(&Member) + Sync) = unsafe { std::mem::transmute(std::ptr::from_ref(job)) };
        *lock(&self.shared.job) = Some(Job(erased));
        self.shared.begun.increase();
        let result = self.shared.guarded(|| job(&member));
        self.shared.finished.wait(|value| value.wrapping_sub(finished) == self.workers.len());
        let failed = self.shared.failed.swap(false, Ordering::SeqCst);
        self.shared.arrived.store(0, Ordering::SeqCst);
        match result {
            Err(panic) => resume_unwind(panic),
            Ok(()) => assert!(!failed, "a thread of the kernels panicked"),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        *lock(&self.shared.job) = None;
        self.shared.begun.increase();
        for worker in self.workers.drain(..) {
            // A worker's panic has been reported by `run`.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Runs a thread's part of a job. If it panics, threads that wait for it at a barrier panic too.
    fn guarded(&self, part: impl FnOnce()) -> Result<(), Box<dyn Any + Send>> {
        let result = catch_unwind(AssertUnwindSafe(part));
        if result.is_err() {
            self.failed.store(true, Ordering::SeqCst);
            self.barrier.increase();
        }
        result
    }
}

fn work(shared: &Shared, index: usize, count: usize) {
    let mut jobs = 0;
    loop {
        shared.begun.wait(|value| value != jobs);
        jobs += 1;
        let Some(job) = *lock(&shared.job) else { return };
        let member = Member { index, count, shared };
        // SAFETY: `run` keeps the job alive until this worker counts as finished.
        let _ = shared.guarded(|| unsafe { (*job.0)(&member) });
        shared.finished.increase();
    }
}

impl Member<'_> {
    /// Waits until every thread has got here.
    pub fn wait(&self) {
        if self.count == 1 {
            return;
        }
        let passed = self.shared.barrier.get();
        if self.shared.arrived.fetch_add(1, Ordering::SeqCst) + 1 == self.count {
            self.shared.arrived.store(0, Ordering::SeqCst);
            self.shared.barrier.increase();
        } else {
            self.shared.barrier.wait(|value| value != passed || self.shared.failed.load(Ordering::SeqCst));
        }
        assert!(!self.shared.failed.load(Ordering::SeqCst), "another thread of the kernels panicked");
    }

    /// Returns this thread's share of `count` things.
    pub fn share(&self, count: usize) -> std::ops::Range<usize> {
        self.index * count / self.count..(self.index + 1) * count / self.count
    }
}
