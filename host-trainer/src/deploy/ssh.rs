//! The connection to a board: the system's own ssh, one connection for all that is to be done.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::HumanBytes;

use super::Version;
use crate::error::{Context, Error};
use crate::progress;

/// The board's part.
const SCRIPT: &str = include_str!("remote.sh");
/// Starts the board's part, which comes on stdin and is followed by what the part itself reads there: so it is taken byte by
/// byte, for a shell would take more. Any login shell reads these quotes alike.
const START: &str = r#"part="eval \"\$(dd bs=1 count=$1 2>/dev/null)\""; who=$2; shift 2
[ $who = anyone ] || [ $(id -u) = 0 ] || { sudo -n true || exit 77; exec sudo -n sh -c "$part" deploy "$@"; }
exec sh -c "$part" deploy "$@""#;
/// The exit code of [`START`] where sudo is refused.
const NO_SUDO: i32 = 77;
/// ssh's own exit code where it could not do its part.
const NO_CONNECTION: i32 = 255;
/// Bytes between two looks at the progress.
const PIECE: usize = 256 << 10;

/// How to reach a board.
pub struct Ssh {
    /// USER@ADDRESS, or a name of ssh's configuration.
    pub host: String,
    /// Arguments of ssh before the host, such as `-p 2222`.
    pub arguments: Vec<String>,
    /// Where the board's files begin: `/` but in tests.
    pub root: String,
}

/// What to do on a board.
pub enum Action<'a> {
    /// Put a version there and switch over.
    Deploy {
        /// The version.
        version: &'a Version,
        /// Whether the service is restarted and watched.
        service: bool,
        /// Seconds that it must stay up.
        settle: u16,
        /// Whether the board may run its bundle although it accepted a newer one before.
        older: bool,
        /// Whether the version need not be signed by a key of the board file in place.
        replace_keys: bool,
    },
    /// Go back to the version before.
    Rollback {
        /// As above.
        service: bool,
        /// As above.
        settle: u16,
    },
    /// Say what is there.
    Status,
    /// Give the lines of the manifest of the bundle that is there; none if there is none.
    Manifest,
}

impl Action<'_> {
    fn words(&self) -> Vec<String> {
        let service = |service: &bool| if *service { "yes" } else { "no" }.to_owned();
        match self {
            Action::Deploy { version, service: s, settle, older, replace_keys } => {
                let older = if *older { "older" } else { "newer" };
                let keys = if *replace_keys { "replace" } else { "keep" };
                let (id, kib) = (version.id(), version.kib().to_string());
                vec!["deploy".into(), id, kib, service(s), settle.to_string(), older.into(), keys.into()]
            }
            Action::Rollback { service: s, settle } => vec!["rollback".into(), service(s), settle.to_string()],
            Action::Status => vec!["status".into()],
            Action::Manifest => vec!["manifest".into()],
        }
    }

    /// Looking needs no rights.
    fn who(&self) -> &'static str {
        if matches!(self, Action::Status | Action::Manifest) { "anyone" } else { "root" }
    }
}

