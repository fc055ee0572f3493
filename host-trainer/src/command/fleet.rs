//! `host-trainer fleet`, and `deploy --fleet`

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use expression_engine::line::tell;
use expression_engine::{Bundle, files};

use crate::assets::{NO_SHIPPED_BUNDLE, shipped_bundle};
use crate::deploy::{News, Step, Version, evidence};
use crate::error::{Context, Error, print};
use crate::fleet::{self, Fleet, Kind, Ledger, Member, Outcome, Plan};

/// Watch the boards of a fleet. `deploy --fleet` deploys to them.
///
/// See docs/fleet.md for fleet.toml.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    Status(Status),
    Prometheus(Prometheus),
}

/// Print the state of each board: version, model, uptime, frames per second, faces today, temperature, journal, last error.
///
/// Exit code 1 if a board cannot be reached or is not well.
#[derive(clap::Args)]
struct Status {
    /// The fleet.toml.
    #[arg(value_name = "FILE")]
    fleet: PathBuf,
    /// Only the boards of this group. Can be repeated.
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// Ask N boards at a time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Print one JSON object per board instead of a table.
    #[arg(long)]
    json: bool,
}

/// Print the fleet as a file for Prometheus' file_sd_configs: a target for each board that has `metrics`.
#[derive(clap::Args)]
struct Prometheus {
    /// The fleet.toml.
    #[arg(value_name = "FILE")]
    fleet: PathBuf,
    /// Only the boards of this group. Can be repeated.
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// Replace this file in one step instead of printing to stdout.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the fleet's file is wrong, or a board is not well.
    pub fn run(&self) -> crate::Result<()> {
        match &self.command {
            Subcommand::Status(cmd) => cmd.run(),
            Subcommand::Prometheus(cmd) => cmd.run(),
        }
    }
}

impl Status {
    fn run(&self) -> crate::Result<()> {
        let fleet = Fleet::open(&self.fleet)?;
        let members = fleet.select(&self.group)?;
        let boards = fleet::status(&members, self.parallel.into(), Duration::from_secs(20));
        if self.json {
            boards.iter().try_for_each(|board| print(&serde_json::to_string(board)?))?;
        } else {
            print(&fleet::table(&boards))?;
        }
        let (ill, all) = (boards.iter().filter(|board| !board.is_well()).count(), boards.len());
        if ill == 0 { Ok(()) } else { Err(Error::Failed(format!("{ill} of {all} boards are not well"))) }
    }
}

impl Prometheus {
    fn run(&self) -> crate::Result<()> {
        let fleet = Fleet::open(&self.fleet)?;
        if let Some(output) = &self.output {
            files::refuse_overwriting(output, [&self.fleet])?;
        }
        let members = fleet.select(&self.group)?;
        let without = members.iter().filter(|member| member.metrics.is_none()).count();
        if without > 0 {
            tell(format_args!("{without} of {} boards have no `metrics` and are left out", members.len()));
        }
        let text = fleet::service_discovery(&members)?;
        match &self.output {
            Some(path) => Ok(files::write_bytes(path, format!("{text}\n").as_bytes())?),
            None => print(&text),
        }
    }
}

/// The flags of `deploy --fleet`.
#[derive(clap::Args)]
#[command(next_help_heading = "Fleet")]
pub struct RollOut {
    /// Deploy to the boards of this fleet.toml: canaries first, then the rest; stop at the first that fails.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["board", "host", "identity", "ssh_option", "no_service", "settle", "status", "rollback", "root"])]
    pub fleet: Option<PathBuf>,
    /// Only the boards of this group. Can be repeated.
    #[arg(long, value_name = "NAME", requires = "fleet")]
    group: Vec<String>,
    /// Deploy to N boards at a time.
    #[arg(long, value_name = "N", default_value_t = 8, requires = "fleet", value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Number of boards that must run the version before the rest get it.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "fleet")]
    canary: u16,
    /// Give up on a board after SECONDS without a sign of life, not counting the time for which its service is watched.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u16).range(1..))]
    pub patience: u16,
}

/// What a deployment may do although something speaks against it.
#[derive(Debug, Clone, Copy)]
pub struct Permissions {
    /// Deploy bundles whose evidence is against them.
    pub accept_worse: bool,
    /// Deploy bundles that are older than one that a board accepted before.
    pub older: bool,
    /// Deploy versions that no key of the board file in place has signed.
    pub replace_keys: bool,
}

