//! A run's folder: its configuration, checkpoints, bundle and report.

use std::fs;
use std::path::{Path, PathBuf};

use expression_engine::files;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::dataset::DataSet;
use crate::error::{Context, Error};

/// What decides a run's result: written before it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// `--data`.
    pub data: String,
    /// Of names, subjects, labels and pictures of all samples; known once they are loaded.
    pub data_sha256: Option<String>,
    /// `--limit`.
    pub limit: Option<u32>,
    /// `--seed`.
    pub seed: u64,
    /// Of which cross-validation it is which fold.
    pub fold: Option<FoldOf>,
    /// The preset, with what the command line changed.
    pub config: Config,
}

/// A fold's place in its cross-validation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldOf {
    /// Its number, from 1.
    pub number: usize,
    /// How many folds there are.
    pub count: usize,
    /// `--protocol`.
    pub protocol: String,
    /// Name of the whole set, for reports.
    pub collection: String,
    /// Of names, subjects, labels and pictures of the whole set.
    pub collection_sha256: String,
}

/// A run's folder.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    identity: Identity,
    preset: String,
    resume: bool,
}

/// What the command line says of a run.
#[derive(Debug, Clone)]
pub struct Request {
    /// `--data`.
    pub data: String,
    /// `--preset`.
    pub preset: String,
    /// `--limit`.
    pub limit: Option<u32>,
    /// `--seed`.
    pub seed: u64,
    /// `--resume`.
    pub resume: bool,
    /// Which fold of a cross-validation it is, if it is one.
    pub fold: Option<FoldOf>,
}

/// The configuration; it is written first.
pub const CONFIG: &str = "config.toml";
/// The contact sheet of training samples.
pub const SAMPLES: &str = "samples.png";
/// The checkpoint of the tuned face net.
pub const TUNED_FACE_NET: &str = "face-net.safetensors";
/// The tuned face net's answers to the training samples.
pub const TEACHER_ANSWERS: &str = "teacher-answers.f32";
/// The face net's target maps of the training samples.
pub const TRAIN_TARGET_MAPS: &str = "target-maps-train.f16";
/// The face net's target maps of the calibration samples.
pub const CALIBRATION_TARGET_MAPS: &str = "target-maps-calibration.f16";
/// The checkpoint of stage one.
pub const STAGE_ONE: &str = "stage-one.safetensors";
/// The checkpoint of stage two.
pub const STAGE_TWO: &str = "stage-two.safetensors";
/// The folder of the bundle.
pub const BUNDLE: &str = "bundle";
/// The report.
pub const REPORT: &str = "report.html";
/// One line for each test sample.
pub const ANSWERS: &str = "answers.jsonl";
/// Every figure; it is written last, and says that the run is finished.
pub const METRICS: &str = "metrics.json";

impl Identity {
    /// Of the run that lies in `folder`, if one does.
    pub fn of(folder: &Path) -> Option<Identity> {
        toml::from_str(&fs::read_to_string(folder.join(CONFIG)).ok()?).ok()
    }
}

/// Whether an entry of a folder is a file that was being written when its program was killed.
fn is_unfinished(entry: std::io::Result<fs::DirEntry>) -> bool {
    entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(files::UNFINISHED))
}

impl Run {
    /// A new run in `folder`, or the one that lies there and is gone on with. Changes nothing yet: [`Run::start`] does.
    ///
    /// # Errors
    /// [`Error::BadInput`] where there is nothing to resume, it was started otherwise, or `folder` is not a run's.
    pub fn open(folder: &Path, config: &Config, request: Request) -> crate::Result<Run> {
        let Request { data, preset, limit, seed, resume, fold } = request;
        let identity = Identity { data, data_sha256: None, limit, seed, fold, config: config.clone() };
        let run = Run { folder: folder.to_owned(), identity, preset, resume };
        match Identity::of(folder) {
            Some(older) if resume && (Identity { data_sha256: None, ..older.clone() }) != run.identity => {
                Err(run.otherwise())
            }
            None if resume => {
                Err(Error::BadInput(format!("{}: no run to resume here; leave --resume out", folder.display())))
            }
            None if fs::read_dir(folder).is_ok_and(|mut entries| entries.any(|entry| !is_unfinished(entry))) => {
                let advice = "give another --name; this folder was not made by a run";
                Err(Error::BadInput(format!("{}: {advice}", folder.display())))
            }
            _ => Ok(run),
        }
    }

    fn otherwise(&self) -> Error {
        let advice = "give the same --data, --preset, --limit and --seed, or leave --resume out";
        Error::BadInput(format!("{}: was started otherwise; {advice}", self.path(CONFIG).display()))
    }

    /// Writes the configuration; a new run clears what an older one left in its folder first.
    ///
    /// # Errors
    /// [`Error::BadInput`] where a run that goes on began with other pictures, and of the file system.
    pub fn start(&self, data: &DataSet) -> crate::Result<()> {
        let data_sha256 = Some(data.sha256());
        if self.resume && Identity::of(&self.folder).is_none_or(|older| older.data_sha256 != data_sha256) {
            return Err(self.otherwise()).context("the pictures of the data set have changed");
        }
        let identity = Identity { data_sha256, ..self.identity.clone() };
        for old in Self::OWN.map(|name| self.path(name)).into_iter().filter(|_| !self.resume) {
            if old.is_dir() {
                fs::remove_dir_all(&old)?
            } else if old.exists() {
                fs::remove_file(&old)?
            }
        }
        Ok(files::write_bytes(&self.path(CONFIG), toml::to_string(&identity)?.as_bytes())?)
    }

    /// What a run writes beside its configuration. Target maps are kept: they carry a key of what they depend on.
    const OWN: [&str; 8] = [TUNED_FACE_NET, STAGE_ONE, STAGE_TWO, BUNDLE, ANSWERS, METRICS, REPORT, SAMPLES];

    /// Where the run's files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether everything has been measured and written.
    pub fn is_finished(&self) -> bool {
        self.path(METRICS).exists()
    }

    /// `--seed`.
    pub fn seed(&self) -> u64 {
        self.identity.seed
    }

    /// Its folder's name.
    pub fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The command that repeats this run, for provenance. Folders of the user are named by their last part.
    pub fn command(&self) -> String {
        let Identity { data, limit, seed, .. } = &self.identity;
        let last = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let data = match data.split_once(':') {
            Some((kind, rest)) => format!("{kind}:{}", last(rest)),
            None => data.clone(),
        };
        let limit = limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
        let weights = match self.identity.config.face_net.weights.as_str() {
            "" => String::new(),
            file => format!(" --face-net-weights {}", last(file)),
        };
        format!("host-trainer run-all --data {data} --preset {}{limit} --seed {seed}{weights}", last(&self.preset))
    }

    /// Talk: on stderr.
    pub fn say(&self, text: &str) {
        eprintln!("{text}");
    }
}
