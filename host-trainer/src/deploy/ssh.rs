//! The connection to a board: the system's own ssh, one connection for all that is to be done.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::failure::{Cause, Failure};
use super::news::{News, Step, Tell};
use super::version::Version;

/// The board's part.
const SCRIPT: &str = include_str!("remote.sh");
/// Starts the board's part, which comes on stdin and is followed by what the part itself reads there: so it is taken byte by
/// byte, for a shell would take more. Any login shell reads these quotes alike.
const START: &str = r#"part="eval \"\$(dd bs=1 count=$1 2>/dev/null)\""; who=$2; shift 2
[ $who = anyone ] || [ $(id -u) = 0 ] || { sudo -n true || exit 77; exec sudo -n sh -c "$part" deploy "$@"; }
exec sh -c "$part" deploy "$@""#;
/// The exit code of [`START`] if sudo is refused.
const NO_SUDO: i32 = 77;
/// ssh's own exit code if it failed itself.
const NO_CONNECTION: i32 = 255;
/// Bytes between two looks at the progress.
const PIECE: usize = 256 << 10;
/// Time between two looks at whether a board has gone quiet.
const LOOK: Duration = Duration::from_millis(200);

/// How to reach a board.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// USER@ADDRESS, or a name of ssh's configuration.
    pub host: String,
    /// Arguments of ssh before the host, such as `-p 2222`.
    pub arguments: Vec<String>,
    /// Where the board's files begin: `/` but in tests.
    pub root: String,
    /// Give up a board from which nothing was heard for this long. ssh by itself gives up only if the network is at fault.
    pub patience: Duration,
    /// Whether ssh may ask at the terminal, for a password or whether a new host is to be trusted.
    pub interactive: bool,
}

