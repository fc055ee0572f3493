//! `host-trainer crossval`

use super::training::{Numbering, Training};
use crate::crossval::{CrossValidation, Joined};
use crate::dataset::{self, Protocol};
use crate::device;

/// Trains and measures on every fold of a data set, or on one; `host-trainer report` joins what the folds gave.
///
/// Each fold has a folder of its own, RUNS/NAME/fold-KK, and writes nowhere else: folds may run at the same time, on many
/// machines over a shared folder. With --resume folds that are finished stay as they are, those that were interrupted go
/// on (at most one epoch is lost), and the others begin.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    training: Training,
    /// How the data set is split: folds:K, ck-plus-8, ck-plus-6, oulu-casia, tfd, sfew, ferplus, fer2013, raf-db
    /// or affectnet. By default the data set's own protocol.
    #[arg(long)]
    protocol: Option<Protocol>,
    /// Only this fold, from 1.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    fold: Option<u32>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Bad input, or an interruption.
    pub fn run(&self) -> crate::Result<()> {
        let Training { seed, resume, overwrite, .. } = &self.training;
        let data = &self.training.source()?;
        let (config, device) = self.training.configuration()?;
        // Folds that are trained apart share a folder.
        let numbering = if self.fold.is_some() { Numbering::None } else { Numbering::Next };
        let folder = self.training.folder("-crossval", numbering);
        eprintln!("cross-validation {} on {}", folder.display(), device::name(device));
        let protocol = self.protocol.unwrap_or_else(|| Protocol::of(data));
        let request = self.training.request(&config, None);
        let collection = dataset::collect(data, protocol, request)?;
        let crossval = CrossValidation {
            folder: &folder,
            config: &config,
            data: data.to_string(),
            protocol: protocol.to_string(),
            sha256: dataset::sample::sha256([&collection.samples[..]]),
            collection: &collection,
            request,
            seed: *seed,
            resume: *resume,
            overwrite: *overwrite,
            device,
        };
        match self.fold {
            Some(number) => crossval.fold(number as usize),
            None => {
                for number in 1..=collection.folds.len() {
                    crossval.fold(number)?;
                }
                super::report::publish(&Joined::of(&folder)?, &folder)
            }
        }
    }
}
