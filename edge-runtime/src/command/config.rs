//! `edge-runtime config`

use std::path::PathBuf;

use expression_engine::Error;
use expression_engine::error::{Result, print};

use super::settings::{self, Settings};
use crate::board::Board;

/// The schema of board files.
const SCHEMA: &str = include_str!("../../../boards/board.schema.json");

/// Check board files, and show every setting with where it comes from
///
/// Flags override variables, variables override the board file, and the board file overrides the defaults. Each flag of
/// `run` has a variable: --preview-rate is EDGE_RUNTIME_PREVIEW_RATE.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(Check),
    Show(Box<Show>),
    Schema(Schema),
}

/// Check board files without running anything; prints one line per file
///
/// Exit code 2 if one is wrong. Files that a board file names, such as the one with a password, need not be on this machine.
#[derive(clap::Args)]
struct Check {
    /// The board files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Show each setting that `run` would start with, as TOML, and where it comes from
///
/// Takes the flags of `run`. What is written can be used as a board file.
#[derive(clap::Args)]
struct Show {
    #[command(flatten)]
    run: super::run::Cmd,
}

/// Write the JSON schema of board files, for editors
#[derive(clap::Args)]
struct Schema {}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a board file or a flag is wrong, or if stdout cannot be written.
    pub fn run(&self, settings: Option<&Settings>) -> Result<()> {
        match (&self.command, settings) {
            (Command::Check(check), _) => check.files.iter().try_for_each(|file| {
                let path = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                let board = Board::read(file)?;
                settings::check(&board, &file.display().to_string())?;
                let (cli, _) = settings::parse(
                    ["edge-runtime", "run", "--board"].map(Into::into).into_iter().chain([path.into()]),
                    false,
                )?;
                cli.check(&board)?;
                print(&format!("{}: ok, {} ({})", file.display(), board.title, board.name))
            }),
            (Command::Show(show), Some(settings)) => {
                show.run.check(&settings.board)?;
                let rows = settings.table();
                let line = |(key, value, from): &(String, Option<String>, String)| match value {
                    Some(value) => format!("{key} = {value}  # {from}"),
                    None => format!("# {key} is not set"),
                };
                print(&rows.iter().map(line).collect::<Vec<_>>().join("\n"))
            }
            (Command::Show(_), None) => Err(Error::failure("no settings were read")),
            (Command::Schema(Schema {}), _) => print(SCHEMA.trim_end()),
        }
    }
}