/// What a service that was just started must say of itself, asked by `edge-runtime health`: that it is ready, that camera and
/// journal work, and that the version's model runs. A part that failed before the switch is not held against the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Seconds within which it must be well.
    pub within: u16,
    /// Parts whose failing is no reason to go back: `camera`, `journal`.
    pub ignore: Vec<String>,
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
        /// What the service must then say of itself; without it, it is not asked.
        health: Option<HealthCheck>,
    },
    /// Say whether a version could be put there, and change nothing. Answers `is there` if it runs already, `busy` while
    /// another deployment is at work.
    Survey {
        /// The version.
        version: &'a Version,
        /// Whether there must be a service manager.
        service: bool,
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
            Action::Deploy { version, service: s, settle, older, replace_keys, health } => {
                let ignored = health.as_ref().map(|health| health.ignore.join(",")).filter(|parts| !parts.is_empty());
                let within = health.as_ref().map_or(0, |health| health.within);
                let mut words = vec!["deploy".into(), version.id(), version.kib().to_string(), service(s)];
                words.extend([settle.to_string(), if *older { "older" } else { "newer" }.into(), within.to_string()]);
                words.extend([version.model().to_owned(), ignored.unwrap_or_else(|| "none".into())]);
                words.push(if *replace_keys { "replace" } else { "keep" }.into());
                words
            }
            Action::Survey { version, service: s } => {
                let kib = version.kib().to_string();
                vec!["survey".into(), version.id(), kib, service(s), version.machine().into()]
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
    /// Does it on this one board, tells what happens meanwhile, and gives the lines of the board's answer.
    ///
    /// # Errors
    /// Returns a failure if the board cannot be reached, refuses or fails; its one line says what to do.
    pub fn perform(&self, action: &Action, tell: &Tell) -> Result<Vec<String>, Failure> {
        let archive = match action {
            Action::Deploy { version, .. } => version.archive().map_err(|error| self.failed(error.to_string()))?,
            _ => Vec::new(),
        };
        let mut ssh = self.start(action)?;
        let watched = Watched::new(tell);
        let (mut to, from, talk) = (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take());
        let mut answer = Vec::new();
        let (heard, given_up) = std::thread::scope(|scope| {
            let (ended, end) = mpsc::channel::<()>();
            let (watched, id) = (&watched, ssh.id());
            let watchdog = scope.spawn(move || self.give_up_when_quiet(watched, id, &end));
            let listener = scope.spawn(|| talk.map(|talk| listen(talk, watched)).unwrap_or_default());
            // A board that has given up reads no more: what it said tells why, not the broken pipe.
            let _ = to.as_mut().map(|to| to.write_all(SCRIPT.as_bytes()));
            for line in from.into_iter().flat_map(|from| BufReader::new(from).split(b'\n')) {
                let Ok(line) = line.map(|line| plain(&line)) else { break };
                let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
                match (first, rest) {
                    ("ready", "") => watched.step(Step::Looking),
                    // What a login shell greets with is no answer.
                    _ if watched.at() == Step::Connecting => {}
                    ("send", "") => {
                        watched.step(Step::Sending);
                        if let Some(to) = to.take() {
                            send(to, &archive, watched);
                        }
                    }
                    ("step", name) => Step::named(name).into_iter().for_each(|step| watched.step(step)),
                    _ => answer.push(line),
                }
            }
            drop(to.take());
            let heard = listener.join().unwrap_or_default();
            // Before ssh is waited for: until then its process id is nobody else's.
            drop(ended);
            (heard, watchdog.join().unwrap_or_default())
        });
        let status = ssh.wait().map_err(|error| self.failed(format!("ssh cannot be waited for: {error}")))?;
        let code = status.code().unwrap_or(NO_CONNECTION);
        // A forced command or a login shell can end well without having begun the board's part.
        let is_done = code == 0 && watched.at() > Step::Connecting;
        if is_done { Ok(answer) } else { Err(self.failure(code, watched.at(), heard, given_up)) }
    }

    /// Ends an ssh that has been quiet for too long; returns whether it did. Returns once the other end of `end` is gone.
    fn give_up_when_quiet(&self, watched: &Watched, id: u32, end: &mpsc::Receiver<()>) -> bool {
        while end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if watched.quiet() > self.patience {
                if let Ok(id) = libc::pid_t::try_from(id) {
                    let id = if self.interactive { id } else { -id };
                    // SAFETY: it sends a signal to processes that were started here and are not yet waited for.
                    unsafe { libc::kill(id, libc::SIGKILL) };
                }
                return true;
            }
        }
        false
    }

    fn failure(&self, code: i32, at: Step, heard: Heard, given_up: bool) -> Failure {
        // The same connection, as a shell takes it: with the port and the key that were given.
        let words = self.arguments.iter().chain([&self.host]).map(String::as_str);
        let command = format!("ssh {}", shlex::try_join(words).unwrap_or_else(|_| self.host.clone()));
        let said = if heard.before.is_empty() { "ssh said nothing" } else { &heard.before };
        let (cause, reason) = match (code, heard.error) {
            (NO_CONNECTION, _) if given_up => {
                let seconds = self.patience.as_secs();
                let what = if at == Step::Connecting { "no answer" } else { "nothing more was heard" };
                (Cause::Lost, format!("{what} for {seconds} s; check the board, and try again"))
            }
            (NO_CONNECTION, _) if at > Step::Connecting => (
                Cause::Lost,
                "the connection was lost; the board continues by itself if it has all files, and otherwise keeps what it \
                 ran: check with --status, or deploy again"
                    .to_owned(),
            ),
            (NO_CONNECTION, _) => (Cause::Lost, format!("{said}; try `{command}`")),
            (0, _) => (
                Cause::Failed,
                format!("ssh ended without running the commands that it was given ({said}); try `{command} id`"),
            ),
            (2, Some(error)) => (Cause::Refused, error),
            (NO_SUDO, _) => (
                Cause::Failed,
                "sudo wants a password there: let this user do without (NOPASSWD in /etc/sudoers.d), or deploy as root"
                    .to_owned(),
            ),
            (_, Some(error)) => (Cause::Failed, error),
            (code, None) => (Cause::Failed, format!("the board's part ended with exit code {code}: {said}")),
        };
        Failure { host: self.host.clone(), at, cause, reason }
    }

    fn failed(&self, reason: String) -> Failure {
        Failure { host: self.host.clone(), at: Step::Connecting, cause: Cause::Failed, reason }
    }

    fn start(&self, action: &Action) -> Result<Child, Failure> {
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
        if !self.interactive {
            // A group that can be ended with its helpers, such as the ssh to a jump host. Ctrl-C does not reach it: what is
            // under way on a board is ended in good order.
            ssh.process_group(0);
        }
        ssh.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure {
                cause: Cause::Refused,
                ..self.failed("ssh is not installed here: apt-get install openssh-client".into())
            },
            _ => self.failed(format!("ssh cannot be started: {error}")),
        })
    }
}

