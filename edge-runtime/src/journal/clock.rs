//! The two clocks of a record, and whether the wall clock can be trusted.

use std::time::{SystemTime, UNIX_EPOCH};

use expression_core::Stamp;

/// Now, by both clocks.
pub fn now() -> Stamp {
    Stamp { monotonic_ns: monotonic_ns(), wall_us: wall_us() }
}

/// `CLOCK_MONOTONIC` in nanoseconds: it stands still while the board sleeps and begins anew at each boot.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the timespec that it is given and to nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Unix time in microseconds.
pub fn wall_us() -> i64 {
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
    answer != -1 && answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0
}

/// The kernel's name for this boot; empty where it has none.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Sees when the wall clock is set, and when it becomes synchronised or stops being so.
#[derive(Debug)]
pub(super) struct Watch {
    synchronised: bool,
    /// Wall clock minus monotonic clock, in microseconds.
    offset_us: i64,
}

/// Steps below this are what NTP slews, or a late look at one of the clocks.
const STEP_US: i64 = 500_000;

impl Watch {
    pub fn new(synchronised: bool, now: Stamp) -> Watch {
        Watch { synchronised, offset_us: offset_us(now) }
    }

    /// What changed since the last look: whether the clock is synchronised now, and by how many milliseconds it was
    /// set forward.
    pub fn change(&mut self, synchronised: bool, now: Stamp) -> Option<(bool, i64)> {
        let step = offset_us(now).saturating_sub(self.offset_us);
        let stepped = step.saturating_abs() >= STEP_US;
        let changed = stepped || synchronised != self.synchronised;
        *self = Watch { synchronised, offset_us: offset_us(now) };
        changed.then_some((synchronised, if stepped { step / 1000 } else { 0 }))
    }
}

fn offset_us(now: Stamp) -> i64 {
    now.wall_us.saturating_sub(i64::try_from(now.monotonic_ns / 1000).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_and_a_synchronisation_are_seen_and_a_drift_is_not() {
        let at = |seconds: i64, wall: i64| Stamp { monotonic_ns: seconds as u64 * 1_000_000_000, wall_us: wall };
        let mut watch = Watch::new(false, at(0, 1_000_000));
        assert_eq!(watch.change(false, at(10, 11_000_400)), None);
        assert_eq!(watch.change(true, at(20, 21_000_400)), Some((true, 0)));
        assert_eq!(watch.change(true, at(30, 91_000_400)), Some((true, 60_000)));
        assert_eq!(watch.change(true, at(40, 41_000_400)), Some((true, -60_000)));
        assert_eq!(watch.change(true, at(50, 51_000_400)), None);
        assert_eq!(watch.change(false, at(60, 61_000_400)), Some((false, 0)));
    }

    #[test]
    fn the_clocks_go_forward() {
        let (before, after) = (now(), now());
        assert!(after.monotonic_ns >= before.monotonic_ns && before.wall_us > 0);
    }
}
