//! The subcommands: one file each, reading like its help text.

pub mod crossval;
pub mod deploy;
pub mod detector;
pub mod draw;
pub mod evaluate;
pub mod export;
pub mod fleet;
pub mod inspect;
pub mod key;
pub mod label;
pub mod manual;
mod output;
pub mod predict;
pub mod report;
pub mod robustness;
pub mod run_all;
pub mod sign;
pub mod study;
pub mod training;
pub mod upgrade;
pub mod verify;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::assets;
use crate::error::Error;

/// Train facial expression models (FaceNet2ExpNet), quantize them and export bundles for edge-runtime.
///
/// Exit codes: 0 done, 1 failed or interrupted, 2 bad usage or bad input.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    /// Folder of the assets that `cargo xtask setup` downloads. By default $EXPRESSION_ASSETS, or the nearest .assets in the
    /// current folder, the program's, or above.
    #[arg(long, value_name = "DIR", global = true)]
    assets: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    RunAll(run_all::Cmd),
    Evaluate(evaluate::Cmd),
    Predict(predict::Cmd),
    Robustness(robustness::Cmd),
    Export(export::Cmd),
    Crossval(crossval::Cmd),
    Report(report::Cmd),
    Study(study::Cmd),
    Inspect(inspect::Cmd),
    Label(label::Cmd),
    Draw(draw::Cmd),
    Detector(detector::Cmd),
    Upgrade(upgrade::Cmd),
    Key(key::Cmd),
    Sign(sign::Cmd),
    Verify(verify::Cmd),
    Deploy(Box<deploy::Cmd>),
    Fleet(fleet::Cmd),
    Completions(manual::Completions),
    Man(manual::Man),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns the error of the command.
    pub fn run(self) -> crate::Result<()> {
        let is_absent = |folder: &PathBuf| !folder.is_dir();
        match self.assets {
            Some(folder) if is_absent(&folder) => {
                let advice = "name the one that `cargo xtask setup` has filled";
                return Err(Error::BadInput(format!("--assets {} is not a folder; {advice}", folder.display())));
            }
            Some(folder) => assets::set_folder(folder),
            None => {
                if let Some(folder) = assets::named().filter(is_absent) {
                    tracing::warn!("{}={} is not a folder", assets::VARIABLE, folder.display());
                }
            }
        }
        match self.command {
            Command::RunAll(cmd) => cmd.run(),
            Command::Evaluate(cmd) => cmd.run(),
            Command::Predict(cmd) => cmd.run(),
            Command::Robustness(cmd) => cmd.run(),
            Command::Export(cmd) => cmd.run(),
            Command::Crossval(cmd) => cmd.run(),
            Command::Report(cmd) => cmd.run(),
            Command::Study(cmd) => cmd.run(),
            Command::Inspect(cmd) => cmd.run(),
            Command::Label(cmd) => cmd.run(),
            Command::Draw(cmd) => cmd.run(),
            Command::Detector(cmd) => cmd.run(),
            Command::Upgrade(cmd) => cmd.run(),
            Command::Key(cmd) => cmd.run(),
            Command::Sign(cmd) => cmd.run(),
            Command::Verify(cmd) => cmd.run(),
            Command::Deploy(cmd) => cmd.run(),
            Command::Fleet(cmd) => cmd.run(),
            Command::Completions(cmd) => cmd.run(),
            Command::Man(cmd) => cmd.run(),
        }
    }
}
