//! Limits the records that are written to a number per second for each track.

/// Limits the rate of each track by the frames' own time, so that a video that is read fast keeps as many records as a camera.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// Microseconds between records; 0 lets all of them through.
    interval_us: u64,
    /// Tracks seen lately, each with the time from which its next record passes.
    due: Vec<(u32, u64)>,
}

/// Most tracks that are remembered; beyond that those that are overdue are forgotten.
const MAX_TRACKS: usize = 64;

impl RateLimit {
    pub fn new(max_records_per_second: f32) -> RateLimit {
        // Infinity gives 0: every record.
        let interval_us = (1e6 / f64::from(max_records_per_second)).round();
        RateLimit { interval_us: interval_us as u64, due: Vec::new() }
    }

    /// Whether a record of this track at this monotonic time may be written.
    pub fn admits(&mut self, track: u32, time_us: u64) -> bool {
        if self.interval_us == 0 {
            return true;
        }
        let interval = self.interval_us;
        if let Some((_, due)) = self.due.iter_mut().find(|(known, _)| *known == track) {
            // A time far before what is due means that the source's clock began anew.
            if time_us < *due && time_us.saturating_add(2 * interval) > *due {
                return false;
            }
            // Counted on from what was due, or frames that come at odd intervals would lower the rate.
            let next = due.saturating_add(interval);
            let behind = next <= time_us || time_us < *due;
            *due = if behind { time_us.saturating_add(interval) } else { next };
            return true;
        }
        if self.due.len() >= MAX_TRACKS {
            self.due.retain(|(_, due)| *due > time_us);
        }
        if self.due.len() < MAX_TRACKS {
            self.due.push((track, time_us.saturating_add(interval)));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(rate: f32, frames_per_second: u64, seconds: u64) -> usize {
        let mut limit = RateLimit::new(rate);
        (0..seconds * frames_per_second).filter(|frame| limit.admits(1, frame * 1_000_000 / frames_per_second)).count()
    }

    #[test]
    fn each_track_keeps_to_the_rate_whatever_the_frame_rate() {
        for (rate, frames_per_second, expected) in
            [(5.0, 30, 50), (5.0, 5, 50), (5.0, 7, 50), (5.0, 3, 30), (0.5, 30, 5), (f32::INFINITY, 30, 300)]
        {
            let count = kept(rate, frames_per_second, 10);
            assert!(count.abs_diff(expected) <= 1, "{rate} of {frames_per_second}: {count}");
        }
    }

    #[test]
    fn tracks_do_not_share_a_rate_and_a_clock_that_begins_anew_does_not_silence_them() {
        let mut limit = RateLimit::new(5.0);
        assert!(limit.admits(1, 1_000_000) && limit.admits(2, 1_000_000));
        assert!(!limit.admits(1, 1_100_000) && limit.admits(3, 1_100_000));
        assert!(limit.admits(1, 0) && !limit.admits(1, 1000));
    }

    #[test]
    fn memory_of_tracks_is_bounded() {
        let mut limit = RateLimit::new(5.0);
        for track in 0..10_000 {
            assert!(limit.admits(track, u64::from(track) * 1000));
        }
        assert!(limit.due.len() <= MAX_TRACKS);
    }
}
