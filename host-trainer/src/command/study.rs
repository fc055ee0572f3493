//! `host-trainer study`

use expression_engine::files;

use super::training::{Numbering, Training};
use crate::device;
use crate::report;
use crate::study::Plan;

/// The paper's comparison: expression net from scratch, face net fine-tuned, FaceNet2ExpNet; one table, one plot.
///
/// Every method trains on the same samples, for each number of samples and each seed; --seed is not used. Each training has a
/// folder of its own below RUNS/NAME. The preset must tune the face net: that is the second method.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    training: Training,
    /// Numbers of training samples; calibration samples are held out beside them.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1308",
          value_parser = clap::value_parser!(u32).range(16..))]
    samples: Vec<u32>,
    /// How many seeds, from 1: other samples, other fresh weights.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seeds: u32,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Bad input, or an interruption.
    pub fn run(&self) -> crate::Result<()> {
        let (config, device) = self.training.configuration()?;
        let data = self.training.source()?;
        let folder = self.training.folder("-study", Numbering::Next);
        eprintln!("study {} on {}", folder.display(), device::name(device));
        let sizes: Vec<usize> = self.samples.iter().map(|count| *count as usize).collect();
        let plan = Plan {
            folder: &folder,
            config: &config,
            data: &data,
            sizes: &sizes,
            seeds: self.seeds.into(),
            resume: self.training.resume,
            overwrite: self.training.overwrite,
            device,
        };
        let study = plan.run()?;
        let [json, html] = ["study.json", "study.html"].map(|name| folder.join(name));
        files::write_bytes(&json, &serde_json::to_vec_pretty(&study)?)?;
        files::write_bytes(&html, report::study::page(&study).as_bytes())?;
        let places = format!("table   {}\nreport  {}", json.display(), html.display());
        crate::error::print(&format!("{}{places}", study.table()))
    }
}
