//! Where the settings of `run` come from: flags over environment over board file over defaults.
//!
//! clap reads all of them. A variable belongs to each flag, and what the board file says is given to clap as flags, unless a
//! flag or a variable says otherwise. So each value is read and checked in one place, whoever gave it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, Resettable, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use expression_engine::Error;
use expression_engine::error::Result;

use super::Cli;
use crate::board::{Board, Entry, Kind, SETTINGS, Setting, nearest};
use crate::camera;
#[cfg(feature = "mqtt")]
use crate::telemetry::{TelemetryError, mqtt::Address};

/// Begins the name of each variable.
const PREFIX: &str = "EDGE_RUNTIME_";
/// Begins the names of variables by which the tests start programs of their own.
const OF_TESTS: &str = "EDGE_RUNTIME_TEST_";
/// Flags of `run` that are no settings: they are about one run, or add to what the board file trusts.
pub const ONE_OFF: [&str; 7] = ["board", "frames", "print", "profile", "keys", "allow_older", "no_sandbox"];

/// Those among them that have no variable, as they are written.
const WITHOUT_VARIABLE: [&str; 6] = ["frames", "print", "profile", "trust-key", "allow-older-bundle", "no-sandbox"];
/// What the variable of `--journal` says in the service's unit: record, unless the board file's `journal.record` says otherwise.
const AUTO: &str = "auto";

/// The settings of a run, as far as they are not flags.
#[derive(Debug)]
pub struct Settings {
    /// The board, from its file.
    pub board: Board,
    /// What the board file is called in messages.
    pub file: String,
    /// Those that a flag or a variable gave: its setting, where from, and the text.
    given: Vec<(Setting, ValueSource, String)>,
    /// The whole command line, with what came from the board file, and without passwords of cameras: the journal keeps it.
    pub line: String,
}

/// Reads the program's arguments, and the environment too if `variables` says so. Wrong usage ends the program, as does `--help`.
///
/// # Errors
/// Returns an error if the board file is missing or wrong, or if a variable has a wrong value.
pub fn parse(arguments: impl IntoIterator<Item = OsString>, variables: bool) -> Result<(Cli, Option<Settings>)> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match try_parse(arguments.clone(), variables)? {
        Ok(parsed) => Ok(parsed),
        Err(error) => match of_variable(&error, &arguments).or_else(|| of_requirement(&error)).filter(|_| variables) {
            Some(error) => Err(error),
            None => error.exit(),
        },
    }
}

/// The error about a flag that is missing while variables are set, one of which may ask for it.
fn of_requirement(error: &clap::Error) -> Option<Error> {
    let is_set = |name: &String| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut set: Vec<String> = SETTINGS.iter().map(|setting| variable(setting.flag)).filter(is_set).collect();
    set.dedup();
    let is_one = error.kind() == clap::error::ErrorKind::MissingRequiredArgument && !set.is_empty();
    is_one.then(|| Error::bad_input(format!("{}; these variables are set: {}", reason(error), set.join(", "))))
}

/// What clap makes of arguments, or its error about wrong usage.
type Parsed = std::result::Result<(Cli, Option<Settings>), clap::Error>;

