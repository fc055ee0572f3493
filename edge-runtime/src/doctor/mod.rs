//! Checks whether a board is fit for the runtime: one finding per check, each with what to do.

mod access;
mod board;
mod camera;
mod clock;
mod heat;
mod model;
mod storage;
mod unit;

use expression_engine::error::Result;
use expression_engine::line::one_line;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use access::User;

use crate::board::Board;
use crate::camera::DeviceInfo;
use crate::trust::Policy;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// The runtime works, but something is missing or will be a problem.
    Warn,
    /// The runtime does not work like this.
    Fail,
}

impl Outcome {
    /// The word that stands before the check.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
        }
    }
}

/// What was found by a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// Its result.
    pub outcome: Outcome,
    /// What was found.
    pub found: String,
    /// What to do; `None` if there is nothing to do.
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding { check, outcome: Outcome::Ok, found: found.into(), advice: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, outcome: Outcome::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, outcome: Outcome::Fail, found: found.into(), advice: Some(advice.into()) }
    }

    /// A failure whose message says already what to do.
    fn refused(check: &'static str, message: impl Into<String>) -> Finding {
        Finding { check, outcome: Outcome::Fail, found: message.into(), advice: None }
    }

    /// The finding in a line.
    pub fn line(&self) -> String {
        let advice = self.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
        one_line(&format!("{:<5} {:<11} {}{advice}", self.outcome.name(), self.check, self.found))
    }
}

/// The machine that is looked at.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Where its files begin: `/` except in tests.
    pub root: PathBuf,
    /// Who would run the runtime.
    pub user: User,
    /// The cameras that answer.
    pub cameras: Vec<DeviceInfo>,
}

impl Machine {
    /// This machine, and the user who asks.
    pub fn this() -> Machine {
        Machine { root: "/".into(), user: User::current(), cameras: crate::camera::devices() }
    }

    /// An absolute path below the root. A relative one is that of the current folder, as it is for `run`.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        match path.strip_prefix("/") {
            Ok(below) => self.root.join(below),
            Err(_) => path.to_owned(),
        }
    }

    /// Device files by the beginning of their names, `video` for instance, in the order of their numbers.
    fn devices(&self, prefix: &str) -> Vec<PathBuf> {
        let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse::<u32>().ok();
        let entries = std::fs::read_dir(self.path("/dev")).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| number(path).is_some()).collect();
        paths.sort_by_key(number);
        paths
    }

    /// A path as it is called on the machine itself.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .map_or_else(|_| path.to_owned(), |below| Path::new("/").join(below))
            .display()
            .to_string()
    }
}

/// What to check instead of the defaults.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// A board by name or path, instead of the installed or detected one.
    pub board: Option<String>,
    /// The bundle, instead of the board's.
    pub bundle: Option<PathBuf>,
    /// The journal, instead of the board's.
    pub journal: Option<PathBuf>,
    /// The source, instead of the board's.
    pub source: Option<String>,
    /// Keys besides the board's.
    pub trust: crate::trust::Flags,
}

pub use crate::board::INSTALLED_BOARD;

/// Returns the findings of every check, in the order in which one would mend things.
///
/// # Errors
/// Returns an error if no board can be loaded at all.
pub fn findings(machine: &Machine, question: &Question) -> Result<Vec<Finding>> {
    let (board, first) = board::recognised(machine, question.board.as_deref())?;
    let Board { camera, paths, .. } = &board;
    let journal = question.journal.as_ref().unwrap_or(&paths.journal);
    let mut findings = vec![first, model::kernels()];
    let bundle = question.bundle.as_ref().unwrap_or(&paths.bundle);
    findings.extend(match Policy::new(Some(&board), &question.trust, &machine.root) {
        Ok(policy) => model::bundle(bundle, &policy),
        Err(error) => vec![Finding::refused("signature", error.to_string())],
    });
    findings.extend(camera::camera_checks(machine, question.source.as_ref().unwrap_or(&camera.source)));
    findings.push(clock::clock(crate::clock::is_synchronised(), std::time::SystemTime::now()));
    findings.extend(heat::heat(
        &crate::board::thermal::Sensors::find(&machine.root, &board.thermal).read(),
        &board.thermal,
    ));
    findings.push(storage::disk(machine, journal));
    findings.push(storage::journal(machine, journal));
    findings.extend(board::parts(machine, &board));
    findings.push(unit::unit(machine));
    Ok(findings)
}

#[cfg(test)]
mod tests;
