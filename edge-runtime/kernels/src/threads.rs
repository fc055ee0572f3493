//! Threads that run the steps of one job together.
//!
//! Each step is cut into parts that threads claim one by one, and is over when all parts are done. A thread begins with its own
//! share of the parts: in a net, most of what it reads then is what it has written in the step before, and lies in its core's
//! cache. When its share is done it waits a little, and then takes parts of others. So nobody waits for a thread that the system
//! has not yet woken, or lets wait. What threads write that others read is kept to one number per step: between cores that share no
//! cache, each such write costs as much as thousands of products.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How often a thread looks whether there is something to do before it sleeps: some tens of microseconds. Steps of a net are
/// shorter than what it takes to wake a thread; from one frame to the next it is far longer, so threads sleep then.
const MAX_SPINS: usize = 2000;

/// How often a thread looks whether a step is over before it takes parts of others: about a microsecond.
const PATIENCE: usize = 100;

/// A fixed number of threads, of which the caller of `Threads::run` is one.
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
    failed: &'a AtomicBool,
}

/// How far a step has got. Each job that uses it has another round, so nothing needs to be reset.
pub struct Progress {
    /// How many parts of each thread's share are claimed. Mostly its thread alone writes it.
    claimed: Box<[Count]>,
    done: Count,
}

/// A round and a count in it, in a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Count(AtomicU64);

impl Count {
    /// Adds `more` to the count of a round if it is below `end`, and returns what it was.
    fn add(&self, round: u32, more: usize, end: usize, order: Ordering) -> Option<usize> {
        let counted = |packed| Count::of(packed, round);
        let next = |packed| (counted(packed) < end).then(|| u64::from(round) << 32 | (counted(packed) + more) as u64);
        self.0.fetch_update(order, Ordering::Relaxed, next).ok().map(counted)
    }

    /// The count of a round.
    fn get(&self, round: u32) -> usize {
        Count::of(self.0.load(Ordering::Acquire), round)
    }

