//! A run's folder: its configuration, checkpoints, bundle and report.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use expression_engine::files;
use expression_engine::line::{one_line, tell};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::coverage;
use crate::dataset::DataSet;
use crate::error::Error;

mod lock;
mod numbering;

pub use lock::{LOCK, is_locked, lock};
pub use numbering::{free_folder, last_folder};

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

/// A run's folder, locked against other programs.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    identity: Identity,
    preset: String,
    resume: bool,
    /// Whether the run has written its configuration.
    started: bool,
    /// See [`lock`].
    lock: Option<File>,
    /// When training ends at the latest.
    deadline: Option<Instant>,
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
    /// `--overwrite`.
    pub overwrite: bool,
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
/// Weights and figures of the teachers' mixture.
pub const TEACHERS: &str = "teachers.json";
/// The folder beside runs with the teachers that they share.
pub const SHARED_TEACHERS: &str = "teachers";
/// The face net's target maps of the training samples.
pub const TRAIN_TARGET_MAPS: &str = "target-maps-train.f16";
/// The face net's target maps of the calibration samples.
pub const CALIBRATION_TARGET_MAPS: &str = "target-maps-calibration.f16";
/// The checkpoint of stage one.
pub const STAGE_ONE: &str = "stage-one.safetensors";
/// The checkpoint of stage two.
pub const STAGE_TWO: &str = "stage-two.safetensors";
/// The learning curves of all stages, written after each epoch.
pub const CURVES: &str = "curves.csv";
/// What each mixture of old and adapted weights keeps and gives; see [`crate::train::mixing`].
pub const MIXTURES: &str = "mixtures.csv";
/// The folder of the bundle.
pub const BUNDLE: &str = "bundle";
/// The report.
pub const REPORT: &str = "report.html";
/// One line for each test sample.
pub const ANSWERS: &str = "answers.jsonl";
/// Every figure; it is written last, and says that the run is finished.
pub const METRICS: &str = "metrics.json";
/// The figures of a cell of a study; written last, in the place of [`METRICS`].
pub const RESULT: &str = "result.json";

impl Identity {
    /// Reads the identity of the run in `folder`; none if there is no run.
    pub fn read(folder: &Path) -> Option<Identity> {
        toml::from_str(&fs::read_to_string(folder.join(CONFIG)).ok()?).ok()
    }
}

/// Whether a folder holds what its user would miss: more than a lock and what was being written when a program was killed.
fn holds_something(folder: &Path) -> bool {
    let is_leftover = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name();
            name == LOCK || name.to_string_lossy().starts_with(files::UNFINISHED)
        })
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.any(|entry| !is_leftover(entry)))
}

impl Run {
    /// Opens a new run in `folder`, or the one there that is to be resumed or overwritten, and locks it. Nothing of an older
    /// run is changed: [`Run::start`] does that.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if there is nothing to resume, the run there was started with other settings, it is
    /// neither to be resumed nor to be overwritten, another program works on it, or `folder` is not a run's.
    pub fn open(folder: &Path, config: &Config, request: Request) -> crate::Result<Run> {
        let Request { data, preset, limit, seed, resume, overwrite, fold } = request;
        let identity = Identity { data, data_sha256: None, limit, seed, fold, config: config.clone() };
        let mut run =
            Run { folder: folder.to_owned(), identity, preset, resume, started: false, lock: None, deadline: None };
        let place = folder.display();
        match Identity::read(folder) {
            Some(older) if resume && (Identity { data_sha256: None, ..older.clone() }) != run.identity => {
                return Err(run.otherwise(&older));
            }
            Some(older) if !resume && !overwrite => {
                let whose = if older.data == run.identity.data { "a run" } else { "a run of other data" };
                let advice = "give another --name, --resume to continue it, or --overwrite to replace it";
                return Err(Error::BadInput(format!("{place} holds {whose}; {advice}")));
            }
            None if folder.join(CONFIG).exists() => {
                let what = "damaged, or written by another version of this program; give another --name";
                return Err(Error::BadInput(format!("{}: {what}", folder.join(CONFIG).display())));
            }
            None if resume => {
                return Err(Error::BadInput(format!("{place}: no run to resume here; leave --resume out")));
            }
            None if holds_something(folder) => {
                let advice = "give another --name; this folder was not made by a run";
                return Err(Error::BadInput(format!("{place}: {advice}")));
            }
            _ => {}
        }
        run.lock = lock(folder)?;
        Ok(run)
    }

