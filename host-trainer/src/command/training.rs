//! Flags that the training commands share.

use std::path::{Path, PathBuf};

use tch::Device;

use crate::config::Config;
use crate::crossval::folder_of;
use crate::dataset::{self, ClassNames, Request, Source};
use crate::device;
use crate::error::Error;
use crate::run;
use crate::train::start;

/// Flags that the training commands share.
#[derive(clap::Args)]
pub struct Training {
    /// The data set, as [`dataset::SOURCES`] lists them.
    #[arg(long, value_name = "SOURCE", default_value = "rendered", help = format!("Data set: {}", dataset::SOURCES))]
    pub data: Source,
    /// What the names of class folders mean, for folder:DIR: NAME=LABEL,... (LABEL - leaves a class out), a file with such
    /// lines, or the numbering of fer2013, raf-db, affectnet, ferplus or ck-plus. Common spellings are understood without it.
    #[arg(long, value_name = "NAMES")]
    pub classes: Option<ClassNames>,
    /// Hyper-parameters: adapt, edge, ferplus, ferplus-distilled, paper, smoke, or the path of a TOML file. By default edge, or
    /// adapt with --from.
    #[arg(long)]
    pub preset: Option<String>,
    /// Start from a trained net: the folder of a bundle, or of a run that holds one. The net keeps its labels, and its shape unless
    /// net.deepen adds convolutions; with --preset adapt it keeps what it knows. See docs/adapt.md.
    #[arg(long, value_name = "BUNDLE|RUN")]
    pub from: Option<PathBuf>,
    /// Data set on which an adapted net keeps the old net's answers; its labels are not used. By default rendered faces.
    #[arg(long, value_name = "SOURCE", requires = "from")]
    pub rehearse: Option<Source>,
    /// Seed; the same seed gives the same result on one machine.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Device to train on.
    #[arg(long, value_enum, default_value_t = device::Choice::Auto)]
    pub device: device::Choice,
    /// Name of the run, whose files go to RUNS/NAME. By default the data set's name, the preset's and, from the second run
    /// on, a number: faces-edge, faces-edge-2.
    #[arg(long, value_parser = run_name)]
    pub name: Option<String>,
    /// Folder that holds all runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub runs: PathBuf,
    /// Resume the run of this name, or the last one. At most one epoch is lost.
    #[arg(long, conflicts_with = "overwrite")]
    pub resume: bool,
    /// Replace the run of this name, or the last one if it is of the same data. Without this flag no run is ever removed.
    #[arg(long)]
    pub overwrite: bool,
    /// VGG-Face weights (Parkhi et al. 2015) for presets with the face net vgg-16: a safetensors file with torchvision's
    /// names. torchvision's own ImageNet weights do not fit: their input is scaled differently.
    #[arg(long, value_name = "FILE")]
    pub face_net_weights: Option<String>,
}

impl Training {
    /// Returns the data set, with the meaning of its class folders.
    ///
    /// # Errors
    /// Returns an error if `--classes` is given for a data set that has no class folders.
    pub fn source(&self) -> crate::Result<Source> {
        self.data.clone().with_classes(self.classes.clone())
    }

    /// Returns the preset with the changes that flags make, and the device.
    ///
    /// # Errors
    /// Returns an error if the preset does not parse or there is no such device.
    pub fn configuration(&self) -> crate::Result<(Config, Device)> {
        let mut config = Config::preset(self.preset())?;
        if let Some(path) = self.rehearse.as_ref().and_then(Source::path).filter(|path| !path.exists()) {
            return Err(Error::BadInput(format!("--rehearse: {}: no such file or folder", path.display())));
        }
        match &self.from {
            Some(from) => {
                if let Some(warning) = too_fast(self.preset(), &config) {
                    tracing::warn!("{warning}");
                }
                start::configure(&mut config, from, self.rehearse.as_ref().map(Source::to_string))?;
            }
            None if config.adapt.is_some() => {
                let what = "has a section [adapt], which needs a trained net; give --from BUNDLE";
                return Err(Error::BadInput(format!("preset {} {what}", self.preset())));
            }
            None if !config.net.deepen.is_empty() => {
                let what = "has net.deepen, which needs a trained net; give --from BUNDLE";
                return Err(Error::BadInput(format!("preset {} {what}", self.preset())));
            }
            None => {}
        }
        if let Some(weights) = &self.face_net_weights {
            config.face_net.weights.clone_from(weights);
        }
        let device = device::choose(self.device)?;
        config.run.precision = config.run.precision.on(device);
        Ok((config, device))
    }