    fn of(packed: u64, round: u32) -> usize {
        if packed >> 32 == u64::from(round) { packed as u32 as usize } else { 0 }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    begun: Condvar,
    left: Condvar,
    /// The number of the last job, for threads that look before they sleep.
    last: AtomicUsize,
    /// Whether a thread has panicked in this job.
    failed: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The job that workers may join.
    job: Option<Job>,
    number: usize,
    /// Workers that have joined it.
    inside: usize,
    ends: bool,
}

#[derive(Clone, Copy)]
struct Job(*const (dyn Fn(&Member) + Sync));

// SAFETY: what it points to is Sync, and `run` keeps it alive for as long as workers are inside.
unsafe impl Send for Job {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Threads {
    /// Starts threads, so many that there are `threads` with the caller's.
    ///
    /// # Errors
    /// Returns the system's error if it refuses.
    pub(crate) fn start(threads: usize) -> std::io::Result<Threads> {
        let mut started = Threads { shared: Arc::default(), workers: Vec::new(), turn: Mutex::new(()) };
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

    /// Runs `job` on the caller's thread and on all others that are ready before it ends. Returns when all have finished.
    ///
    /// # Panics
    /// Panics if the job panics on any thread.
    pub(crate) fn run(&self, job: &(dyn Fn(&Member) + Sync)) {
        let shared = &*self.shared;
        let member = Member { index: 0, count: self.count(), failed: &shared.failed };
        if self.workers.is_empty() {
            return job(&member);
        }
        let _turn = lock(&self.turn);
        shared.failed.store(false, Ordering::SeqCst);
        // SAFETY: the lifetime alone changes; below, this function waits until nobody is inside any more.
        let erased: *const (dyn Fn(&Member) + Sync) = unsafe { std::mem::transmute(std::ptr::from_ref(job)) };
        let mut state = lock(&shared.state);
        state.job = Some(Job(erased));
        state.number += 1;
        shared.last.store(state.number, Ordering::Release);
        drop(state);
        shared.begun.notify_all();
        let result = catch_unwind(AssertUnwindSafe(|| job(&member)));
        if result.is_err() {
            shared.failed.store(true, Ordering::SeqCst);
        }
        let mut state = lock(&shared.state);
        state.job = None;
        while state.inside > 0 {
            state = shared.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        match result {
            Err(panic) => resume_unwind(panic),
            Ok(()) => assert!(!shared.failed.load(Ordering::SeqCst), "a thread of the kernels panicked"),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        lock(&self.shared.state).ends = true;
        self.shared.begun.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches panics of jobs, and `run` reports them.
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, index: usize, count: usize) {
    let mut seen = 0;
    loop {
        for _ in 0..MAX_SPINS {
            if shared.last.load(Ordering::Acquire) != seen {
                break;
            }
            std::hint::spin_loop();
        }
        let mut state = lock(&shared.state);
        let job = loop {
            match state.job {
                _ if state.ends => return,
                Some(job) if state.number != seen => break job,
                _ => state = shared.begun.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        seen = state.number;
        state.inside += 1;
        drop(state);
        let member = Member { index, count, failed: &shared.failed };
        // SAFETY: `run` keeps the job alive while this worker is inside.
        if catch_unwind(AssertUnwindSafe(|| unsafe { (*job.0)(&member) })).is_err() {
            shared.failed.store(true, Ordering::SeqCst);
        }
        lock(&shared.state).inside -= 1;
        shared.left.notify_one();
    }
}

impl Member<'_> {
    /// Does parts of a step until none is left, and returns when all of them are done. All members call it with the same `round`
    /// and `parts`, for one step after the other.
    pub fn step(&self, progress: &Progress, round: u32, parts: usize, mut part: impl FnMut(usize)) {
        if self.count == 1 {
            return (0..parts).for_each(part);
        }
        let mut take = |owner: usize| {
            let share = share(owner, self.count, parts);
            let mut taken = 0;
            while let Some(number) = progress.claimed[owner].add(round, 1, share.len(), Ordering::Relaxed) {
                part(share.start + number);
                taken += 1;
            }
            if taken > 0 {
                progress.done.add(round, taken, parts, Ordering::Release);
            }
        };
        take(self.index);
        let mut spins = 0;
        while progress.done.get(round) < parts {
            assert!(!self.failed.load(Ordering::Relaxed), "another thread of the kernels panicked");
            spins += 1;
            if spins % PATIENCE == 0 {
                (self.index + 1..self.count).chain(0..self.index).for_each(&mut take);
            }
            if spins < MAX_SPINS {
                std::hint::spin_loop();
            } else {
                // Whoever has claimed a part lacks a core.
                std::thread::yield_now();
            }
        }
    }
}

impl Progress {
    /// For steps of so many threads.
    pub fn new(threads: usize) -> Progress {
        Progress { claimed: (0..threads).map(|_| Count::default()).collect(), done: Count::default() }
    }
}

/// Returns the range of `count` things that a part of `parts` has.
pub fn share(part: usize, parts: usize, count: usize) -> std::ops::Range<usize> {
    part * count / parts..(part + 1) * count / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_every_step_is_done_once_and_in_order() {
        let threads = Threads::start(3).unwrap();
        for _ in 0..200 {
            let progress: Vec<Progress> = (0..5).map(|_| Progress::new(3)).collect();
            let counts = [const { AtomicUsize::new(0) }; 5];
            threads.run(&|member| {
                for (step, progress) in progress.iter().enumerate() {
                    member.step(progress, 1, 7, |_| {
                        assert!(step == 0 || counts[step - 1].load(Ordering::SeqCst) == 7, "a step before its time");
                        counts[step].fetch_add(1, Ordering::SeqCst);
                    });
                }
            });
            assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 7));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_next_job_runs() {
        let threads = Threads::start(3).unwrap();
        let parts = AtomicUsize::new(0);
        for broken in [0, 4, 11] {
            let progress = Progress::new(3);
            let failed = catch_unwind(AssertUnwindSafe(|| {
                threads.run(&|member| member.step(&progress, 1, 12, |part| assert!(part != broken, "broken")));
            }));
            assert!(failed.is_err(), "part {broken}");
            threads.run(&|member| {
                member.step(&progress, 2, 12, |_| {
                    parts.fetch_add(1, Ordering::SeqCst);
                });
            });
        }
        assert_eq!(parts.into_inner(), 36);
    }
}
