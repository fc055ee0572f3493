//! The two clocks of a [`Stamp`], and whether the wall clock can be trusted.

use std::io;
use std::path::Path;
use std::sync::Once;
use std::time::{SystemTime, UNIX_EPOCH};

use expression_core::Stamp;
use rustix::time::{ClockId, clock_gettime};

/// Returns the present by both clocks.
pub fn now() -> Stamp {
    Stamp { monotonic_ns: monotonic_ns(), wall_us: wall_us() }
}

/// `CLOCK_MONOTONIC` in nanoseconds: it stands still while the board sleeps and begins anew at each boot.
pub fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// Unix time in microseconds.
pub fn wall_us() -> i64 {
    // A clock that was never set may stand before 1970.
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    }
}

/// The file by which systemd-timesyncd says that it has set the clock since the board started.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";

/// Whether something, such as NTP, keeps the wall clock right. The kernel knows; a service that may not ask it (`ProtectClock=`)
/// goes by systemd-timesyncd's word. A board without a battery clock starts with the time of its last shutdown, so records made
/// before this is true have times to be doubted.
pub fn is_synchronised() -> bool {
    known(kernel_says(), Path::new(TIMESYNCD))
}

/// What the kernel says; an error if it may not be asked.
fn kernel_says() -> io::Result<bool> {
    // SAFETY: all-zero bytes are a valid timex, and `modes: 0` asks without changing anything.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    match unsafe { libc::adjtimex(&mut state) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok((0..libc::TIME_ERROR).contains(&answer) && state.status & libc::STA_UNSYNC == 0),
    }
}

fn known(kernel: io::Result<bool>, timesyncd: &Path) -> bool {
    static SAID: Once = Once::new();
    kernel.unwrap_or_else(|error| {
        if !timesyncd.parent().is_some_and(Path::is_dir) {
            SAID.call_once(|| {
                tracing::warn!(
                    "cannot tell whether the clock is synchronised ({error}), and records will say that it is not; \
                     docs/hardware.md explains how to allow it"
                );
            });
        }
        timesyncd.exists()
    })
}

/// The kernel's name for this boot; empty if it has none.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_go_forward() {
        let (before, after) = (now(), now());
        assert!(after.monotonic_ns >= before.monotonic_ns && before.wall_us > 0);
    }

    #[test]
    fn without_the_kernel_the_time_service_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("synchronized");
        let forbidden = || Err(io::ErrorKind::PermissionDenied.into());
        assert!(known(Ok(true), &marker) && !known(Ok(false), &marker) && !known(forbidden(), &marker));
        std::fs::write(&marker, "").unwrap();
        assert!(known(forbidden(), &marker) && !known(Ok(false), &marker));
    }
}