    /// Returns the preset's name, or the path of its file.
    pub fn preset(&self) -> &str {
        self.preset.as_deref().unwrap_or(if self.from.is_some() { "adapt" } else { "edge" })
    }

    /// Returns what to ask of the data set.
    pub fn request(&self, config: &Config, limit: Option<u32>) -> Request {
        Request {
            rendered: config.run.rendered,
            limit: limit.map(|limit| limit as usize),
            calibration: config.quantize.calibration_samples,
            seed: self.seed,
        }
    }

    /// Refuses to overwrite a run that is read, and one of other data that only has the same name: `also` is a further input of
    /// the command.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if the trained net, the face net's weights or `also` lie in the run's folder, if the run would
    /// lie in the data set, or if `--name` is not given and the run there is of other data.
    pub fn spare_inputs(&self, folder: &Path, also: Option<&Path>) -> crate::Result<()> {
        self.keep_out_of_data()?;
        let first_fold = folder.join(folder_of(1));
        let older = [folder, first_fold.as_path()].into_iter().find_map(run::Identity::read);
        let data = self.data.to_string();
        if let Some(older) = older.filter(|older| self.overwrite && self.name.is_none() && older.data != data) {
            let advice = "give its --name to replace it, or leave --overwrite out";
            let (folder, older) = (folder.display(), older.data);
            return Err(Error::BadInput(format!(
                "cannot overwrite {folder}: it is of {older}, not of {data}; {advice}"
            )));
        }
        let inputs = [self.from.as_deref(), self.face_net_weights.as_deref().map(Path::new), also];
        let is_inside = |input: &&Path| {
            let whole = |path: &Path| path.canonicalize().ok();
            whole(input).zip(whole(folder)).is_some_and(|(input, folder)| input.starts_with(folder))
        };
        match inputs.into_iter().flatten().find(is_inside).filter(|_| self.overwrite) {
            Some(input) => {
                let advice = "give another --name, or leave --overwrite out";
                let (folder, input) = (folder.display(), input.display());
                Err(Error::BadInput(format!("cannot overwrite {folder}: it holds the input {input}; {advice}")))
            }
            None => Ok(()),
        }
    }

    /// Refuses a folder of runs in a set that is read by its folders: it would be taken for a class, and its pictures for faces.
    fn keep_out_of_data(&self) -> crate::Result<()> {
        let data = match &self.data {
            Source::Folder(data, _) => data,
            // Its table names the faces, so a run that was begun in it can go on.
            Source::Labelled(data) if !self.resume => data,
            _ => return Ok(()),
        };
        let runs = std::path::absolute(&self.runs)?;
        // It may not be there yet.
        let real = runs.ancestors().find_map(|above| {
            let below = runs.strip_prefix(above).ok()?;
            Some(above.canonicalize().ok()?.join(below))
        });
        let is_inside = real.zip(data.canonicalize().ok()).is_some_and(|(runs, data)| runs.starts_with(data));
        let (runs, data) = (self.runs.display(), data.display());
        let what =
            format!("--runs {runs} lies in the data set {data}; give a folder elsewhere, such as --runs ../runs");
        if is_inside { Err(Error::BadInput(what)) } else { Ok(()) }
    }

    /// Returns the folder RUNS/NAME. A name that was not given is made of the data set's name, the preset's and `suffix`, and
    /// gets a number if runs of that name exist: a new one, or with --resume and --overwrite the last one.
    pub fn folder(&self, suffix: &str, numbering: Numbering) -> PathBuf {
        if let Some(name) = &self.name {
            return self.runs.join(name);
        }
        let stem = self.stem(suffix);
        match numbering {
            Numbering::None => stem,
            Numbering::Next if self.resume || self.overwrite => run::last_folder(&stem),
            Numbering::Next => run::free_folder(&stem),
        }
    }

