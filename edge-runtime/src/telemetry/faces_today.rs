//! How many faces came into view today.

use std::collections::HashSet;
use std::sync::LazyLock;

use jiff::tz::TimeZone;

/// The board's local time. It is read once, before a run gives up the right to read its files.
pub static ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// Faces that came into view on one day of the board's local time.
#[derive(Debug, Clone, Default)]
pub struct FacesToday {
    day: jiff::civil::Date,
    count: u64,
    /// Tracks that are in view. Each is counted once, when it comes.
    in_view: HashSet<u32>,
}

impl FacesToday {
    /// Takes in the tracks of a frame.
    pub fn see(&mut self, tracks: impl Iterator<Item = u32> + Clone) {
        if self.in_view.is_empty() && tracks.clone().next().is_none() {
            return;
        }
        let came = tracks.clone().filter(|track| !self.in_view.contains(track)).count();
        if came > 0 {
            self.turn_over();
            self.count += came as u64;
        }
        self.in_view.clear();
        self.in_view.extend(tracks);
    }

    /// How many there were today.
    pub fn count(&self) -> u64 {
        if self.day == today() { self.count } else { 0 }
    }

    fn turn_over(&mut self) {
        let today = today();
        if self.day != today {
            (self.day, self.count) = (today, 0);
        }
    }
}

fn today() -> jiff::civil::Date {
    ZONE.to_datetime(jiff::Timestamp::now()).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_counts_when_it_comes_not_while_it_stays() {
        let mut faces = FacesToday::default();
        assert_eq!(faces.count(), 0);
        for tracks in [vec![1], vec![1, 2], vec![1, 2], vec![], vec![3], vec![3]] {
            faces.see(tracks.into_iter());
        }
        assert_eq!(faces.count(), 3);
        faces.day = jiff::civil::date(2020, 1, 1);
        assert_eq!(faces.count(), 0, "yesterday's do not count");
        faces.see([3, 4].into_iter());
        assert_eq!(faces.count(), 1);
    }
}
