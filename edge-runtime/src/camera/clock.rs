//! Stamps of frames.

use std::time::Duration;

use expression_core::Stamp;

pub use crate::clock::now;

/// `stamp` and `later`.
pub fn after(stamp: Stamp, later: Duration) -> Stamp {
    let nanoseconds = u64::try_from(later.as_nanos()).unwrap_or(u64::MAX);
    Stamp {
        monotonic_ns: stamp.monotonic_ns.saturating_add(nanoseconds),
        wall_us: stamp.wall_us.saturating_add_unsigned(nanoseconds / 1000),
    }
}

/// No frame is older when it is read, in nanoseconds.
const MAX_AGE: u64 = 10_000_000_000;

/// The stamp of what happened at `monotonic_ns`, seen from `now`; `now` itself if that is zero, in the future or long past:
/// the driver leaves it out, or it is of another clock, such as one that begins when the camera is opened.
pub fn captured(monotonic_ns: u64, now: Stamp) -> Stamp {
    match now.monotonic_ns.checked_sub(monotonic_ns) {
        Some(age) if monotonic_ns > 0 && age <= MAX_AGE => {
            Stamp { monotonic_ns, wall_us: now.wall_us.saturating_sub_unsigned(age / 1000) }
        }
        _ => now,
    }
}

/// Keeps the stamps of a source from going back: a camera that is opened again may count its time anew, or tell the time of
/// some frames only.
#[derive(Debug, Default)]
pub struct Forward {
    last_ns: u64,
}

impl Forward {
    /// This stamp, or where it lies before the last one, the moment of that one.
    pub fn stamp(&mut self, stamp: Stamp) -> Stamp {
        let late = Duration::from_nanos(self.last_ns.saturating_sub(stamp.monotonic_ns));
        let stamp = after(stamp, late);
        self.last_ns = stamp.monotonic_ns;
        stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_later_by_both_clocks() {
        let first = now();
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
        // The camera's own clock, some seconds after it was opened.
        assert_eq!(captured(3_000_000_000, now), now);
    }

    #[test]
    fn stamps_never_go_back() {
        let at = |ms: u64| Stamp { monotonic_ns: ms * 1_000_000, wall_us: 5_000_000 + ms as i64 * 1000 };
        let mut forward = Forward::default();
        let stamps = [100, 90, 100, 140, 0, 150].map(|ms| forward.stamp(at(ms)));
        assert_eq!(stamps, [100, 100, 100, 140, 140, 150].map(at));
    }
}
