//! `host-trainer study`

use expression_engine::files;

use super::training::{Numbering, Training};
use crate::device;
use crate::report;
use crate::study::Plan;

/// Repeat the paper's comparison of three methods: from scratch, fine-tuned face net, FaceNet2ExpNet.
///
/// For each number of samples and each seed, all methods train on the same samples; --seed has no effect. The results are one
/// table and one plot, study.json and study.html in RUNS/NAME. The preset must tune the face net, which is the second method.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    training: Training,
    /// Numbers of training samples, separated by commas. Calibration samples come on top.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1308",
          value_parser = clap::value_parser!(u32).range(16..))]
    samples: Vec<u32>,
    /// Use the seeds 1 to N. Each draws other samples and other initial weights.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seeds: u32,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error for bad input or after an interruption.
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