/// [`parse`], which returns wrong usage instead of ending the program.
///
/// # Errors
/// Returns an error if the board file is missing or wrong.
pub fn try_parse(mut arguments: Vec<OsString>, variables: bool) -> Result<Parsed> {
    let command = with_home(if variables { with_variables(Cli::command()) } else { Cli::command() });
    // What a flag requires may be in the board file, which is not read yet.
    let first = match without_requirements(command.clone()).try_get_matches_from(&arguments) {
        Ok(first) => first,
        Err(error) => return Ok(Err(error)),
    };
    let settings = match asking(&first) {
        Some(matches) => {
            let name = matches.get_one::<String>("board").map(String::as_str);
            let board = match name.map_or_else(Board::detect, Board::open) {
                Err(error) if matches.value_source("board") == Some(ValueSource::EnvVariable) => {
                    let (variable, name) = (variable("board"), name.unwrap_or_default());
                    return Err(Error::bad_input(format!("{variable}={name}: {error}")));
                }
                opened => opened?,
            };
            let file = name.map_or_else(|| format!("{}.toml", board.name), str::to_owned);
            check(&board, &file)?;
            let mut given: Vec<_> = SETTINGS.iter().filter_map(|setting| given(matches, setting)).collect();
            let mut flags: Vec<OsString> = Vec::new();
            let journal = SETTINGS.iter().find(|setting| setting.flag == "journal");
            let journal = journal.filter(|_| variables && std::env::var_os(variable("journal")) == Some(AUTO.into()));
            let is_said = |setting: &&Setting| {
                given.iter().any(|(known, ..)| known == *setting)
                    || board.settings.iter().any(|found| found.setting == **setting)
            };
            if let Some(journal) = journal.filter(|setting| !is_said(setting)) {
                given.push((*journal, ValueSource::EnvVariable, String::new()));
                flags.push("--journal".into());
            }
            let is_given = |setting: Setting| given.iter().any(|(known, ..)| *known == setting);
            let from_file = board.settings.iter().filter(|found| !is_given(found.setting));
            flags.extend(from_file.flat_map(|found| &found.flags).map(OsString::from));
            // Right behind the subcommand: behind a `--` they would be no flags.
            let place = after_subcommand(&arguments);
            arguments.splice(place..place, flags);
            let words = arguments.iter().skip(1).map(|word| camera::without_password(&word.to_string_lossy()));
            let words: Vec<String> = words.collect();
            let line = words.join(" ");
            Some(Settings { board, file, given, line })
        }
        None => None,
    };
    let cli = command.try_get_matches_from(&arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let lacking =
        cli.as_ref().err().zip(settings.as_ref()).and_then(|(error, settings)| of_board_file(error, settings));
    match lacking {
        Some(error) => Err(error),
        None => Ok(cli.map(|cli| (cli, settings))),
    }
}

/// The error about a flag that is missing and that settings of the board file ask for, by the names of their keys.
fn of_board_file(error: &clap::Error, settings: &Settings) -> Option<Error> {
    let (clap::error::ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    let flag = missing.first()?.split(' ').next()?.strip_prefix("--")?.replace('-', "_");
    let needed = SETTINGS.iter().find(|setting| setting.flag == flag)?.key;
    let table = |key: &'static str| key.split_once('.').map(|(table, _)| table);
    // A flag or a variable may ask for it as well; clap's own words are right then.
    if settings.given.iter().any(|(given, ..)| table(given.key) == table(needed)) {
        return None;
    }
    let asks = settings.board.settings.iter().find(|found| table(found.setting.key) == table(needed))?;
    let (file, line, table) = (&settings.file, asks.line, table(needed)?);
    Some(Error::bad_input(format!(
        "{file}, line {line}: [{table}] lacks {needed}; add it, or remove what is set there"
    )))
}

/// The place behind `run` or `config show`. No flag that may stand before them takes a value.
fn after_subcommand(arguments: &[OsString]) -> usize {
    let after = |from: usize, name: &str| {
        let found = arguments.iter().skip(from).position(|word| word == name);
        found.map(|found| from + found + 1)
    };
    let first = arguments.iter().skip(1).find(|word| *word == "run" || *word == "config");
    let place = match first {
        Some(word) if word == "config" => after(1, "config").and_then(|from| after(from, "show")),
        _ => after(1, "run"),
    };
    place.unwrap_or(arguments.len())
}

/// The error about a flag that was not given, but whose variable was.
fn of_variable(error: &clap::Error, arguments: &[OsString]) -> Option<Error> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = argument.split(' ').next()?;
    let is_given = arguments.iter().any(|word| {
        let word = word.to_string_lossy();
        word == flag || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))
    });
    let variable = variable(&flag.strip_prefix("--")?.replace('-', "_"));
    let value = std::env::var_os(&variable).filter(|value| !is_given && !value.is_empty())?;
    let value = camera::without_password(&value.to_string_lossy());
    Some(Error::bad_input(format!("{variable}={value}: {}", reason(error))))
}

/// What clap says is wrong, in one line.
pub fn reason(error: &clap::Error) -> String {
    match std::error::Error::source(error) {
        Some(reason) => reason.to_string(),
        None => {
            let text = error.to_string();
            let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
            lines.join(" ").trim_start_matches("error: ").to_owned()
        }
    }
}

