//! `host-trainer draw`

use std::path::PathBuf;

use crate::dataset::layout::{self, Layout, Plan};

/// Draw a stand-in for a data set: rendered faces in its original layout, with as many pictures.
///
/// CK+, Oulu-CASIA, TFD, SFEW, RAF-DB and AffectNet are available only by agreement with their owners. A stand-in is read by
/// the same readers under the same protocols, so everything can be set up beforehand. The faces are rendered and show no real
/// person.
#[derive(clap::Args)]
pub struct Cmd {
    /// Data set whose layout to write.
    #[arg(long, value_enum)]
    layout: Layout,
    /// Folder to write: a new or an empty one.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed; the same seed draws the same faces.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of people. By default as many as the data set has; fewer people have fewer pictures.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=900))]
    subjects: Option<u32>,
    /// Side of the pictures in pixels. By default that of the data set.
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(32..=1024))]
    size: Option<u32>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the folder is not empty, assets are missing or the disk is full.
    pub fn run(&self) -> crate::Result<()> {
        let subjects = self.subjects.map(|count| count as usize);
        layout::write(self.layout, &self.out, Plan { seed: self.seed, subjects, size: self.size })
    }
}
