//! The clock: records with a wrong time cannot be told from others later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Finding;

/// 2026-01-01, Unix time in seconds: no clock of a board that runs this program is right and shows less.
const BUILT_AFTER: Duration = Duration::from_secs(1_767_225_600);

/// Returns the finding about a clock that shows `now`.
pub fn clock(is_synchronised: bool, now: SystemTime) -> Finding {
    let advice = "look at timedatectl, and give the board a network or a battery-backed clock";
    if now.duration_since(UNIX_EPOCH).is_ok_and(|now| now < BUILT_AFTER) || now < UNIX_EPOCH {
        return Finding::fail("clock", "it shows a year before 2026", advice);
    }
    if is_synchronised {
        Finding::ok("clock", "synchronised")
    } else {
        Finding::warn("clock", "not synchronised", advice)
    }
}
