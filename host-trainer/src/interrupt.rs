//! Ctrl-C and SIGTERM: the run stops after the current step and can be resumed.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The run was told to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; resume from the last epoch with --resume")]
pub struct Interrupted;

/// From now on the first Ctrl-C or SIGTERM asks to stop, the second ends the program at once.
pub fn listen() {
    let handler = || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            // Not `process::exit`: it takes libtorch's globals away from the training that still runs.
            // SAFETY: it ends the process and touches nothing of it.
            unsafe { libc::_exit(expression_engine::error::FAILED.into()) };
        }
        eprintln!("stopping after this step; press Ctrl-C again to stop at once");
    };
    // It fails only if a handler is set already; that one stays.
    let _ = ctrlc::set_handler(handler);
}

/// An error once a stop was asked for.
///
/// # Errors
/// Returns [`Interrupted`] after the first Ctrl-C or SIGTERM.
pub fn check() -> Result<(), Interrupted> {
    if REQUESTED.load(Ordering::SeqCst) { Err(Interrupted) } else { Ok(()) }
}
