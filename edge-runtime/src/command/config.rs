//! `edge-runtime config`

use std::path::{Path, PathBuf};

use expression_engine::Error;
use expression_engine::error::{Context, Result, print};
use expression_engine::line::one_line;

use super::settings::{self, Settings};
use crate::board::{self, Board};
use crate::camera;

/// The schema of board files.
const SCHEMA: &str = include_str!("../../../boards/board.schema.json");

/// Check board files, and show every setting with where it comes from
///
/// Flags override variables, variables override the board file, and the board file overrides the defaults. Each flag of
/// `run` that a board file can hold has a variable: --preview-rate is EDGE_RUNTIME_PREVIEW_RATE.
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
/// Exit code 2 if one is wrong. Files that a board file names, such as the one with a password, need not be on this machine; a
/// warning names those that are not.
#[derive(clap::Args)]
struct Check {
    /// The board files, or names of built-in boards
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
            (Command::Check(check), _) => check.run(),
            (Command::Show(show), Some(settings)) => {
                show.run.check(&settings.board)?;
                let rows = settings.table();
                let is_secret = |value: &str| camera::without_password(value) != value;
                for (key, ..) in rows.iter().filter(|(_, value, _)| value.as_deref().is_some_and(is_secret)) {
                    tracing::warn!(
                        "{key} is shown with its password, which a board file needs; take care who reads it"
                    );
                }
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

impl Check {
    fn run(&self) -> Result<()> {
        let mut wrong = 0;
        for file in &self.files {
            match (check(file), self.files.as_slice()) {
                (Ok(board), _) => {
                    print(&one_line(&format!("{}: ok, {} ({})", file.display(), board.title, board.name)))?;
                }
                (Err(error), [_]) => return Err(error),
                (Err(error), _) => {
                    wrong += 1;
                    print(&error.to_string())?;
                }
            }
        }
        match wrong {
            0 => Ok(()),
            wrong => {
                let total = self.files.len();
                Err(Error::bad_input(format!("{wrong} of {total} board files are wrong; the lines above say why")))
            }
        }
    }
}

/// Checks a board file or a built-in board. The error names it.
fn check(file: &Path) -> Result<Board> {
    let name = file.display().to_string();
    // As `--board` takes it.
    let (board, path) = match !file.exists() && board::names().any(|known| known == name) {
        true => (Board::open(&name)?, file.to_owned()),
        false => (Board::read(file)?, std::path::absolute(file).unwrap_or_else(|_| file.to_owned())),
    };
    settings::check(&board, &name)?;
    let arguments = ["edge-runtime", "run", "--board"].map(Into::into).into_iter().chain([path.into()]);
    let (cli, _) = settings::try_parse(arguments.collect(), false)?
        .map_err(|error| Error::bad_input(format!("{name}: {}", settings::reason(&error))))?;
    cli.check(&board).context(&name)?;
    for found in &board.settings {
        let path = found.value().filter(|_| found.setting.flag.ends_with("_file"));
        if let Some(path) = path.filter(|path| !Path::new(path).exists()) {
            tracing::warn!("{name}, line {}: {}: there is no {path} on this machine", found.line, found.setting.key);
        }
    }
    Ok(board)
}
