//! Sees what happens to the wall clock.

use expression_core::Stamp;

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
}