/// Warns of variables that look like those of flags and are none.
pub fn warn_of_unknown_variables() {
    let known: Vec<String> = SETTINGS.iter().map(|setting| variable(setting.flag)).chain([variable("board")]).collect();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if let Some(flag) = WITHOUT_VARIABLE.iter().find(|flag| variable(&flag.replace('-', "_")) == name) {
            tracing::warn!("the variable {name} changes nothing: --{flag} has no variable; give the flag");
            continue;
        }
        if !name.starts_with(PREFIX) || name.starts_with(OF_TESTS) || known.iter().any(|known| *known == name) {
            continue;
        }
        match nearest(&name, known.iter().map(String::as_str)) {
            Some(nearest) => {
                tracing::warn!("the variable {name} is not known and changes nothing; did you mean {nearest}?")
            }
            None => {
                tracing::warn!("the variable {name} is not known and changes nothing; `config show` lists the settings")
            }
        }
    }
}

/// Checks what a board file says in place of flags, as the flags would be.
///
/// # Errors
/// Returns an error that names the file, the line, the key and what is wrong.
pub fn check(board: &Board, file: &str) -> Result<()> {
    let command = without_requirements(Cli::command());
    for found in &board.settings {
        let key = found.setting.key;
        let words = ["edge-runtime", "run"].into_iter().chain(found.flags.iter().map(String::as_str));
        if let Err(error) = command.clone().try_get_matches_from(words) {
            let reason = match error.kind() {
                clap::error::ErrorKind::UnknownArgument => {
                    "this build of the program lacks it; remove the key, or build with its cargo feature".into()
                }
                _ => reason(&error),
            };
            let line = found.line;
            return Err(Error::bad_input(format!(
                "{file}, line {line}: {key}: {reason}; boards/README.md explains each key"
            )));
        }
        let is_relative = |path: &&str| *path != "false" && !path.starts_with('/') && !path.starts_with("~/");
        if let Some(path) = found.value().filter(|_| found.setting.flag == "journal").filter(is_relative) {
            let line = found.line;
            return Err(Error::bad_input(format!(
                "{file}, line {line}: {key}: {path} does not begin with a slash; boards/README.md explains each key"
            )));
        }
        #[cfg(feature = "mqtt")]
        if let Some(Err(TelemetryError::Broker { text, why })) =
            found.value().filter(|_| found.setting.flag == "mqtt").map(Address::parse)
        {
            let line = found.line;
            return Err(Error::bad_input(format!(
                "{file}, line {line}: {key} = {text}: {why}; write mqtt://USER@HOST:1883/PREFIX"
            )));
        }
    }
    Ok(())
}

/// The flags of the command that runs with settings, if one does.
fn asking(matches: &ArgMatches) -> Option<&ArgMatches> {
    match matches.subcommand()? {
        ("run", matches) => Some(matches),
        ("config", matches) => matches.subcommand_matches("show"),
        _ => None,
    }
}

/// A setting that a flag or a variable gave.
fn given(matches: &ArgMatches, setting: &Setting) -> Option<(Setting, ValueSource, String)> {
    // A build may lack the flag.
    matches.try_contains_id(setting.flag).ok()?;
    let source = matches.value_source(setting.flag).filter(|source| *source != ValueSource::DefaultValue)?;
    let values = matches.get_raw(setting.flag).into_iter().flatten().map(|value| value.to_string_lossy());
    Some((*setting, source, values.collect::<Vec<_>>().join(", ")))
}

fn with_run(command: Command, change: impl Fn(Command) -> Command) -> Command {
    command.mut_subcommands(|command| match command.get_name() {
        "run" => change(command),
        "config" => command.mut_subcommands(|inner| if inner.get_name() == "show" { change(inner) } else { inner }),
        _ => command,
    })
}

fn with_variables(command: Command) -> Command {
    with_run(command, |run| {
        run.mut_args(|argument| match argument.get_id().as_str() {
            name if ONE_OFF[1..].contains(&name) => argument,
            name => {
                let variable = variable(name);
                let is_auto = |value: &OsString| name == "journal" && value == AUTO;
                match std::env::var_os(&variable).is_some_and(|value| value.is_empty() || is_auto(&value)) {
                    // As if it was not set, which is what systemd's `Environment=NAME=` is for. The board file decides about the
                    // other one.
                    true => argument,
                    false => argument.env(variable).hide_env(true),
                }
            }
        })
    })
}

