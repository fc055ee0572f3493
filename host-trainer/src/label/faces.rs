//! Which faces of a folder are to be labelled.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use expression_core::Label;
use expression_engine::{Picture, files};
use rayon::prelude::*;

use crate::dataset::listing;
use crate::dataset::track;
use crate::error::{Context, Error};

/// The table that `edge-runtime log faces` writes beside the pictures.
pub const LOGGED: &str = "faces.csv";
/// Side of the thumbnails by which duplicates are found, in pixels.
const THUMBNAIL: usize = 16;
/// Mean difference of two thumbnails, in grey levels, below which pictures of one track are the same for a person.
const MAX_DUPLICATE: f32 = 4.0;

/// A face to be labelled.
#[derive(Debug, Clone, PartialEq)]
pub struct Face {
    /// Its number in URLs: the first digits of the hash of its name, so that it stays the same if files come and go.
    pub id: String,
    /// Its path within the folder, with `/` between the parts.
    pub name: String,
    /// The track that it was kept from, if its name says so.
    pub track: Option<String>,
    /// What the board's model said of it when it was kept: a probability for each label that the model has.
    pub logged: Vec<(Label, f32)>,
    /// How many pictures of the same track look the same and are not shown.
    pub duplicates: usize,
}

/// The faces of a folder in the order in which they are shown.
#[derive(Debug)]
pub struct Faces {
    folder: PathBuf,
    faces: Vec<Face>,
    places: HashMap<String, usize>,
}

impl Faces {
    /// Refuses a folder without pictures, before a log of votes is made in it.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be listed or has no pictures.
    pub fn require_any(folder: &Path) -> crate::Result<()> {
        if listing::pictures_below(folder)?.0.is_empty() {
            let advice = "give a folder of face pictures, such as `edge-runtime log faces` writes";
            return Err(Error::BadInput(format!("{}: no pictures; {advice}", folder.display())));
        }
        Ok(())
    }

    /// Lists the pictures of a folder and of the folders in it: in the order of `faces.csv` if there is one, then by name.
    /// Of pictures of one track that look the same the first is listed. `voted` says which faces have a vote already: they
    /// stay, whatever they look like.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be listed or `faces.csv` does not parse.
    pub fn read(folder: &Path, voted: impl Fn(&str) -> bool) -> crate::Result<Faces> {
        let (paths, mut left_out) = listing::pictures_below(folder)?;
        let name = |path: &PathBuf| path.strip_prefix(folder).ok()?.to_str().map(str::to_owned);
        let mut names: Vec<String> = paths.iter().filter_map(name).collect();
        left_out.add("whose name is not UTF-8 (rename them)", paths.len() - names.len());
        // The tables and the log of votes that lie here.
        left_out.forget(&[".csv", ".jsonl"]);
        left_out.warn(folder);
        let logged = read_logged(folder)?;
        names.sort_by_cached_key(|name| (logged.get(name).map_or(usize::MAX, |(place, _)| *place), name.clone()));
        let faces = names.into_iter().map(|name| Face {
            id: id_of(&name),
            track: track::of(&name),
            logged: logged.get(&name).map(|(_, scores)| scores.clone()).unwrap_or_default(),
            duplicates: 0,
            name,
        });
        let faces = without_duplicates(folder, faces.collect(), voted);
        let places = faces.iter().enumerate().map(|(place, face)| (face.id.clone(), place)).collect();
        Ok(Faces { folder: folder.to_owned(), faces, places })
    }

    /// All faces.
    pub fn all(&self) -> &[Face] {
        &self.faces
    }

    /// The face of an id.
    pub fn get(&self, id: &str) -> Option<&Face> {
        self.places.get(id).and_then(|place| self.faces.get(*place))
    }

    /// The face of a file.
    pub fn named(&self, name: &str) -> Option<&Face> {
        self.get(&id_of(name))
    }

    /// Where the picture of a face lies.
    pub fn path(&self, face: &Face) -> PathBuf {
        self.folder.join(&face.name)
    }
}

fn id_of(name: &str) -> String {
    files::sha256(name.as_bytes()).chars().take(16).collect()
}

/// The place of a face in the table, and the probabilities that were logged with it.
type Logged = (usize, Vec<(Label, f32)>);

/// Place and scores of each face in `faces.csv`; empty if there is none. Columns that are not needed may be missing.
fn read_logged(folder: &Path) -> crate::Result<HashMap<String, Logged>> {
    let path = folder.join(LOGGED);
    if !path.exists() {
        return Ok(HashMap::new());
    }
    let mut table = csv::Reader::from_reader(
        files::open_regular(&path).with_context(|| format!("cannot read {}", path.display()))?,
    );
    let columns = table.headers()?.clone();
    let Some(file) = columns.iter().position(|column| column == "file") else {
        let advice = "`edge-runtime log faces` writes it; remove it to label without it";
        return Err(Error::BadInput(format!("{}: no column \"file\"; {advice}", path.display())));
    };
    let labels: Vec<(usize, Label)> =
        columns.iter().enumerate().filter_map(|(at, column)| Some((at, Label::from_name(column)?))).collect();
    let mut logged = HashMap::new();
    for (place, record) in table.records().enumerate() {
        let record = record?;
        let score = |(at, label): &(usize, Label)| {
            let score: f32 = record.get(*at)?.parse().ok()?;
            (0.0..=1.0).contains(&score).then_some((*label, score))
        };
        let scores = labels.iter().filter_map(score).collect();
        logged.insert(record.get(file).unwrap_or_default().to_owned(), (place, scores));
    }
    Ok(logged)
}

