//! A room simulated by photographs: of a data set's test part, those of one look are the room, the others the old test.

use std::fmt;

use expression_core::FaceInput;

use crate::dataset::{DataSet, Part, Sample, shuffled};
use crate::error::Error;
use crate::evaluate::disturb::Disturbance;
use crate::random::rng;

/// One of so many photographs is of the look.
const SHARE: usize = 10;
/// Side in pixels through which the pictures of a far camera go.
const FAR: u8 = 16;
/// The fewest photographs of the look that are left to test on.
const MIN_TESTED: usize = 50;
/// Seed of what does not depend on the study's seeds: which photographs are far away.
const SEED: u64 = 0x0100_C0DE;

/// What the photographs of the room have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Look {
    /// The darkest tenth.
    Darkest,
    /// A tenth drawn at random, reduced to 16 pixels a side: a camera far away.
    Far,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Look::Darkest => f.write_str("the darkest tenth"),
            Look::Far => write!(f, "a tenth through {FAR} px"),
        }
    }
}

/// Photographs of one look, and those that are not.
pub struct Room {
    /// Part and look, for reports.
    pub name: String,
    source: String,
    samples: Vec<Sample>,
}

impl Look {
    /// Splits a part into the room and the old test. Photographs that are in the training part too are left out of both.
    ///
    /// # Errors
    /// Returns an error if a picture is empty.
    pub fn split(self, part: Part, input: FaceInput) -> crate::Result<(Room, Part)> {
        let Part { name, source, samples, skipped, copies } = part;
        let of_training = |place: usize| copies.get(place).copied().unwrap_or(false);
        let samples: Vec<Sample> = samples
            .into_iter()
            .enumerate()
            .filter(|(place, _)| !of_training(*place))
            .map(|(_, sample)| sample)
            .collect();
        let mut ordered = match self {
            Look::Darkest => {
                let mut samples = samples;
                samples.sort_by_cached_key(|sample| brightness(&sample.picture.data));
                samples
            }
            Look::Far => shuffled(samples, SEED),
        };
        let others = ordered.split_off(ordered.len() / SHARE);
        if self == Look::Far {
            for (number, sample) in ordered.iter_mut().enumerate() {
                let unit = sample.picture.width.min(sample.picture.height) as f32 / input.aligned as f32;
                let mut rng = rng(SEED, "far", number as u64);
                sample.picture = Disturbance::Through(FAR.into()).of(&sample.picture, unit, input.aligned, &mut rng)?;
            }
        }
        let room = Room { name: format!("{self} of {name}"), source: source.clone(), samples: ordered };
        let old = Part { name: format!("the rest of {name}"), source, samples: others, skipped, copies: Vec::new() };
        Ok((room, old))
    }
}

impl Room {
    /// `size` photographs of the room that are labelled, a fifth of them, but at most `calibration`, held out; the rest of the room
    /// is the test.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if too few are left for the test.
    pub fn data(&self, size: usize, calibration: usize, seed: u64) -> crate::Result<DataSet> {
        let all = self.samples.len();
        if size + MIN_TESTED > all {
            let what = format!("{all} photographs, of which {MIN_TESTED} or more are for the test");
            return Err(Error::BadInput(format!("{}: {what}; give fewer --samples, or more photographs", self.name)));
        }
        let mut train = shuffled(self.samples.clone(), seed);
        let test = train.split_off(size);
        let calibration = train.split_off(size - calibration.min(size / 5));
        DataSet {
            name: format!("{} (seed {seed})", self.name),
            source: self.source.clone(),
            train,
            calibration,
            test,
            skipped: Vec::new(),
        }
        .checked()
    }
}

/// Mean of all values, in thousandths of a grey level.
fn brightness(values: &[u8]) -> u64 {
    1000 * values.iter().map(|value| u64::from(*value)).sum::<u64>() / values.len().max(1) as u64
}

#[cfg(test)]
mod tests {
    use expression_core::Label;
    use expression_engine::Picture;

    use super::*;

    fn part() -> Part {
        let sample = |number: usize| {
            // Stripes of one pixel, which no camera sees from afar; the later, the darker.
            let data = (0..48 * 48).map(|place| (place % 2 * (1000 - number) / 4) as u8).collect();
            let picture = Picture { width: 48, height: 48, channels: 1, data };
            Sample::labelled(number.to_string(), None, picture, Label::Neutral)
        };
        let samples: Vec<Sample> = (0..800).map(sample).collect();
        let copies = (0..800).map(|number| number == 799).collect();
        Part { name: "part".into(), source: String::new(), samples, skipped: Vec::new(), copies }
    }

    fn names(samples: &[Sample]) -> Vec<usize> {
        samples.iter().map(|sample| sample.name.parse().unwrap()).collect()
    }

    #[test]
    fn the_darkest_tenth_is_the_room_and_its_parts_do_not_meet() {
        let input = FaceInput { channels: 1, aligned: 48, size: 48 };
        let (room, old) = Look::Darkest.split(part(), input).unwrap();
        assert_eq!((room.samples.len(), old.samples.len()), (79, 720), "the copy is in neither");
        // Four in a row are equally dark.
        let [room_names, old_names] = [names(&room.samples), names(&old.samples)];
        assert!(room_names.iter().all(|number| *number >= 717) && old_names.iter().all(|number| *number <= 720));
        let data = room.data(25, 64, 3).unwrap();
        assert_eq!([data.train.len(), data.calibration.len(), data.test.len()], [20, 5, 54]);
        let mut all = names(&[data.train, data.calibration, data.test].concat());
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 79);
        let message = room.data(30, 64, 3).unwrap_err().to_string();
        assert!(message.contains("79 photographs"), "{message}");
    }

    #[test]
    fn a_far_camera_sees_no_detail() {
        let input = FaceInput { channels: 1, aligned: 48, size: 48 };
        let (room, old) = Look::Far.split(part(), input).unwrap();
        let spread = |sample: &Sample| {
            let data = &sample.picture.data;
            data.iter().max().unwrap() - data.iter().min().unwrap()
        };
        assert!(room.samples.iter().all(|sample| sample.picture.width == 48 && spread(sample) < 60));
        assert!(old.samples.iter().all(|sample| spread(sample) == sample.picture.data[1]));
    }
}