    /// The error that the run in the folder has other settings, with those that differ.
    fn otherwise(&self, older: &Identity) -> Error {
        let new = &self.identity;
        let or_none = |given: Option<String>| given.unwrap_or("not given".to_owned());
        let limit = or_none(older.limit.map(|limit| limit.to_string()));
        let start = |run: &Identity| run.config.start.clone();
        let from = |run: &Identity| start(run).map(|start| start.bundle);
        let net = |run: &Identity| start(run).map(|start| start.sha256);
        let rehearse = |run: &Identity| start(run).and_then(|start| start.rehearse);
        let preset = |run: &Identity| Config { start: None, ..run.config.clone() };
        let differences = [
            (older.data != new.data, format!("--data was {}", older.data)),
            (older.limit != new.limit, format!("--limit was {limit}")),
            (older.seed != new.seed, format!("--seed was {}", older.seed)),
            (older.fold != new.fold, "the folds or their pictures were others".to_owned()),
            (from(older) != from(new), format!("--from was {}", or_none(from(older)))),
            (from(older) == from(new) && net(older) != net(new), "the bundle of --from held another net".to_owned()),
            (rehearse(older) != rehearse(new), format!("--rehearse was {}", or_none(rehearse(older)))),
            (preset(older) != preset(new), "the preset had other values".to_owned()),
        ];
        let differences = differences.into_iter().filter(|(differs, _)| *differs).map(|(_, what)| what);
        let differences = differences.collect::<Vec<_>>().join(", ");
        let advice = "give the same --data, --preset, --from, --rehearse, --limit and --seed, or leave --resume out";
        Error::BadInput(format!("{}: was started otherwise ({differences}); {advice}", self.path(CONFIG).display()))
    }

    /// Writes the configuration. A run that overwrites an older one removes that first.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if a resumed run began with other pictures or the data has fewer than two labels, or another
    /// error if a file cannot be written.
    pub fn start(&mut self, data: &DataSet) -> crate::Result<()> {
        // Before anything of an older run goes: a net cannot be trained on one label.
        coverage::labels(&data.train)?;
        let data_sha256 = Some(data.sha256());
        if self.resume && Identity::read(&self.folder).is_none_or(|older| older.data_sha256 != data_sha256) {
            let what = "the pictures of the data set have changed since this run was started";
            let advice = "put the old ones back, or leave --resume out to start another run";
            return Err(Error::BadInput(format!("{}: {what}; {advice}", self.folder.display())));
        }
        self.identity.data_sha256 = data_sha256;
        for old in Self::OWN.map(|name| self.path(name)).into_iter().filter(|_| !self.resume) {
            if old.is_dir() {
                fs::remove_dir_all(&old)?
            } else if old.exists() {
                fs::remove_file(&old)?
            }
        }
        files::write_bytes(&self.path(CONFIG), toml::to_string(&self.identity)?.as_bytes())?;
        self.started = true;
        Ok(())
    }

    /// What the run's checkpoints belong to: sha256 of its configuration and data. Known once the run has started.
    ///
    /// # Errors
    /// Returns an error if the configuration cannot be written as TOML.
    pub fn key(&self) -> crate::Result<String> {
        let Identity { data_sha256, seed, config, .. } = &self.identity;
        let data = data_sha256.as_deref().unwrap_or_default();
        Ok(files::sha256(format!("{data} {seed}\n{}", toml::to_string(config)?).as_bytes()))
    }

