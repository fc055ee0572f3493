//! Now, by the two clocks of a [`Stamp`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use expression_core::Stamp;
use rustix::time::{ClockId, clock_gettime};

/// The stamp of something that happens now.
pub fn now() -> Stamp {
    let time = clock_gettime(ClockId::Monotonic);
    let monotonic_ns = (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64);
    // A clock that was never set may stand before 1970.
    let wall_us = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_micros() as i64,
        Err(before) => -(before.duration().as_micros() as i64),
    };
    Stamp { monotonic_ns, wall_us }
}

/// `stamp` and `later`.
pub fn after(stamp: Stamp, later: Duration) -> Stamp {
    let nanoseconds = u64::try_from(later.as_nanos()).unwrap_or(u64::MAX);
    Stamp {
        monotonic_ns: stamp.monotonic_ns.saturating_add(nanoseconds),
        wall_us: stamp.wall_us.saturating_add_unsigned(nanoseconds / 1000),
    }
}

/// The stamp of what happened at `monotonic_ns`, seen from `now`; `now` itself where that is zero or in the future: the
/// driver leaves it out, or it is of another clock.
pub fn captured(monotonic_ns: u64, now: Stamp) -> Stamp {
    match now.monotonic_ns.checked_sub(monotonic_ns) {
        Some(age) if monotonic_ns > 0 => {
            Stamp { monotonic_ns, wall_us: now.wall_us.saturating_sub_unsigned(age / 1000) }
        }
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_run_forwards_together() {
        let (first, second) = (now(), now());
        assert!(second.monotonic_ns >= first.monotonic_ns);
        let later = after(first, Duration::from_micros(1500));
        assert_eq!(later.monotonic_ns - first.monotonic_ns, 1_500_000);
        assert_eq!(later.wall_us - first.wall_us, 1500);
        after(first, Duration::MAX);
    }

    #[test]
    fn capture_times_that_make_no_sense_become_now() {
        let now = Stamp { monotonic_ns: 60_000_000_000, wall_us: 1_000_000 };
        let good = captured(59_900_000_000, now);
        assert_eq!(good, Stamp { monotonic_ns: 59_900_000_000, wall_us: 900_000 });
        assert_eq!(captured(0, now), now);
        assert_eq!(captured(61_000_000_000, now), now);
    }
}
