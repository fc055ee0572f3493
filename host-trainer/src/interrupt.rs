//! Ctrl-C and SIGTERM: the run stops after the current step and can be resumed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use expression_engine::line::tell;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// When the program stops by itself.
static DEADLINE: Mutex<Option<Instant>> = Mutex::new(None);

/// The run was told to stop, or its time is up.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; --resume continues a training from its last epoch")]
pub struct Interrupted;

/// From now on the first Ctrl-C or SIGTERM asks to stop, the second ends the program at once.
pub fn listen() {
    let handler = || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            // Not `process::exit`: it takes libtorch's globals away from the training that still runs.
            // SAFETY: it ends the process and touches nothing of it.
            unsafe { libc::_exit(expression_engine::error::FAILED.into()) };
        }
        tell("stopping after this step; press Ctrl-C again to stop at once");
    };
    // It fails only if a handler is set already; that one stays.
    let _ = ctrlc::set_handler(handler);
}

/// From `deadline` on, [`check`] asks to stop; with `None` only Ctrl-C and SIGTERM do.
pub fn end_by(deadline: Option<Instant>) {
    *DEADLINE.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
}

/// An error once a stop was asked for.
///
/// # Errors
/// Returns [`Interrupted`] after the first Ctrl-C or SIGTERM, and when time is up.
pub fn check() -> Result<(), Interrupted> {
    let deadline = *DEADLINE.lock().unwrap_or_else(PoisonError::into_inner);
    let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
    if is_over { Err(Interrupted) } else { check_signal() }
}

/// An error once a stop was asked for by a signal. For steps before the training, which a deadline does not cut short.
///
/// # Errors
/// Returns [`Interrupted`] after the first Ctrl-C or SIGTERM.
pub fn check_signal() -> Result<(), Interrupted> {
    if REQUESTED.load(Ordering::SeqCst) { Err(Interrupted) } else { Ok(()) }
}
