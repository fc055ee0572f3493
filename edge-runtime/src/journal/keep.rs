//! Which of the recorded faces are kept.

use std::collections::VecDeque;

use expression_core::{Label, Record};

use super::{Config, Which};

/// Faces that one track may have kept by default, unless all are.
const PER_TRACK: u32 = 20;
/// Faces that are kept on one day by default, unless all are.
const PER_DAY: u32 = 500;
/// Most tracks that are remembered; the one that was seen longest ago is forgotten first.
const MAX_TRACKS: usize = 256;
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Chooses faces, and counts them against the quotas of a track and of a day in UTC.
#[derive(Debug)]
pub(super) struct Keeper {
    which: Which,
    per_track: u32,
    per_day: u32,
    /// The day since 1970, and the faces that were kept on it.
    day: (i64, u32),
    /// Tracks that were seen lately, the last one at the end.
    tracks: VecDeque<Track>,
}

#[derive(Debug, Clone, Copy)]
struct Track {
    number: u32,
    kept: u32,
    label: Option<Label>,
    kept_us: Option<u64>,
}

impl Keeper {
    /// A keeper by the settings; `None` if no faces are kept. `kept_today` were kept earlier on the day of `wall_us`.
    pub fn new(config: &Config, wall_us: i64, kept_today: u32) -> Option<Keeper> {
        let which = config.keep_faces_which;
        let or = |default: u32| if which == Which::All { u32::MAX } else { default };
        config.keep_faces.then(|| Keeper {
            which,
            per_track: config.keep_faces_per_track.unwrap_or(or(PER_TRACK)),
            per_day: config.keep_faces_per_day.unwrap_or(or(PER_DAY)),
            day: (wall_us.div_euclid(DAY_US), kept_today),
            tracks: VecDeque::new(),
        })
    }

    /// Whether the face of a record is kept. Asked once for each record that is written and has a face.
    pub fn admits(&mut self, record: &Record, wall_us: i64, monotonic_us: u64) -> bool {
        let place = self.tracks.iter().position(|track| track.number == record.track);
        let before = place.and_then(|place| self.tracks.remove(place));
        let mut track = before.unwrap_or(Track { number: record.track, kept: 0, label: None, kept_us: None });
        let wanted = match self.which {
            Which::All => true,
            Which::Unsure => record.scores.is_some() && record.label.is_none(),
            // A moment without a label is no change: the label before may come again.
            Which::Changes => record.label.is_some() && record.label != track.label,
            Which::Every(seconds) => track.kept_us.is_none_or(|kept| {
                // A time before that means that the source's clock began anew.
                monotonic_us < kept || (monotonic_us - kept) as f64 >= seconds * 1e6
            }),
        };
        track.label = record.label.or(track.label);
        let day = wall_us.div_euclid(DAY_US);
        if day != self.day.0 {
            self.day = (day, 0);
        }
        let kept = wanted && track.kept < self.per_track && self.day.1 < self.per_day;
        if kept {
            track.kept += 1;
            track.kept_us = Some(monotonic_us);
            self.day.1 += 1;
        }
        if self.tracks.len() == MAX_TRACKS {
            self.tracks.pop_front();
        }
        self.tracks.push_back(track);
        kept
    }

    /// The first instant of the day that a moment lies on, in microseconds of Unix time.
    pub fn midnight(wall_us: i64) -> i64 {
        wall_us.div_euclid(DAY_US).saturating_mul(DAY_US)
    }
}

#[cfg(test)]
mod tests {
    use expression_core::{Bounds, Quality};

    use super::*;

    const NOON: i64 = DAY_US * 20_000 + DAY_US / 2;

    fn keeper(which: &str, per_track: Option<u32>, per_day: Option<u32>) -> Keeper {
        let config = Config {
            keep_faces: true,
            keep_faces_which: which.parse().unwrap(),
            keep_faces_per_track: per_track,
            keep_faces_per_day: per_day,
            ..Config::default()
        };
        Keeper::new(&config, NOON, 0).unwrap()
    }

    fn record(track: u32, label: Option<Label>) -> Record {
        let bounds = Bounds { left: 0, top: 0, width: 64, height: 64 };
        Record { track, bounds, quality: Quality::Good, scores: Some([0; 8]), label, confidence: 100 }
    }

    /// The places of the kept faces among some of one track, a second apart.
    fn kept(keeper: &mut Keeper, labels: &[Option<Label>]) -> Vec<usize> {
        let admits = |(second, label): (usize, &Option<Label>)| {
            let us = second as i64 * 1_000_000;
            keeper.admits(&record(1, *label), NOON + us, us as u64).then_some(second)
        };
        labels.iter().enumerate().filter_map(admits).collect()
    }

    #[test]
    fn each_choice_keeps_what_it_says() {
        let (happy, sad) = (Some(Label::Happiness), Some(Label::Sadness));
        let labels = [happy, None, happy, sad, sad, None, happy];
        assert_eq!(kept(&mut keeper("all", None, None), &labels), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(kept(&mut keeper("unsure", None, None), &labels), [1, 5]);
        assert_eq!(kept(&mut keeper("changes", None, None), &labels), [0, 3, 6]);
        assert_eq!(kept(&mut keeper("every=2.5", None, None), &labels), [0, 3, 6]);
        let unread = Record { scores: None, ..record(1, None) };
        assert!(!keeper("unsure", None, None).admits(&unread, NOON, 0), "a face that cannot be read teaches nothing");
        assert!(Keeper::new(&Config::default(), NOON, 0).is_none());
    }

    #[test]
    fn quotas_hold_for_each_track_and_each_day() {
        assert_eq!(kept(&mut keeper("unsure", None, None), &[None; 50]).len(), PER_TRACK as usize);
        assert_eq!(kept(&mut keeper("all", Some(3), None), &[None; 50]).len(), 3);
        let mut keeper = keeper("all", None, Some(5));
        let mut on =
            |day: i64| (0..10).filter(|track| keeper.admits(&record(*track, None), NOON + day * DAY_US, 0)).count();
        assert_eq!([on(0), on(0), on(1)], [5, 0, 5]);
        let config = Config { keep_faces: true, keep_faces_per_day: Some(5), ..Config::default() };
        let mut resumed = Keeper::new(&config, NOON, 4).unwrap();
        assert_eq!((0..10).filter(|track| resumed.admits(&record(*track, None), NOON, 0)).count(), 1);
    }

    #[test]
    fn choices_are_read_and_written_and_memory_is_bounded() {
        for text in ["all", "unsure", "changes", "every=30", "every=0.5"] {
            assert_eq!(text.parse::<Which>().unwrap().to_string(), text);
        }
        for wrong in ["", "some", "every", "every=", "every=0", "every=-1", "every=nan", "every=1e9"] {
            assert!(wrong.parse::<Which>().is_err(), "{wrong}");
        }
        let mut keeper = keeper("changes", None, None);
        for track in 0..10_000 {
            keeper.admits(&record(track, None), NOON, 0);
        }
        assert_eq!(keeper.tracks.len(), MAX_TRACKS);
    }
}