impl Ssh {
    /// Does it, with the board's talk on stderr, and gives the lines of its answer.
    ///
    /// # Errors
    /// Returns an error if the board cannot be reached, refuses or fails; its one line says what to do.
    pub fn perform(&self, action: &Action) -> crate::Result<Vec<String>> {
        let mut ssh = self.start(action)?;
        let (mut to, from, talk) = (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take());
        let ready = AtomicBool::new(false);
        let (answer, heard) = std::thread::scope(|scope| {
            let listener = scope.spawn(|| talk.map(|talk| listen(talk, &ready)).unwrap_or_default());
            // A board that has given up reads no more: what it said tells why, not the broken pipe.
            let _ = to.as_mut().map(|to| to.write_all(SCRIPT.as_bytes()));
            let mut answer = Vec::new();
            for line in from.into_iter().flat_map(|from| BufReader::new(from).lines()) {
                match (line.as_deref(), action) {
                    (Ok("ready"), _) => ready.store(true, Ordering::SeqCst),
                    (Ok("send"), Action::Deploy { version, .. }) => {
                        if let Some(to) = to.take() {
                            send(to, &version.archive()?)?;
                        }
                    }
                    // What a login shell greets with is no answer.
                    (Ok(line), _) if ready.load(Ordering::SeqCst) => answer.push(line.to_owned()),
                    (Ok(_), _) => {}
                    (Err(_), _) => break,
                }
            }
            drop(to.take());
            let heard = listener.join().unwrap_or_default();
            Ok::<_, Error>((answer, heard))
        })?;
        let status = ssh.wait().context("ssh cannot be waited for")?;
        let code = status.code().unwrap_or(NO_CONNECTION);
        match (code, heard.error) {
            (0, _) => Ok(answer),
            (2, Some(error)) => Err(Error::BadInput(format!("{}: {error}", self.host))),
            (NO_CONNECTION, _) if ready.into_inner() => Err(Error::Failed(format!(
                "{}: the connection was lost; the board goes on by itself once it has all files, and else keeps what it \
                 ran: look with --status, or deploy again",
                self.host
            ))),
            (NO_CONNECTION, _) => {
                // The same connection, as a shell takes it: with the port and the key that were given.
                let words = self.arguments.iter().chain([&self.host]).map(String::as_str);
                let command = shlex::try_join(words).unwrap_or_else(|_| self.host.clone());
                Err(Error::Failed(format!("{}: {}; try `ssh {command}`", self.host, heard.before)))
            }
            (NO_SUDO, _) => Err(Error::Failed(format!(
                "{}: sudo wants a password there: let this user do without (NOPASSWD in /etc/sudoers.d), or deploy as root",
                self.host
            ))),
            (_, Some(error)) => Err(Error::Failed(format!("{}: {error}", self.host))),
            (code, None) => Err(Error::Failed(format!(
                "{}: the board's part ended with exit code {code}: {}",
                self.host, heard.before
            ))),
        }
    }

    fn start(&self, action: &Action) -> crate::Result<Child> {
        let mut ssh = Command::new("ssh");
        // The first value of an option counts: the user's.
        ssh.args(&self.arguments);
        let options = [
            "ConnectTimeout=10",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=6",
            "LogLevel=ERROR",
            "Compression=yes",
        ];
        ssh.args(options.into_iter().flat_map(|option| ["-o", option]));
        let mut words = vec![SCRIPT.len().to_string(), action.who().into(), self.root.clone()];
        words.extend(action.words());
        ssh.args(["-T", "--", &self.host, &format!("sh -c '{}' start {}", START.replace('\n', "; "), words.join(" "))]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::BadInput("ssh is not installed: apt-get install openssh-client".into()),
            _ => Error::Failed(format!("ssh cannot be started: {error}")),
        })
    }
}

/// What was heard on stderr.
#[derive(Default)]
struct Heard {
    /// The board's last word, where it failed.
    error: Option<String>,
    /// What was said before the board's part had begun.
    before: String,
}

/// Shows the board's talk, and keeps what belongs into an error.
fn listen(talk: impl Read, ready: &AtomicBool) -> Heard {
    let mut heard = Heard::default();
    for line in BufReader::new(talk).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        match line.strip_prefix("error: ") {
            Some(error) => heard.error = Some(error.to_owned()),
            None if ready.load(Ordering::SeqCst) => eprintln!("{line}"),
            // ssh tells more than one thing at times; the last one counts.
            None if !line.is_empty() => heard.before = line.to_owned(),
            None => {}
        }
    }
    heard
}

/// Sends the archive. Where the board stops reading, its last word tells why.
fn send(mut to: impl Write, archive: &[u8]) -> crate::Result<()> {
    let all = archive.len() as u64;
    let bar = progress::bar(all, "sending");
    progress::line(&bar, &format!("sending {}", HumanBytes(all)));
    for piece in archive.chunks(PIECE) {
        match to.write_all(piece) {
            Ok(()) => bar.inc(piece.len() as u64),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(error).context("ssh takes no more"),
        }
    }
    bar.finish_and_clear();
    Ok(())
}