    /// The folder of the first run whose name is not given.
    fn stem(&self, suffix: &str) -> PathBuf {
        let preset = Path::new(self.preset()).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        self.runs.join(format!("{}-{preset}{suffix}", data_name(&self.data)))
    }

    /// Returns the last run of the same data and preset if it was not finished, nobody works on it, and a new one is about to be
    /// started instead.
    pub fn unfinished(&self) -> Option<PathBuf> {
        let is_new = self.name.is_none() && !self.resume && !self.overwrite;
        let last = run::last_folder(&self.stem(""));
        let same_data = |run: run::Identity| run.data == self.data.to_string();
        let is_unfinished = is_new && !last.join(run::METRICS).exists() && !run::is_locked(&last);
        (is_unfinished && run::Identity::read(&last).is_some_and(same_data)).then_some(last)
    }
}

/// The highest rate of stage two at which the net of a bundle is refined without a warning.
const MAX_REFINING_RATE: f64 = 0.01;

/// What is to be said of a preset that refines the net of a bundle at a rate that was chosen for a fresh net. With the rate of
/// `edge`, a net of a bundle ended at chance.
fn too_fast(preset: &str, config: &Config) -> Option<String> {
    let rate = config.stage_two.rate;
    (config.adapt.is_none() && config.net.batch_norm && rate > MAX_REFINING_RATE).then(|| {
        format!(
            "preset {preset} is for a net with batch norm, and the net of a bundle has none: stage_two.rate = {rate} may undo what it \
             knows; set a tenth of it in a preset of your own, or leave --preset out to adapt"
        )
    })
}

/// Whether a run whose name was not given gets a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// It shares its folder with other programs.
    None,
    /// It gets the next number.
    Next,
}

/// The name of a run, which is one folder in RUNS.
fn run_name(text: &str) -> Result<String, String> {
    let is_name =
        !text.is_empty() && !text.starts_with(['.', '-']) && !text.contains(|c: char| c == '/' || c.is_control());
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| "give a name without / and control characters that does not begin with . or -".to_owned())
}

