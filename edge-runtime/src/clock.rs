//! The two clocks of a [`Stamp`], and whether the wall clock can be trusted.

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

/// Whether the kernel says that something, such as NTP, keeps the wall clock right. A board without a battery clock
/// starts with the time of its last shutdown, so records made before this is true have times to be doubted.
pub fn is_synchronised() -> bool {
    // SAFETY: all-zero bytes are a valid timex, and `modes: 0` asks without changing anything.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let answer = unsafe { libc::adjtimex(&mut state) };
    (0..libc::TIME_ERROR).contains(&answer) && state.status & libc::STA_UNSYNC == 0
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
}
