//! `host-trainer crossval`

use expression_engine::line::tell;

use super::training::{Numbering, Training};
use crate::crossval::{CrossValidation, Joined};
use crate::dataset::{self, Protocol};
use crate::device;

/// Cross-validate: train and measure a model on every fold of a data set, or on one fold.
///
/// Each fold writes only to its own folder, RUNS/NAME/fold-KK, so folds can run at the same time on several machines that
/// share RUNS. With --resume, finished folds are left as they are, interrupted folds are resumed and the others are started.
/// `host-trainer report` joins the results of the folds.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    training: Training,
    /// How to split the data set: folds:K, ck-plus-8, ck-plus-6, oulu-casia, tfd, sfew, ferplus, fer2013, raf-db or affectnet.
    /// By default the protocol that is usual for the data set.
    #[arg(long)]
    protocol: Option<Protocol>,
    /// Train only fold K, counted from 1.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    fold: Option<u32>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error for bad input or after an interruption.
    pub fn run(&self) -> crate::Result<()> {
        let Training { seed, resume, overwrite, .. } = &self.training;
        let data = &self.training.source()?;
        let (config, device) = self.training.configuration()?;
        // Folds that are trained apart share a folder.
        let numbering = if self.fold.is_some() { Numbering::None } else { Numbering::Next };
        let folder = self.training.folder("-crossval", numbering);
        self.training.spare_inputs(&folder, None)?;
        tell(format_args!("cross-validation {} on {}", folder.display(), device::name(device)));
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
                super::report::publish(&Joined::open(&folder)?, &folder)
            }
        }
    }
}