impl RollOut {
    /// Deploys to the fleet. `bundle` and `binary` override those of its file.
    ///
    /// # Errors
    /// Returns an error if the fleet's file or a version is bad input, or if a board does not run its version in the end.
    pub fn run(
        &self,
        path: &Path,
        binary: Option<&Path>,
        bundle: Option<&Path>,
        permissions: Permissions,
    ) -> crate::Result<()> {
        let begun = Instant::now();
        let Permissions { accept_worse, older, replace_keys } = permissions;
        let fleet = Fleet::open(path)?;
        let members = fleet.select(&self.group)?;
        let parts = |member: &Member| {
            let bundle = bundle.map(Path::to_owned).or_else(|| member.bundle.clone());
            let binary = binary.map(Path::to_owned).or_else(|| member.binary.clone());
            (member.board.clone(), binary, bundle)
        };
        let mut versions = HashMap::new();
        for member in &members {
            if let Entry::Vacant(place) = versions.entry(parts(member)) {
                let (board, binary, bundle) = place.key();
                let gather = || -> crate::Result<Version> {
                    let bundle = &bundle_of(bundle.clone(), path, shipped_bundle)?;
                    if !accept_worse {
                        // Which of many bundles the boards run is not asked: the evidence itself must not be against it.
                        let told = evidence::check(Bundle::open(bundle)?.manifest(), || Ok(None))?;
                        told.iter().for_each(|line| tell(format_args!("warning: {line}")));
                    }
                    Version::gather(board, binary.as_deref(), bundle, None)
                };
                let version = gather().with_context(|| format!("boards.{}", member.name))?;
                place.insert(version);
            }
        }
        let jobs: Vec<_> = members.iter().map(|member| (*member, &versions[&parts(member)])).collect();
        let plan = Plan {
            parallel: self.parallel.into(),
            canary: self.canary.into(),
            patience: Duration::from_secs(self.patience.into()),
            older,
            replace_keys,
        };
        let mut ledger = Ledger::open(path)?;
        let all = jobs.len();
        tell(format_args!("looking at {all} boards"));
        let show = |board: &str, news: News| match news {
            News::Line(line) => tell(format_args!("{board}: {line}")),
            News::Step(Step::Sending) => tell(format_args!("{board}: sending")),
            News::Step(_) | News::Sent { .. } => {}
        };
        let ended = |board: &str, outcome: &Outcome| tell(format_args!("{board}: {}", line(outcome)));
        let report = fleet::roll_out(&jobs, &plan, &mut ledger, &show, &ended)?;
        for (board, outcome) in &report.outcomes {
            print(&format!("{board}: {}", line(outcome)))?;
        }
        let runs = report.count(Kind::Runs);
        print(&format!(
            "{runs} of {all} boards run their version; {:.1} minutes",
            begun.elapsed().as_secs_f64() / 60.0
        ))?;
        let (stopped, left) = (report.outcomes.values().any(Outcome::stops), all - runs);
        match (report.interrupted, stopped) {
            _ if left == 0 => Ok(()),
            (true, _) => Err(Error::Failed("interrupted; give the same command again to continue".into())),
            (_, true) => Err(Error::Failed(
                "a board failed with this version, and no further board was started; fix the cause, and deploy again"
                    .into(),
            )),
            _ => Err(Error::Failed(format!("{left} of {all} boards do not run their version; their lines say why"))),
        }
    }
}

/// The bundle of a board: the one that is named, or else the shipped one, which need not be there if it is not needed.
fn bundle_of(
    named: Option<PathBuf>,
    fleet: &Path,
    shipped: impl FnOnce() -> Option<PathBuf>,
) -> crate::Result<PathBuf> {
    let missing = || Error::BadInput(format!("{NO_SHIPPED_BUNDLE}; set bundle in {}", fleet.display()));
    named.or_else(shipped).ok_or_else(missing)
}

fn line(outcome: &Outcome) -> String {
    match outcome.kind {
        Kind::Runs => outcome.kind.name().to_owned(),
        kind => format!("{}: {}", kind.name(), outcome.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_bundle_is_looked_for_only_if_it_is_needed() {
        let fleet = Path::new("site/fleet.toml");
        let named = bundle_of(Some("kitchen".into()), fleet, || unreachable!("looked for")).unwrap();
        assert_eq!(named, Path::new("kitchen"));
        assert_eq!(bundle_of(None, fleet, || Some("shipped".into())).unwrap(), Path::new("shipped"));
        let error = bundle_of(None, fleet, || None).unwrap_err().to_string();
        assert!(
            error.contains("no models/ferplus-edge") && error.ends_with("set bundle in site/fleet.toml"),
            "{error}"
        );
    }
}
