//! The service `edge-runtime` on a guest with systemd.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::guest::Guest;

/// How long the service may take to start.
const START: Duration = Duration::from_secs(180);

/// Waits until the service is active.
///
/// # Errors
/// Returns an error with the end of the service's log if it does not become active in time.
pub fn await_active(guest: &mut Guest) -> Result<()> {
    let begun = Instant::now();
    loop {
        let (_, state) = guest.attempt("systemctl is-active edge-runtime")?;
        if state.trim() == "active" {
            return Ok(());
        }
        if begun.elapsed() > START {
            let (_, log) = guest.attempt("journalctl -u edge-runtime --no-pager | tail -15")?;
            bail!("the service is {}: {}", state.trim(), log.trim().replace('\n', "; "));
        }
        sleep(Duration::from_secs(1));
    }
}

/// Returns the id of the service's process, 0 if there is none.
///
/// # Errors
/// Returns an error if the guest does not answer.
pub fn process_id(guest: &mut Guest) -> Result<u32> {
    let output = guest.run("systemctl show -p MainPID --value edge-runtime")?;
    Ok(output.trim().parse().unwrap_or(0))
}
