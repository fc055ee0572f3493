//! Pictures that are equal pixel by pixel, and files that are equal byte by byte.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use expression_engine::{Picture, files};
use rayon::prelude::*;

use super::Sample;

/// Files of which there is more than one with the same bytes.
#[derive(Debug, Default)]
pub struct EqualFiles(HashMap<PathBuf, String>);

impl EqualFiles {
    /// Compares files that have the same length; those that are empty or cannot be read are equal to none.
    pub fn among<'a>(paths: impl Iterator<Item = &'a Path>) -> EqualFiles {
        let mut of_length: HashMap<u64, Vec<&Path>> = HashMap::new();
        for path in paths {
            let length = path.metadata().map_or(0, |metadata| metadata.len());
            of_length.entry(length).or_default().push(path);
        }
        of_length.remove(&0);
        let alike: Vec<&Path> = of_length.into_values().filter(|paths| paths.len() > 1).flatten().collect();
        let digest = |path: &&Path| Some((path.to_path_buf(), files::sha256(&files::read(path).ok()?)));
        let mut digests: HashMap<PathBuf, String> = alike.par_iter().filter_map(digest).collect();
        let mut counts: HashMap<String, usize> = HashMap::new();
        digests.values().for_each(|digest| *counts.entry(digest.clone()).or_default() += 1);
        digests.retain(|_, digest| counts[digest] > 1);
        EqualFiles(digests)
    }

    /// What all files that are equal to this one have in common; `None` if there is no other.
    pub fn key(&self, path: &Path) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}

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

/// Returns the first of each group of equal pictures.
pub fn first_of_each(samples: Vec<Sample>) -> Vec<Sample> {
    groups(samples).into_iter().filter_map(|group| group.into_iter().next()).collect()
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
        assert_eq!(first_of_each(samples.clone()).len(), 3);
        let sizes: Vec<usize> = groups(samples).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
