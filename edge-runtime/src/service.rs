//! The runtime as a service that systemd starts, watches and stops. Without systemd nothing here has an effect.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use expression_engine::error::FAILED;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A counter that the loop increments in each round, whether it processed, skipped or awaited a frame, paused or not. Nothing
/// else feeds the watchdog.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Counts a round of the loop.
    pub fn made(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of rounds.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns the runtime directory that systemd gives; `None` without one.
pub fn runtime_directory() -> Option<PathBuf> {
    let folders = std::env::var_os("RUNTIME_DIRECTORY")?;
    // Several are separated by colons; ours is the first.
    std::env::split_paths(&folders).next().filter(|folder| folder.is_absolute())
}

/// Whether the program was asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops at SIGTERM and SIGINT (Ctrl-C). A second signal ends the program at once, with the exit code of
    /// [`FAILED`].
    ///
    /// # Errors
    /// Returns an error if the system refuses to register a signal.
    pub fn on_signals() -> io::Result<Stop> {
        let stop = Stop::default();
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down, the second finds it up.
            flag::register_conditional_shutdown(signal, i32::from(FAILED), Arc::clone(&stop.0))?;
            flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    /// Asks the program to stop, as a signal does.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked to.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Tells systemd how the service is doing, and feeds its watchdog as long as there is progress.
pub struct Service {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Begins to feed the watchdog if systemd asked for it (`WatchdogSec=`): four times per period, and only if there was
    /// progress since the last time. If the loop hangs, the watchdog is not fed and systemd restarts the service.
    pub fn start(progress: Progress) -> Service {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = sd_notify::watchdog_enabled().and_then(|period| {
            let stop = Arc::clone(&stop);
            let feed = move || feed(&progress, period / 4, &stop);
            let started = std::thread::Builder::new().name("watchdog".into()).spawn(feed);
            started.map_err(|error| tracing::warn!("no thread for the watchdog: {error}")).ok()
        });
        Service { stop, thread }
    }

    /// Says that the service does its work from now on.
    pub fn ready(&self, status: &str) {
        notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// Sets the line that `systemctl status` shows.
    pub fn status(&self, status: &str) {
        notify(&[NotifyState::Status(&one_line(status))]);
    }

    /// Says that the service was asked to stop and is shutting down.
    pub fn stopping(&self) {
        notify(&[NotifyState::Stopping]);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in it has said its own.
            let _ = thread.join();
        }
    }
}

fn feed(progress: &Progress, every: Duration, stop: &AtomicBool) {
    let mut watched = Watched { seen: progress.count() };
    while !stop.load(Ordering::Relaxed) {
        if watched.moved(progress.count()) {
            notify(&[NotifyState::Watchdog]);
        }
        std::thread::park_timeout(every);
    }
}

/// Whether a counter moves.
struct Watched {
    seen: u64,
}

impl Watched {
    /// Whether the counter moved since the last call.
    fn moved(&mut self, count: u64) -> bool {
        std::mem::replace(&mut self.seen, count) != count
    }
}

/// Sends a message to systemd, if it is there. A message that is lost is no reason to end.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd was not told: {error}");
    }
}

/// Replaces line breaks: one would end the status and begin another variable.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_progress_feeds_the_watchdog() {
        let progress = Progress::default();
        let mut watched = Watched { seen: progress.count() };
        assert!(!watched.moved(progress.count()));
        progress.made();
        progress.made();
        assert!(watched.moved(progress.count()));
        assert!(!watched.moved(progress.count()));
        progress.made();
        assert!(watched.moved(progress.count()));
    }
}