/// Lets each path begin with `~/`, which a shell leaves as it is in `--journal=~/journal.sqlite`, in quotes and in variables.
fn with_home(command: Command) -> Command {
    let expand =
        |path: PathBuf| path.to_str().map(|text| expression_engine::files::from_home(text).into()).unwrap_or(path);
    let command =
        command.mut_args(|argument| match argument.get_value_parser().type_id() == std::any::TypeId::of::<PathBuf>() {
            true => argument.value_parser(PathBufValueParser::new().map(expand)),
            false => argument,
        });
    command.mut_subcommands(with_home)
}

fn without_requirements(command: Command) -> Command {
    with_run(command, |run| run.mut_args(|argument| argument.requires(Resettable::Reset)))
}

/// The variable of a flag.
fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_uppercase())
}

impl Settings {
    /// Every key with its value as TOML and where it comes from; the value is `None` if it is not set.
    pub fn table(&self) -> Vec<(String, Option<String>, String)> {
        let from_file = |entry: &Entry| (Some(entry.value.clone()), format!("{}, line {}", self.file, entry.line));
        let mut rows: Vec<(String, Option<String>, String)> = Vec::new();
        for entry in &self.board.entries {
            let (value, from) = self.given(&entry.key).unwrap_or_else(|| from_file(entry));
            rows.push((entry.key.clone(), value, from));
        }
        let journal = toml::Table::try_from(crate::journal::Config::default()).unwrap_or_default();
        let defaults = journal.iter().map(|(key, value)| (format!("journal.{key}"), Some(value.to_string())));
        let unset = SETTINGS.iter().map(|setting| (setting.key.to_owned(), default_of(setting)));
        for (key, value) in defaults.chain(unset) {
            if !rows.iter().any(|(known, ..)| *known == key) {
                let (value, from) = self.given(&key).unwrap_or((value, "default".to_owned()));
                rows.push((key, value, from));
            }
        }
        rows
    }

    /// What a flag or a variable gave for a key, as TOML, and which.
    fn given(&self, key: &str) -> Option<(Option<String>, String)> {
        let (setting, source, text) = self.given.iter().find(|(setting, ..)| setting.key == key)?;
        if key == "journal.keep_faces_which" && matches!(text.as_str(), "none" | "true" | "false") {
            return None;
        }
        let from = match source {
            ValueSource::EnvVariable => variable(setting.flag),
            _ => format!("--{}", setting.flag.replace('_', "-")),
        };
        Some((Some(as_toml(setting, text)), from))
    }
}

/// The default of a setting that no board file has, as TOML.
fn default_of(setting: &Setting) -> Option<String> {
    let command = Cli::command();
    let flag = command.find_subcommand("run")?.get_arguments().find(|flag| flag.get_id() == setting.flag)?;
    let values: Vec<_> = flag.get_default_values().iter().filter_map(|value| value.to_str()).collect();
    (!values.is_empty()).then(|| as_toml(setting, &values.join(", ")))
}

/// A flag's text as the value of its key.
fn as_toml(setting: &Setting, text: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match setting.kind {
        Kind::OfBoard(factor) if factor > 1 => {
            text.parse::<u64>().map_or_else(|_| quoted(text), |number| (number * factor).to_string())
        }
        Kind::Given => (!matches!(text, "none" | "false")).to_string(),
        Kind::List => format!("[{}]", text.split(", ").map(quoted).collect::<Vec<_>>().join(", ")),
        // `--journal` without a file.
        Kind::SwitchOrPath if text.is_empty() => "true".to_owned(),
        Kind::SwitchOrPath if text == "true" || text == "false" => text.to_owned(),
        Kind::OfBoard(_) | Kind::Integer | Kind::Switch
            if text.parse::<f64>().is_ok() || text == "true" || text == "false" =>
        {
            text.to_owned()
        }
        // A board file has absolute paths only.
        _ if setting.kind == Kind::SwitchOrPath || setting.key.starts_with("paths.") => {
            let path = std::path::absolute(expression_engine::files::from_home(text));
            quoted(&path.map_or_else(|_| text.to_owned(), |path| path.display().to_string()))
        }
        _ => quoted(text),
    }
}