    /// What a run writes beside its configuration. Cached target maps stay: they carry a key of what they depend on.
    const OWN: [&str; 12] = [
        TUNED_FACE_NET,
        TEACHERS,
        STAGE_ONE,
        STAGE_TWO,
        CURVES,
        MIXTURES,
        BUNDLE,
        ANSWERS,
        METRICS,
        RESULT,
        REPORT,
        SAMPLES,
    ];

    /// The folder of the run's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// sha256 of the names, subjects, labels and pictures of all samples. Known once the run has started.
    pub fn data_sha256(&self) -> &str {
        self.identity.data_sha256.as_deref().unwrap_or_default()
    }

    /// Training ends by this time: stage two's schedule is done by then, and what precedes it is interrupted.
    pub fn end_by(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// When training ends at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
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
        // The folders of bundles have all the same name.
        let of_run = |path: &str| match path.trim_end_matches('/').strip_suffix("/bundle") {
            Some(run) => format!("{}/bundle", last(run)),
            None => last(path),
        };
        let data = named(data);
        let limit = limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
        let from = self.identity.config.start.as_ref().map_or(String::new(), |start| {
            let rehearse = start.rehearse.as_ref().map(|source| format!(" --rehearse {}", named(source)));
            format!(" --from {}{}", of_run(&start.bundle), rehearse.unwrap_or_default())
        });
        let weights = match self.identity.config.face_net.weights.as_str() {
            "" => String::new(),
            file => format!(" --face-net-weights {}", last(file)),
        };
        format!(
            "host-trainer run-all --data {data}{from} --preset {}{limit} --seed {seed}{weights}",
            last(&self.preset)
        )
    }

    /// Talk: on stderr.
    pub fn say(&self, text: &str) {
        tell(one_line(text));
    }
}

