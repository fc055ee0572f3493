//! The scores of the last minutes, for the plot.

use std::collections::VecDeque;

use expression_core::{Label, Record};

/// Seconds that the history holds.
pub const SECONDS: usize = 900;
/// Most tracks that are held for one second.
const MAX_TRACKS: usize = 8;

/// One track in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Unix time in seconds.
    pub second: i64,
    /// Number of the track.
    pub track: u32,
    /// Its last scores in that second.
    pub scores: [u8; Label::COUNT],
}

/// The points, in ascending order of time.
#[derive(Debug, Default)]
pub struct History(VecDeque<Point>);

impl History {
    /// Takes in the faces of a frame that was captured at `second`. Faces that cannot be read leave a gap.
    pub fn add(&mut self, second: i64, faces: &[Record]) {
        // If the clock is set back, for example on first contact with a time server, the plot starts over.
        if self.0.back().is_some_and(|last| last.second > second) {
            self.0.clear();
        }
        while self.0.front().is_some_and(|first| second.saturating_sub(first.second) >= SECONDS as i64) {
            self.0.pop_front();
        }
        for face in faces {
            let Some(scores) = face.scores else { continue };
            let point = Point { second, track: face.track, scores };
            let known = self.0.iter().rev().take_while(|point| point.second == second).count();
            let from = self.0.len() - known;
            match self.0.range_mut(from..).find(|known| known.track == face.track) {
                Some(known) => *known = point,
                None if known < MAX_TRACKS => self.0.push_back(point),
                None => {}
            }
        }
    }

    /// The points, oldest first: at most [`SECONDS`] times [`MAX_TRACKS`].
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expression_core::{Bounds, Quality};

    fn face(track: u32, score: u8) -> Record {
        let (bounds, quality) = (Bounds::default(), Quality::Good);
        Record { track, bounds, quality, scores: Some([score; 8]), label: None, confidence: 0 }
    }

    #[test]
    fn a_second_holds_the_last_scores_of_each_track_and_old_seconds_go() {
        let mut history = History::default();
        history.add(10, &[face(1, 1), face(2, 2)]);
        history.add(10, &[face(1, 3), Record { scores: None, ..face(2, 9) }]);
        history.add(11, &[face(1, 4)]);
        let seen: Vec<_> = history.points().map(|point| (point.second, point.track, point.scores[0])).collect();
        assert_eq!(seen, [(10, 1, 3), (10, 2, 2), (11, 1, 4)]);
        history.add(10 + SECONDS as i64, &[face(3, 5)]);
        assert_eq!(history.points().map(|point| point.second).collect::<Vec<_>>(), [11, 10 + SECONDS as i64]);
        history.add(50, &[face(3, 5)]);
        assert_eq!(history.points().map(|point| point.second).collect::<Vec<_>>(), [50]);
    }

    #[test]
    fn memory_is_bounded_however_many_faces_and_seconds_there_are() {
        let mut history = History::default();
        let crowd: Vec<_> = (1..=100).map(|track| face(track, 1)).collect();
        (0..2_000).for_each(|second| history.add(second, &crowd));
        assert_eq!(history.points().count(), SECONDS * MAX_TRACKS);
    }
}
