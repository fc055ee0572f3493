//! `host-trainer inspect`

use std::path::PathBuf;

use expression_engine::files;

use crate::device;
use crate::error::Error;
use crate::inspect::of_study::OfStudy;
use crate::inspect::{self, Findings, InspectionSettings};
use crate::report;

/// Visualize what the neurons of a study's nets respond to, as in the paper: the three methods side by side.
///
/// Shows, for the study's test samples, the average of the faces that excite a neuron most, and histograms of label entropy by
/// layer. Writes neurons.png, entropy.png, inspect.json and inspect.html. The averages may show people of the data set.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of a finished study, RUNS/NAME.
    #[arg(long, value_name = "DIR")]
    study: PathBuf,
    /// Inspect the nets trained on N samples.
    #[arg(long, value_name = "N", default_value_t = 1308)]
    samples: usize,
    /// Inspect the nets of this seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder to write to. By default STUDY/inspect.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Device to run the nets on.
    #[arg(long, value_enum, default_value_t = device::Choice::Auto)]
    device: device::Choice,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error for bad input or after an interruption.
    pub fn run(&self) -> crate::Result<()> {
        let device = device::choose(self.device)?;
        let OfStudy { nets, faces, labels } = OfStudy::open(&self.study, self.samples, self.seed, device)?;
        let out = self.out.clone().unwrap_or_else(|| self.study.join("inspect"));
        std::fs::create_dir_all(&out).map_err(|error| Error::BadInput(format!("{}: {error}", out.display())))?;
        let Findings { inspection, grids } =
            inspect::inspect(&nets, &faces, &labels, InspectionSettings::default(), &out)?;
        let page = report::inspection::page(&inspection, &grids);
        files::write_bytes(&out.join("inspect.html"), page.as_bytes())?;
        let mut text = format!("mean label entropy of neurons over {} faces, bits\n", inspection.ranked);
        for net in &inspection.nets {
            for layer in &net.layers {
                text += &format!("  {:<12} {:<20} {:.3}\n", net.name, layer.name, layer.mean);
            }
        }
        crate::error::print(&format!("{text}report  {}", out.join("inspect.html").display()))
    }
}