/// The faces without those that look like an earlier one of their track.
fn without_duplicates(folder: &Path, faces: Vec<Face>, voted: impl Fn(&str) -> bool) -> Vec<Face> {
    let mut by_track: BTreeMap<&str, usize> = BTreeMap::new();
    for track in faces.iter().filter_map(|face| face.track.as_deref()) {
        *by_track.entry(track).or_default() += 1;
    }
    let compared: Vec<bool> =
        faces.iter().map(|face| face.track.as_deref().is_some_and(|track| by_track[track] > 1)).collect();
    let thumbnails: Vec<Option<Vec<f32>>> = faces
        .par_iter()
        .zip(&compared)
        .map(|(face, compared)| compared.then(|| thumbnail(&folder.join(&face.name))).flatten())
        .collect();
    let mut shown: Vec<(Face, Option<Vec<f32>>)> = Vec::new();
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (face, thumbnail) in faces.into_iter().zip(thumbnails) {
        let earlier = places.entry(face.track.clone().unwrap_or_default()).or_default();
        let same = thumbnail.as_ref().filter(|_| !voted(&face.name)).and_then(|thumbnail| {
            earlier.iter().copied().find(|place| {
                shown[*place].1.as_ref().is_some_and(|other| difference(thumbnail, other) < MAX_DUPLICATE)
            })
        });
        match same {
            Some(place) => shown[place].0.duplicates += 1,
            None => {
                if face.track.is_some() {
                    earlier.push(shown.len());
                }
                shown.push((face, thumbnail));
            }
        }
    }
    shown.into_iter().map(|(face, _)| face).collect()
}

/// A picture's greys, averaged over a grid; `None` if it cannot be read, so that it is shown and somebody sees it.
fn thumbnail(path: &Path) -> Option<Vec<f32>> {
    let Picture { width, height, channels, data } = Picture::open(path).ok()?;
    let mut sums = vec![(0.0f32, 0u32); THUMBNAIL * THUMBNAIL];
    for (at, pixel) in data.chunks_exact(channels).enumerate() {
        let (x, y) = (at % width, at / width);
        let cell = (y * THUMBNAIL / height) * THUMBNAIL + x * THUMBNAIL / width;
        let (sum, count) = sums.get_mut(cell)?;
        *sum += pixel.iter().map(|value| f32::from(*value)).sum::<f32>() / channels as f32;
        *count += 1;
    }
    Some(sums.into_iter().map(|(sum, count)| sum / count.max(1) as f32).collect())
}

fn difference(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).sum::<f32>() / left.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(folder: &Path, name: &str, grey: u8) {
        let picture = image::GrayImage::from_fn(48, 48, |x, _| image::Luma([grey.wrapping_add(x as u8)]));
        std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        picture.save(folder.join(name)).unwrap();
    }

    #[test]
    fn duplicates_of_a_track_are_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        for (name, grey) in [
            ("a_session-1_track-1_happiness_1.png", 100),
            ("b_session-1_track-1_happiness_2.png", 101),
            ("c_session-1_track-1_happiness_3.png", 150),
            ("d_session-1_track-2_happiness_4.png", 100),
            ("other.png", 100),
            ("same.png", 100),
        ] {
            save(folder.path(), name, grey);
        }
        let faces = Faces::read(folder.path(), |_| false).unwrap();
        let listed: Vec<_> = faces.all().iter().map(|face| (&face.name[..1], face.duplicates)).collect();
        assert_eq!(listed, [("a", 1), ("c", 0), ("d", 0), ("o", 0), ("s", 0)]);
        // What has a vote stays to be seen.
        assert_eq!(Faces::read(folder.path(), |name| name.starts_with("b_")).unwrap().all().len(), 6);
    }

    #[test]
    fn the_table_of_the_board_gives_order_and_scores() {
        let folder = tempfile::tempdir().unwrap();
        ["a.png", "b.png", "happiness/c.png"].iter().for_each(|name| save(folder.path(), name, 9));
        let table = "file,time,neutral,happiness\nhappiness/c.png,x,0.25,0.75\nb.png,x,,\ngone.png,x,1,0\n";
        std::fs::write(folder.path().join(LOGGED), table).unwrap();
        let faces = Faces::read(folder.path(), |_| false).unwrap();
        let names: Vec<_> = faces.all().iter().map(|face| face.name.as_str()).collect();
        assert_eq!(names, ["happiness/c.png", "b.png", "a.png"]);
        assert_eq!(faces.all()[0].logged, [(Label::Neutral, 0.25), (Label::Happiness, 0.75)]);
        assert_eq!(faces.all()[1].logged, []);
        let first = faces.get(&faces.all()[0].id).unwrap();
        assert!(faces.path(first).is_file());

        std::fs::write(folder.path().join(LOGGED), "name\nx\n").unwrap();
        assert!(Faces::read(folder.path(), |_| false).unwrap_err().to_string().contains("no column \"file\""));
        let empty = tempfile::tempdir().unwrap();
        assert!(Faces::require_any(empty.path()).unwrap_err().to_string().contains("no pictures"));
        Faces::require_any(folder.path()).unwrap();
    }
}
