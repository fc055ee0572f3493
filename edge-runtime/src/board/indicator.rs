//! The indicator as the pipeline holds it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use expression_core::indicator::{Screen, State};

use super::Board;

/// What pipeline and threads share.
#[derive(Default)]
struct Shared {
    screen: Mutex<Screen>,
    /// Presses that were not taken yet.
    presses: AtomicU32,
    stop: AtomicBool,
}

/// Lights, privacy button and display of a board. A part that is missing or broken is logged once and tried again; it
/// never keeps the loop from its work. Dropping it turns everything off.
pub struct Indicator {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Indicator {
    /// Opens what a board has, on threads of its own: lights and button, and the display, whose bus may be slow. A board
    /// without any, or a build without the feature `gpio`, shows nothing.
    pub fn open(board: &Board) -> Indicator {
        let shared = Arc::new(Shared::default());
        #[cfg(all(feature = "gpio", target_os = "linux"))]
        let threads = {
            use super::{lines::Machine, worker::Worker};
            let spawn = |name, worker| {
                let shared = Arc::clone(&shared);
                let started = std::thread::Builder::new().name(name).spawn(move || shared.work(worker));
                started.map_err(|error| tracing::warn!("no thread for the indicator: {error}")).ok()
            };
            let gpio = board.gpio.clone().map(|gpio| Worker::new(Machine, Some(gpio), None));
            let display = board.display.clone().map(|display| Worker::new(Machine, None, Some(display)));
            let gpio = gpio.and_then(|worker| spawn("lights".to_owned(), worker));
            let display = display.and_then(|worker| spawn("display".to_owned(), worker));
            gpio.into_iter().chain(display).collect()
        };
        #[cfg(not(all(feature = "gpio", target_os = "linux")))]
        let threads = {
            let _ = board;
            Vec::new()
        };
        Indicator { shared, threads }
    }

    /// Shows a state. Does not wait for the lights.
    pub fn show(&self, state: State) {
        self.change(|screen| screen.state = state);
    }

    /// Shows frames per second on the display. Does not wait either.
    pub fn show_rate(&self, frames_per_second: f32) {
        // In tenths. The conversion saturates, and turns what is not a number into 0.
        self.change(|screen| screen.rate = (frames_per_second * 10.0).round() as u16);
    }

    /// Whether the privacy button was pressed; `true` once for each press.
    pub fn take_press(&self) -> bool {
        let take = |presses: u32| presses.checked_sub(1);
        self.shared.presses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn change(&self, change: impl FnOnce(&mut Screen)) {
        let changed = {
            let mut screen = lock(&self.shared.screen);
            let old = *screen;
            change(&mut screen);
            old.state != screen.state
        };
        if changed {
            self.threads.iter().for_each(|thread| thread.thread().unpark());
        }
    }
}

impl Drop for Indicator {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A panic in it has said its own.
            let _ = thread.join();
        }
    }
}

#[cfg(all(feature = "gpio", target_os = "linux"))]
impl Shared {
    /// What a thread does until it is told to stop.
    fn work<W: super::worker::Wiring>(&self, mut worker: super::worker::Worker<W>) {
        /// Often enough for a finger and for the fastest rhythm.
        const ROUND: std::time::Duration = std::time::Duration::from_millis(20);
        let started = std::time::Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let screen = *lock(&self.screen);
            let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let round = worker.round(ms, screen);
            round.notes.iter().for_each(|note| tracing::warn!("{note}"));
            self.presses.fetch_add(u32::from(round.pressed), Ordering::Relaxed);
            std::thread::park_timeout(ROUND);
        }
        worker.darken();
    }
}

/// Locks a mutex; a thread that panicked leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_holds_state_and_rate_and_each_press_counts_once() {
        let indicator = Indicator { shared: Arc::default(), threads: Vec::new() };
        let screen = || *lock(&indicator.shared.screen);
        indicator.show(State::Paused);
        indicator.show_rate(29.96);
        assert_eq!((screen().state, screen().rate), (State::Paused, 300));
        indicator.show_rate(f32::NAN);
        assert_eq!(screen().rate, 0);
        assert!(!indicator.take_press());
        indicator.shared.presses.store(2, Ordering::Relaxed);
        assert_eq!([indicator.take_press(), indicator.take_press(), indicator.take_press()], [true, true, false]);
    }

    /// No machine that tests run on is expected to have these: nothing may fail, and dropping must end the threads.
    #[test]
    fn a_board_whose_parts_are_missing_opens_all_the_same() {
        let mut board = Board::open("raspberry-pi-4b").unwrap();
        board.gpio.as_mut().unwrap().chips = vec!["no-such-chip".into()];
        board.display.as_mut().unwrap().bus = "/dev/no-such-bus".into();
        let indicator = Indicator::open(&board);
        indicator.show(State::Watching);
        assert!(!indicator.take_press());
        let shared = Arc::clone(&indicator.shared);
        drop(indicator);
        assert_eq!(Arc::strong_count(&shared), 1, "a thread is left");
    }
}
