//! A run's folder: its configuration, checkpoints, bundle and report.

use std::fs;
use std::path::{Path, PathBuf};

use edge_runtime::exit::BadInput;
use edge_runtime::files;
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// What decides a run's result: written before it starts.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Identity {
    data: String,
    limit: Option<u32>,
    seed: u64,
    config: Config,
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
}

/// Name of the file with the configuration.
const CONFIG: &str = "config.toml";

impl Run {
    /// A new run in `folder`, or the one that lies there and is gone on with. Changes nothing yet: [`Run::start`] does.
    ///
    /// # Errors
    /// [`BadInput`] where there is nothing to resume, it was started otherwise, or `folder` is not a run's.
    pub fn open(folder: &Path, config: &Config, request: Request) -> anyhow::Result<Run> {
        let Request { data, preset, limit, seed, resume } = request;
        let identity = Identity { data, limit, seed, config: config.clone() };
        let path = folder.join(CONFIG);
        if resume {
            let text = fs::read_to_string(&path).map_err(|error| {
                BadInput(format!("{}: no run to resume here ({error}); leave --resume out", folder.display()))
            })?;
            if toml::from_str::<Identity>(&text).ok().as_ref() != Some(&identity) {
                let advice = "give the same --data, --preset, --limit and --seed, or leave --resume out";
                return Err(BadInput(format!("{}: was started otherwise; {advice}", path.display())).into());
            }
        } else if !path.exists() && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            let advice = "give another --name; this folder was not made by a run";
            return Err(BadInput(format!("{}: {advice}", folder.display())).into());
        }
        Ok(Run { folder: folder.to_owned(), identity, preset, resume })
    }

    /// Writes the configuration; a new run clears what an older one left in its folder first.
    ///
    /// # Errors
    /// Of the file system.
    pub fn start(&self) -> anyhow::Result<()> {
        for old in Self::OWN.map(|name| self.path(name)).into_iter().filter(|_| !self.resume) {
            if old.is_dir() {
                fs::remove_dir_all(&old)?
            } else if old.exists() {
                fs::remove_file(&old)?
            }
        }
        Ok(files::write_bytes(&self.path(CONFIG), toml::to_string(&self.identity)?.as_bytes())?)
    }

    /// What a run writes beside its configuration. Target maps are kept: they carry a key of what they depend on.
    const OWN: [&str; 8] = [
        "face-net.safetensors",
        "stage-one.safetensors",
        "stage-two.safetensors",
        "bundle",
        "answers.jsonl",
        "metrics.json",
        "report.html",
        "samples.png",
    ];

    /// Where the run's files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
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
        let data = match data.rsplit_once('/') {
            Some((before, last)) => format!("{}:{last}", before.split(':').next().unwrap_or_default()),
            None => data.clone(),
        };
        let limit = limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
        format!("host-trainer run-all --data {data} --preset {}{limit} --seed {seed}", self.preset)
    }

    /// Talk: on stderr.
    pub fn say(&self, text: &str) {
        eprintln!("{text}");
    }
}
