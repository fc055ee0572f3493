//! Flags about kept faces.

use crate::journal::{Config, Which};
use crate::number::whole;

/// Which faces a run keeps, and for how long.
// The flags about watching are a group of this name, too.
#[derive(clap::Args)]
#[group(id = "keep_faces_flags")]
pub struct Args {
    /// Also store aligned faces: of each record (all, the default value), those for which no label is likely enough
    /// (unsure), those whose label differs from the one before (changes), or one per track in SECONDS (every=SECONDS).
    /// These are pictures of people; the journal says that it holds them. none keeps none, true keeps what the board file chooses
    #[arg(
        long,
        value_name = "WHICH",
        num_args = 0..=1,
        default_missing_value = "all",
        help_heading = "Journal"
    )]
    keep_faces: Option<Choice>,
    /// Keep at most N faces of one track [default: the board's, or 20; no limit for all]
    #[arg(long, value_name = "N", value_parser = faces(), help_heading = "Journal")]
    keep_faces_per_track: Option<u32>,
    /// Keep at most N faces on one day in UTC [default: the board's, or 500; no limit for all]
    #[arg(long, value_name = "N", value_parser = faces(), help_heading = "Journal")]
    keep_faces_per_day: Option<u32>,
    /// Delete kept faces after N days [default: the board's, or when the journal is full]
    #[arg(
        long,
        value_name = "N",
        value_parser = whole::<u32>("a whole number of days", 1..=36_500),
        help_heading = "Journal"
    )]
    keep_faces_days: Option<u32>,
}

fn faces() -> impl Fn(&str) -> Result<u32, String> + Clone {
    whole("a whole number of faces", 0..=u32::MAX.into())
}

/// What `--keep-faces` says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    /// No faces, whatever the board file says.
    Nothing,
    /// Those that the board file chooses.
    Board,
    /// These.
    Which(Which),
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        match text {
            "none" | "false" => Ok(Choice::Nothing),
            "true" => Ok(Choice::Board),
            _ => text.parse().map(Choice::Which).map_err(|error: String| format!("{error}; none keeps no faces")),
        }
    }
}

impl Args {
    /// Whether they ask for something that a run without a journal cannot do.
    pub fn needs_journal(&self) -> bool {
        let limits = [self.keep_faces_per_track, self.keep_faces_per_day, self.keep_faces_days];
        self.keep_faces.is_some_and(|choice| choice != Choice::Nothing)
            || self.keep_faces.is_none() && limits.iter().any(Option::is_some)
    }

    /// Puts the flags over the settings of the board file.
    pub fn apply(&self, config: &mut Config) {
        if let Some(choice) = self.keep_faces {
            config.keep_faces = choice != Choice::Nothing;
        }
        if let Some(Choice::Which(which)) = self.keep_faces {
            config.keep_faces_which = which;
        }
        config.keep_faces_per_track = self.keep_faces_per_track.or(config.keep_faces_per_track);
        config.keep_faces_per_day = self.keep_faces_per_day.or(config.keep_faces_per_day);
        config.keep_faces_days = self.keep_faces_days.or(config.keep_faces_days);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn kept_faces_can_be_turned_off_and_on_over_the_board_file() {
        let board = |keep_faces| Config { keep_faces, keep_faces_which: Which::Unsure, ..Config::default() };
        for (flag, keeps, which) in [
            ("none", false, Which::Unsure),
            ("false", false, Which::Unsure),
            ("true", true, Which::Unsure),
            ("all", true, Which::All),
            ("every=30", true, Which::Every(30.0)),
        ] {
            for mut config in [board(true), board(false)] {
                let flags = Flags::try_parse_from(["run", "--keep-faces", flag]).unwrap();
                flags.args.apply(&mut config);
                assert_eq!((config.keep_faces, config.keep_faces_which), (keeps, which), "{flag}");
            }
        }
    }
}