/// The name of a data set, for folders: that of its folder or file in lower case, or its kind if it has none.
fn data_name(source: &Source) -> String {
    let path = source.path().map(|path| std::path::absolute(path).unwrap_or_default());
    let name = path.as_deref().and_then(Path::file_stem);
    let name = name.map_or(source.kind().to_owned(), |name| name.to_string_lossy().to_lowercase());
    let plain = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stays_in_the_folder_of_runs() {
        for wrong in ["", ".", "..", "../evil", "a/b", "/tmp/evil", "-x", ".hidden", "a\nb", "a\u{1b}[31m"] {
            assert!(run_name(wrong).is_err(), "{wrong:?}");
        }
        for name in ["faces-edge-2", "a..b", "Über uns", "1.5"] {
            assert_eq!(run_name(name).as_deref(), Ok(name));
        }
    }

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        training: Training,
    }

    #[test]
    fn a_run_that_is_read_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let [run, other] = ["run", "run-2"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(run.join("bundle")).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink("run", folder.path().join("link")).unwrap();
        let spared = |more: &[&str], folder: &Path, also: Option<&Path>| {
            let flags: Flags = clap::Parser::parse_from([&["x"], more].concat());
            flags.training.spare_inputs(folder, also).map_err(|error| error.to_string())
        };
        let from = folder.path().join("link/bundle");
        let from = from.to_str().unwrap();
        let told = spared(&["--from", from, "--overwrite"], &run, None).unwrap_err();
        assert!(told.contains("it holds the input") && told.contains("another --name"), "{told}");
        assert!(spared(&["--overwrite"], &run, Some(&run)).is_err());
        spared(&["--from", from, "--overwrite"], &other, None).unwrap();
        spared(&["--from", from, "--resume"], &run, None).unwrap();
        spared(&["--overwrite"], &run, Some(&folder.path().join("missing"))).unwrap();
    }

    #[test]
    fn runs_do_not_lie_in_a_set_that_is_read_by_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let faces = folder.path().join("faces");
        std::fs::create_dir(&faces).unwrap();
        let spared_with = |more: &[&str], data: String, runs: &Path| {
            let flags = ["x", "--data", &data, "--runs", runs.to_str().unwrap()];
            let flags: Flags = clap::Parser::parse_from([&flags[..], more].concat());
            flags.training.spare_inputs(&runs.join("a"), None).map_err(|error| error.to_string())
        };
        let spared = |data: String, runs: &Path| spared_with(&[], data, runs);
        let data = |kind: &str| format!("{kind}:{}", faces.display());
        spared_with(&["--resume"], data("labelled"), &faces.join("runs")).unwrap();
        for kind in ["folder", "labelled"] {
            for runs in [faces.join("runs"), faces.join("more/runs"), folder.path().join("faces/../faces/runs")] {
                let told = spared(data(kind), &runs).unwrap_err();
                assert!(told.contains("lies in the data set") && told.contains("--runs ../runs"), "{told}");
            }
            spared(data(kind), &folder.path().join("runs")).unwrap();
            spared(data(kind), &faces.join("../runs")).unwrap();
        }
        spared(data("ferplus"), &faces.join("runs")).unwrap();
    }

    #[test]
    fn an_unfinished_run_is_named_if_another_one_is_started() {
        let runs = tempfile::tempdir().unwrap();
        let unfinished = |more: &[&str]| {
            let flags = ["x", "--preset", "smoke", "--runs", runs.path().to_str().unwrap()];
            let flags: Flags = clap::Parser::parse_from([&flags[..], more].concat());
            flags.training.unfinished()
        };
        assert_eq!(unfinished(&[]), None);
        let run = runs.path().join("rendered-smoke");
        std::fs::create_dir(&run).unwrap();
        let identity = run::Identity {
            data: "rendered".into(),
            data_sha256: None,
            limit: None,
            seed: 1,
            fold: None,
            config: Config::preset("smoke").unwrap(),
        };
        std::fs::write(run.join(run::CONFIG), toml::to_string(&identity).unwrap()).unwrap();
        assert_eq!(unfinished(&[]).as_ref(), Some(&run));
        for other in [&["--resume"][..], &["--overwrite"], &["--name", "mine"], &["--data", "rendered:64"]] {
            assert_eq!(unfinished(other), None, "{other:?}");
        }
        let other_program = run::lock(&run).unwrap();
        assert_eq!(unfinished(&[]), None, "it is being trained");
        drop(other_program);
        std::fs::write(run.join(run::METRICS), "{}").unwrap();
        assert_eq!(unfinished(&[]), None);
        // A set of the same name, such as faces.v1 and faces.v2, is not overwritten instead.
        let spared = |more: &[&str]| {
            let flags: Flags = clap::Parser::parse_from([&["x", "--overwrite"][..], more].concat());
            flags.training.spare_inputs(&run, None).map_err(|error| error.to_string())
        };
        spared(&[]).unwrap();
        spared(&["--data", "rendered:64", "--name", "rendered-smoke"]).unwrap();
        let told = spared(&["--data", "rendered:64"]).unwrap_err();
        assert!(told.contains("it is of rendered, not of rendered:64; give its --name"), "{told}");
    }

    #[test]
    fn a_rate_for_fresh_nets_is_told_if_a_bundle_is_refined() {
        let mut config = Config::preset("edge").unwrap();
        assert!(too_fast("edge", &config).unwrap().contains("stage_two.rate = 0.05 may undo"));
        config.stage_two.rate /= 10.0;
        assert_eq!(too_fast("mine.toml", &config), None);
        assert_eq!(too_fast("adapt", &Config::preset("adapt").unwrap()), None);
    }

    #[test]
    fn a_leading_tilde_is_the_home_folder() {
        let home = std::env::var("HOME").unwrap();
        for kind in ["folder", "labelled", "ferplus", "fer2013", "jaffe"] {
            let source: Source = format!("{kind}:~/x").parse().unwrap();
            assert_eq!(source.path(), Some(Path::new(&home).join("x").as_path()));
        }
    }

    #[test]
    fn runs_are_named_after_their_data() {
        let name = |source: &str| data_name(&source.parse().unwrap());
        assert_eq!(name("folder:/data/Our Faces/"), "our-faces");
        assert_eq!(name("ferplus:FERPlus"), "ferplus");
        assert_eq!(name("rendered:64"), "rendered");
        assert_eq!(name("tfd:TFD_info.mat"), "tfd_info");
    }
}
