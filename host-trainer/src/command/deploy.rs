//! `host-trainer deploy`

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use expression_engine::Bundle;
use expression_engine::bundle::Manifest;
use expression_engine::line::tell;
use indicatif::{HumanBytes, ProgressBar};

use super::fleet::{Permissions, RollOut};
use super::key::PasswordArgs;
use crate::assets::{self, NO_SHIPPED_BUNDLE};
use crate::deploy::{Action, HealthCheck, News, Ssh, Version, evidence, is_host, port_of_host};
use crate::error::Error;
use crate::progress;

/// Deploy the runtime to a board over ssh: program, bundle, board file and service, as one version.
///
/// The new version is checked on the board (doctor, self-test), switched to in one step, and must stay up. Otherwise the
/// previous version is restored and the exit code is 1. Deploying the version that already runs changes nothing, and an
/// interrupted deploy leaves the running version in place. See docs/deploy.md.
#[derive(clap::Args)]
pub struct Cmd {
    /// Name of a built-in board, or path of a board file.
    #[arg(long, value_name = "NAME|FILE", required_unless_present_any = ["status", "rollback", "fleet"])]
    board: Option<String>,
    /// Address of the board, as for ssh. A user other than root needs sudo without a password.
    #[arg(long, value_name = "USER@ADDRESS", value_parser = host, required_unless_present = "fleet")]
    host: Option<String>,
    /// Port of the board's ssh server.
    #[arg(long, value_name = "N", conflicts_with = "fleet", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Private key to log in with.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Further ssh option, such as ProxyJump=gateway. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    ssh_option: Vec<String>,
    /// Folder of the bundle. By default the shipped one, models/ferplus-edge. A missing detector is added.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Program to deploy. By default the one that `cargo xtask build --board` built for this board.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Sign program and bundle with this secret key, if it has not signed them yet. See docs/trust.md.
    #[arg(long, value_name = "FILE", requires = "board")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordArgs,
    /// Let the board run this bundle although it accepted a newer one before. Its log and journal say so.
    #[arg(long, conflicts_with_all = ["status", "rollback"])]
    allow_older_bundle: bool,
    /// Trust the keys of the new board file alone, for example after a secret key was lost. Otherwise the version must also be
    /// signed by a key that the board trusts now.
    #[arg(long, conflicts_with_all = ["status", "rollback"])]
    replace_keys: bool,
    /// Do not install or restart the service, for boards without systemd.
    #[arg(long, conflicts_with = "status")]
    no_service: bool,
    /// Deploy the bundle even if its evidence says that it is worse than the one it was adapted from.
    #[arg(long, conflicts_with_all = ["status", "rollback"])]
    accept_worse: bool,
    /// Time that the service must stay up once it is ready, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    settle: u16,
    /// Then check the service's health (ready, camera, journal, model), and go back unless all are well within SECONDS.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["status", "no_service", "fleet"])]
    health: Option<u16>,
    /// Print which versions are on the board and change nothing.
    #[arg(long, conflicts_with_all = ["board", "bundle", "binary", "rollback"])]
    status: bool,
    /// Switch back to the previous version. A second rollback switches forward again.
    #[arg(long, conflicts_with_all = ["board", "bundle", "binary"])]
    rollback: bool,
    /// Root of the board's files, for tests.
    #[arg(long, hide = true, default_value = "/", value_parser = root)]
    root: String,
    #[command(flatten)]
    roll_out: RollOut,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a part is missing or not made for the board, the board cannot be reached, or the version does not
    /// stay up.
    pub fn run(&self) -> crate::Result<()> {
        if let Some(fleet) = &self.roll_out.fleet {
            return self.roll_out.run(
                fleet,
                self.binary.as_deref(),
                self.bundle.as_deref(),
                Permissions {
                    accept_worse: self.accept_worse,
                    older: self.allow_older_bundle,
                    replace_keys: self.replace_keys,
                },
            );
        }
        let host = self.host.clone().unwrap_or_default();
        let watched = u64::from(self.settle) + u64::from(self.health.unwrap_or(0));
        let patience = Duration::from_secs(u64::from(self.roll_out.patience) + watched);
        let (arguments, root) = (self.ssh_arguments(), self.root.clone());
        let ssh = Ssh { host, arguments, root, patience, interactive: true };
        let console = Console::default();
        let perform = |action: &Action| ssh.perform(action, &|news| console.show(news));
        let (service, settle) = (!self.no_service, self.settle);
        let health = self.health.map(|within| HealthCheck { within, ignore: Vec::new() });
        let answer = match &self.board {
            Some(board) => {
                let bundle = match &self.bundle {
                    Some(folder) => folder.clone(),
                    None => assets::shipped_bundle()
                        .ok_or_else(|| Error::BadInput(format!("{NO_SHIPPED_BUNDLE}; give --bundle DIR")))?,
                };
                let key = self.sign.as_deref().map(|file| self.password.open(file)).transpose()?;
                let version = Version::gather(board, self.binary.as_deref(), &bundle, key.as_ref())?;
                if !self.accept_worse {
                    check_evidence(&ssh, &bundle)?;
                }
                let (older, replace_keys) = (self.allow_older_bundle, self.replace_keys);
                perform(&Action::Deploy { version: &version, service, settle, older, replace_keys, health })?
            }
            None if self.rollback => perform(&Action::Rollback { service, settle })?,
            None => perform(&Action::Status)?,
        };
        answer.iter().try_for_each(|line| crate::error::print(line))
    }

    fn ssh_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(identity) = &self.identity {
            arguments.extend(["-i".to_owned(), identity.display().to_string()]);
        }
        arguments.extend(self.ssh_option.iter().flat_map(|option| ["-o".to_owned(), option.clone()]));
        arguments
    }
}

/// Shows on stderr what happens on one board.
#[derive(Default)]
struct Console(Mutex<Option<ProgressBar>>);

impl Console {
    fn show(&self, news: News) {
        let mut sending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::Step(_) => {}
            News::Line(line) => tell(line),
            News::Sent { bytes, all } => {
                let bar = sending.get_or_insert_with(|| {
                    let bar = progress::bar(all, "sending");
                    progress::line(&bar, &format!("sending {}", HumanBytes(all)));
                    bar
                });
                bar.set_position(bytes);
                if bytes == all {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

/// Refuses a bundle whose evidence says that it is worse than the one it was adapted from.
fn check_evidence(ssh: &Ssh, bundle: &Path) -> crate::Result<()> {
    let on_board = || -> crate::Result<Option<Manifest>> {
        let text = ssh.perform(&Action::Manifest, &|_| {})?.join("\n");
        // A manifest that cannot be read is no reason to keep the bundle that it belongs to.
        Ok(Manifest::from_toml(&text, Path::new("the board's bundle")).ok())
    };
    let told = evidence::check(Bundle::open(bundle)?.manifest(), on_board)?;
    told.iter().for_each(|line| tell(format_args!("warning: {line}")));
    Ok(())
}

/// A host that ssh does not take for an option.
fn host(text: &str) -> Result<String, String> {
    match port_of_host(text) {
        Some((host, port)) => Err(format!("--host must not contain a port; give --host {host} --port {port}")),
        None if is_host(text) => Ok(text.to_owned()),
        None => Err("give USER@ADDRESS".into()),
    }
}

/// A path that every shell reads as one word.
fn root(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let is_path = text.starts_with('/') && text.chars().all(is_plain);
    if is_path { Ok(text.to_owned()) } else { Err("give an absolute path of plain letters".into()) }
}
