//! A stretch of the wall clock.

/// From `since` up to, and without, `until`; both in Unix time in microseconds. The default is all time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first instant.
    pub since_us: i64,
    /// The first instant after it.
    pub until_us: i64,
}

impl Default for Range {
    fn default() -> Range {
        Range { since_us: i64::MIN, until_us: i64::MAX }
    }
}

impl Range {
    /// Whether it has both ends open.
    pub fn is_all(&self) -> bool {
        *self == Range::default()
    }

    /// The first and the last minute that it touches.
    pub(super) fn minutes(&self) -> (i64, i64) {
        (self.since_us.div_euclid(60_000_000), self.until_us.saturating_sub(1).div_euclid(60_000_000))
    }
}
