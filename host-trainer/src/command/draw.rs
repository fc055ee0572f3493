//! `host-trainer draw`

use std::path::PathBuf;

use crate::dataset::layout::{self, Layout, Plan};

/// Writes rendered faces in the original layout of a data set, with as many pictures as the set has.
///
/// CK+, Oulu-CASIA, TFD and SFEW are given out by agreement with their owners. What this command writes is read by the same
/// readers under the same protocols, so that all else can be set up before. It shows nobody.
#[derive(clap::Args)]
pub struct Cmd {
    /// Whose layout.
    #[arg(long, value_enum)]
    layout: Layout,
    /// Folder to be written; one that holds something is refused.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The same seed draws the same faces.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many people; fewer people have fewer pictures.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=900))]
    subjects: Option<u32>,
    /// Side of a picture in pixels.
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(32..=1024))]
    size: Option<u32>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// A folder that holds something, missing assets, a full disk.
    pub fn run(&self) -> crate::Result<()> {
        let subjects = self.subjects.map(|count| count as usize);
        layout::write(self.layout, &self.out, Plan { seed: self.seed, subjects, size: self.size })
    }
}