/// How far it has come, and when something was last heard.
struct Watched<'a> {
    tell: &'a Tell<'a>,
    at: std::sync::Mutex<Step>,
    begun: Instant,
    /// Milliseconds from the beginning to the last news.
    heard_ms: AtomicU64,
    is_ready: AtomicBool,
}

impl<'a> Watched<'a> {
    fn new(tell: &'a Tell<'a>) -> Watched<'a> {
        let (heard_ms, is_ready) = (AtomicU64::new(0), AtomicBool::new(false));
        Watched { tell, at: std::sync::Mutex::default(), begun: Instant::now(), heard_ms, is_ready }
    }

    fn tell(&self, news: News) {
        self.heard_ms.store(self.begun.elapsed().as_millis() as u64, SeqCst);
        (self.tell)(news);
    }

    fn step(&self, step: Step) {
        *self.at.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = step;
        self.is_ready.store(step > Step::Connecting, SeqCst);
        self.tell(News::Step(step));
    }

    fn at(&self) -> Step {
        *self.at.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn quiet(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.heard_ms.load(SeqCst)))
    }
}

/// Whether a text is a host, or a user at one, that ssh takes neither for an option nor for several words.
pub fn is_host(text: &str) -> bool {
    let (user, address) = text.rsplit_once('@').unwrap_or(("user", text));
    let is_name = |name: &str| !name.is_empty() && !name.starts_with(['-', '@']);
    is_name(user) && is_name(address) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The two parts of HOST:PORT, which ssh takes for a name; `None` if there is no port. IPv6 addresses have several colons, and
/// ssh reads the port of `ssh://HOST:PORT` itself.
pub fn port_of_host(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':').filter(|_| !text.starts_with("ssh://"))?;
    let address = host.rsplit('@').next().unwrap_or(host);
    let is_whole = !address.contains(':') || (address.starts_with('[') && address.ends_with(']'));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_whole && is_port).then_some((host, port))
}

/// What was heard on stderr.
#[derive(Default)]
struct Heard {
    /// The board's last word, if it failed.
    error: Option<String>,
    /// What was said before the board's part had begun.
    before: String,
}

/// Passes the board's talk on, and keeps what belongs into an error.
fn listen(talk: impl Read, watched: &Watched) -> Heard {
    let mut heard = Heard::default();
    for line in BufReader::new(talk).split(b'\n').map_while(Result::ok) {
        let line = plain(&line);
        let line = line.as_str();
        match line.strip_prefix("error: ") {
            Some(error) => heard.error = Some(error.to_owned()),
            None if watched.is_ready.load(SeqCst) => watched.tell(News::Line(line)),
            // ssh tells more than one thing at times; the last one counts.
            None if !line.is_empty() => heard.before = line.to_owned(),
            None => {}
        }
    }
    heard
}

/// A line of the board without control characters: it must not steer the terminal that shows it.
fn plain(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().replace(|c: char| c.is_control() && c != '\t', " ")
}

/// Sends the archive. If the board stops reading, or ssh ends, what is heard from them tells why.
fn send(mut to: impl Write, archive: &[u8], watched: &Watched) {
    let all = archive.len() as u64;
    let mut bytes = 0;
    watched.tell(News::Sent { bytes, all });
    for piece in archive.chunks(PIECE) {
        if to.write_all(piece).is_err() {
            return;
        }
        bytes += piece.len() as u64;
        watched.tell(News::Sent { bytes, all });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_told_from_an_ipv6_address() {
        for (text, parts) in [
            ("pi@127.0.0.1:29", Some(("pi@127.0.0.1", "29"))),
            ("board.local:2222", Some(("board.local", "2222"))),
            ("pi@[2001:db8::6]:22", Some(("pi@[2001:db8::6]", "22"))),
            ("pi@2001:db8::6", None),
            ("2001:db8::22", None),
            ("pi@[::1]", None),
            ("ssh://pi@board:22", None),
            ("pi@board", None),
            ("12:34@board", None),
        ] {
            assert_eq!(port_of_host(text), parts, "{text}");
        }
    }
}
