//! Pictures that are equal pixel by pixel.

use std::collections::{HashMap, HashSet};

use expression_engine::Picture;

use super::Sample;

/// What makes two pictures the same.
type Key<'a> = (usize, usize, &'a [u8]);

fn key(picture: &Picture) -> Key<'_> {
    (picture.width, picture.channels, &picture.data)
}

/// Says of each of `samples` whether its picture is among those of `others`.
pub fn found_in(samples: &[Sample], others: &[Sample]) -> Vec<bool> {
    let known: HashSet<Key> = others.iter().map(|sample| key(&sample.picture)).collect();
    samples.iter().map(|sample| known.contains(&key(&sample.picture))).collect()
}

/// Returns how many are copies.
pub fn count(copies: &[bool]) -> usize {
    copies.iter().filter(|copy| **copy).count()
}

/// Returns the samples that are not copies.
pub fn without(samples: Vec<Sample>, copies: &[bool]) -> Vec<Sample> {
    samples.into_iter().zip(copies).filter(|(_, copy)| !**copy).map(|(sample, _)| sample).collect()
}

/// Returns the samples in groups of equal pictures, in the order of each group's first.
pub fn groups(samples: Vec<Sample>) -> Vec<Vec<Sample>> {
    let mut places: HashMap<Key, usize> = HashMap::new();
    let of: Vec<usize> = samples
        .iter()
        .map(|sample| {
            let next = places.len();
            *places.entry(key(&sample.picture)).or_insert(next)
        })
        .collect();
    let mut groups = vec![Vec::new(); places.len()];
    samples.into_iter().zip(of).for_each(|(sample, group)| groups[group].push(sample));
    groups
}

#[cfg(test)]
mod tests {
    use expression_core::Label;

    use super::*;

    #[test]
    fn equal_pictures_are_found_and_grouped() {
        let sample = |width: usize, data: [u8; 4]| {
            let picture = Picture { width, height: 4 / width, channels: 1, data: data.into() };
            Sample::labelled(format!("{width} {data:?}"), None, picture, Label::Neutral)
        };
        // The same bytes in another shape are another picture.
        let samples = vec![sample(2, [1; 4]), sample(2, [2; 4]), sample(4, [1; 4]), sample(2, [1; 4])];
        let copies = found_in(&samples, &samples[2..]);
        assert_eq!(copies, [true, false, true, true]);
        assert_eq!(count(&copies), 3);
        assert_eq!(without(samples.clone(), &copies).len(), 1);
        let sizes: Vec<usize> = groups(samples).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