/// The last part of a path, for provenance: the rest of it is the user's.
fn last(path: &str) -> String {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

/// A data set by its kind and the last part of its path.
pub fn named(source: &str) -> String {
    match source.split_once(':') {
        Some((kind, rest)) => format!("{kind}:{}", last(rest)),
        None => source.to_owned(),
    }
}

impl Drop for Run {
    /// A run that never started leaves nothing behind.
    fn drop(&mut self) {
        if !self.started && self.lock.is_some() && Identity::read(&self.folder).is_none() {
            let _ = fs::remove_file(self.path(LOCK));
            // It fails if anything else lies there.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Sample;
    use expression_core::Label;
    use expression_engine::Picture;

    fn request(data: &str) -> Request {
        Request {
            data: data.into(),
            preset: "smoke".into(),
            limit: None,
            seed: 1,
            resume: false,
            overwrite: false,
            fold: None,
        }
    }

    fn data(shade: u8) -> DataSet {
        let picture = Picture { width: 1, height: 1, channels: 1, data: vec![shade] };
        let sample = |label| Sample::labelled("a".into(), None, picture.clone(), label);
        let samples = vec![sample(Label::Fear), sample(Label::Anger)];
        let (train, calibration, test) = (samples.clone(), samples.clone(), samples);
        DataSet { name: "set".into(), source: String::new(), train, calibration, test, skipped: Vec::new() }
    }

    fn open(folder: &Path, request: Request) -> crate::Result<Run> {
        Run::open(folder, &Config::preset("smoke").unwrap(), request)
    }

    /// Case 15: a second run, of other data, deleted the bundle of the first one without a word.
    #[test]
    fn a_run_is_neither_overwritten_nor_shared() {
        let runs = tempfile::tempdir().unwrap();
        let folder = runs.path().join("faces-smoke");
        let refused = |request: Request| open(&folder, request).unwrap_err().to_string();
        let mut first = open(&folder, request("folder:A")).unwrap();
        assert!(refused(request("folder:B")).contains("another program"), "two programs work on one run");
        first.start(&data(1)).unwrap();
        drop(first);
        fs::write(folder.join(METRICS), "figures").unwrap();
        fs::write(folder.join(RESULT), "figures of a study's cell").unwrap();
        let line = refused(request("folder:B"));
        assert!(line.contains("holds a run of other data") && line.contains("--overwrite"), "{line}");
        assert!(folder.join(METRICS).exists(), "a refused run removed a file");
        let line = refused(Request { resume: true, ..request("folder:B") });
        assert!(line.contains("started otherwise (--data was folder:A)"), "{line}");
        let start =
            crate::config::Start { bundle: "bundle".into(), sha256: "5e".into(), rehearse: Some("rendered".into()) };
        let adapted = Config { start: Some(start), ..Config::preset("smoke").unwrap() };
        let line =
            Run::open(&folder, &adapted, Request { resume: true, ..request("folder:A") }).unwrap_err().to_string();
        let told = "started otherwise (--from was not given, --rehearse was not given)";
        assert!(line.contains(told), "{line}");
        let line = refused(Request { resume: true, limit: Some(20), seed: 2, ..request("folder:A") });
        assert!(line.contains("(--limit was not given, --seed was 1)"), "{line}");

        assert_eq!(free_folder(&folder), runs.path().join("faces-smoke-2"));
        assert_eq!(last_folder(&folder), folder);
        let mut resumed = open(&folder, Request { resume: true, ..request("folder:A") }).unwrap();
        assert!(resumed.start(&data(2)).unwrap_err().to_string().contains("pictures"), "other pictures");
        drop(resumed);
        let mut overwriting = open(&folder, Request { overwrite: true, ..request("folder:B") }).unwrap();
        let mut one_label = data(2);
        one_label.train.truncate(1);
        assert!(overwriting.start(&one_label).unwrap_err().to_string().contains("at least two labels"));
        assert!(folder.join(METRICS).exists(), "an older run goes once the new one starts");
        overwriting.start(&data(2)).unwrap();
        assert!(!folder.join(METRICS).exists() && !folder.join(RESULT).exists(), "older figures passed for new ones");
    }

    /// A new run in the place of a deleted one would not be the one that --resume and --overwrite take.
    #[test]
    fn a_damaged_configuration_is_said_to_be_that() {
        let runs = tempfile::tempdir().unwrap();
        fs::write(runs.path().join(CONFIG), "data = ").unwrap();
        for (resume, overwrite) in [(false, false), (true, false), (false, true)] {
            let line = open(runs.path(), Request { resume, overwrite, ..request("folder:A") }).unwrap_err().to_string();
            assert!(line.contains("config.toml: damaged, or written by another version"), "{line}");
        }
    }

    #[test]
    fn a_run_that_never_starts_leaves_nothing() {
        let runs = tempfile::tempdir().unwrap();
        let folder = runs.path().join("faces-smoke");
        drop(open(&folder, request("folder:A")).unwrap());
        assert!(!folder.exists());
        assert_eq!(free_folder(&folder), folder);
    }

    #[test]
    fn the_command_names_bundle_and_rehearsal() {
        let runs = tempfile::tempdir().unwrap();
        let rehearse = Some("ferplus:/data/sets/FERPlus".into());
        let start = crate::config::Start { bundle: "/data/runs/kitchen/bundle".into(), sha256: "5e".into(), rehearse };
        let config = Config { start: Some(start), ..Config::preset("smoke").unwrap() };
        let run = Run::open(&runs.path().join("a"), &config, request("folder:/home/me/faces/")).unwrap();
        let expected = "host-trainer run-all --data folder:faces --from kitchen/bundle --rehearse ferplus:FERPlus \
                        --preset smoke --seed 1";
        assert_eq!(run.command(), expected);
    }

    #[test]
    fn checkpoints_of_other_data_or_settings_have_another_key() {
        let runs = tempfile::tempdir().unwrap();
        let key = |name: &str, request: Request, shade: u8| {
            let mut run = open(&runs.path().join(name), request).unwrap();
            run.start(&data(shade)).unwrap();
            run.key().unwrap()
        };
        let first = key("a", request("folder:A"), 1);
        assert_eq!(key("b", request("folder:A"), 1), first);
        assert_ne!(key("c", request("folder:A"), 2), first);
        assert_ne!(key("d", Request { seed: 2, ..request("folder:A") }, 1), first);
    }
}
