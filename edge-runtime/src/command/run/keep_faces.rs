//! Flags about kept faces.

use crate::journal::{Config, Which};

/// Which faces a run keeps, and for how long.
// The flags about watching are a group of this name, too.
#[derive(clap::Args)]
#[group(id = "keep_faces_flags")]
pub struct Args {
    /// Also store aligned faces: of each record (all, the default value), those for which no label is likely enough
    /// (unsure), those whose label differs from the one before (changes), or one per track in SECONDS (every=SECONDS).
    /// These are pictures of people; the journal says that it holds them
    #[arg(
        long,
        value_name = "WHICH",
        num_args = 0..=1,
        default_missing_value = "all",
        requires = "journal",
        help_heading = "Journal"
    )]
    keep_faces: Option<Which>,
    /// Keep at most N faces of one track [default: the board's, or 20; no limit for all]
    #[arg(long, value_name = "N", requires = "journal", help_heading = "Journal")]
    keep_faces_per_track: Option<u32>,
    /// Keep at most N faces on one day in UTC [default: the board's, or 500; no limit for all]
    #[arg(long, value_name = "N", requires = "journal", help_heading = "Journal")]
    keep_faces_per_day: Option<u32>,
    /// Delete kept faces after N days [default: the board's, or when the journal is full]
    #[arg(long, value_name = "N", requires = "journal", value_parser = clap::value_parser!(u32).range(1..=36_500), help_heading = "Journal")]
    keep_faces_days: Option<u32>,
}

impl Args {
    /// Puts the flags over the settings of the board file.
    pub fn apply(&self, config: &mut Config) {
        if let Some(which) = self.keep_faces {
            config.keep_faces = true;
            config.keep_faces_which = which;
        }
        config.keep_faces_per_track = self.keep_faces_per_track.or(config.keep_faces_per_track);
        config.keep_faces_per_day = self.keep_faces_per_day.or(config.keep_faces_per_day);
        config.keep_faces_days = self.keep_faces_days.or(config.keep_faces_days);
    }
}
