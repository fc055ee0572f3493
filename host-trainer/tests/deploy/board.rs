//! A board to deploy to: an ssh server of this machine, a folder that is taken for its root, and stand-ins for what would
//! change the machine itself.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub const SSHD: &str = "/usr/sbin/sshd";

/// Says past the capture of the test harness, which shows only what failing tests print, that something was not tested.
pub fn skipped(what: &str) {
    tell(&format!("skipped: {what}"));
}

/// Says a line past that capture.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `edge-runtime` for this machine, without what only a debugger wants.
pub fn edge_runtime() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "edge-runtime"]).current_dir(workspace());
        // cargo's own value, handed on, would look like one of the person's, and build scripts would run again.
        let configured = workspace().join(".assets/libtorch").canonicalize().ok();
        if std::env::var_os("LIBTORCH").and_then(|folder| Path::new(&folder).canonicalize().ok()) == configured {
            build.env_remove("LIBTORCH");
        }
        assert!(build.status().unwrap().success(), "cargo build fails");
        let built = Path::new(env!("CARGO_BIN_EXE_host-trainer")).with_file_name("edge-runtime");
        let small = Path::new(env!("CARGO_TARGET_TMPDIR")).join("edge-runtime-to-deploy");
        let strip = Command::new("strip").arg("-o").arg(&small).arg(&built).status();
        if strip.is_ok_and(|status| status.success()) { small } else { built }
    })
}

/// A board that answers ssh.
pub struct Board {
    folder: tempfile::TempDir,
    sshd: Child,
    port: u16,
}

/// Starts an ssh server whose keys lie in `folder`, and returns it with its port. Another server may have taken the port in the meantime:
/// then there is a new one.
fn serve(folder: &Path) -> (Child, u16) {
    let at = folder.display();
    for _ in 0..10 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host-key\nAuthorizedKeysFile {at}/key.pub\nStrictModes no\n\
             UsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin yes\n\
             SetEnv PATH={at}/stand-ins:/usr/sbin:/usr/bin:/sbin:/bin\n"
        );
        fs::write(folder.join("sshd_config"), config).unwrap();
        let log = fs::File::create(folder.join("sshd.log")).unwrap();
        let mut sshd = Command::new(SSHD);
        sshd.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
        let mut sshd = sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        loop {
            let log = fs::read_to_string(folder.join("sshd.log")).unwrap_or_default();
            if log.contains("Server listening on") {
                return (sshd, port);
            }
            if sshd.try_wait().unwrap().is_some() {
                assert!(log.contains("Address already in use"), "sshd: {log}");
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "sshd: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    panic!("no free port");
}

impl Board {
    /// One with systemd; `None`, and a line that says so, where this machine has no ssh server.
    pub fn start() -> Option<Board> {
        if !Path::new(SSHD).exists() {
            skipped(&format!("deploying: no {SSHD} here; `sudo apt-get install openssh-server` brings it"));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["host-key", "key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.path().join(name));
            assert!(keygen.status().unwrap().success());
        }
        // A server that root starts wants this folder.
        if is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let (sshd, port) = serve(folder.path());
        let board = Board { folder, sshd, port };
        fs::create_dir_all(board.path("run/systemd/system")).unwrap();
        let systemctl = include_str!("systemctl.sh").replace("@ROOT@", &board.root().display().to_string());
        board.stand_in("systemctl", &systemctl);
        for name in ["systemd-sysusers", "udevadm", "journalctl"] {
            board.stand_in(name, &format!("#!/bin/sh\necho \"{name} $*\" >>{}/calls\n", board.root().display()));
        }
        board.stand_in("sudo", "#!/bin/sh\n[ \"$1\" = -n ] || exit 1\nshift\nexec \"$@\"\n");
        Some(board)
    }

    /// The user that this test runs as.
    pub fn user() -> String {
        let user = Command::new("id").arg("-un").output().unwrap();
        String::from_utf8(user.stdout).unwrap().trim().to_owned()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The private key that opens it.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// Options of ssh that keep the person's own keys and files out of it.
    pub fn ssh_options(&self) -> Vec<String> {
        let known = format!("UserKnownHostsFile={}/known", self.folder.path().display());
        let others = ["StrictHostKeyChecking=no", "Compression=no", "IdentitiesOnly=yes", "BatchMode=yes"];
        [known].into_iter().chain(others.map(str::to_owned)).collect()
    }

    /// What its ssh server logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("sshd.log")).unwrap()
    }

    /// A stand-in for tar that takes some KiB, and then ends the board's ssh server with all its connections.
    pub fn dies_after(&self, kib: u32) -> String {
        format!(
            "#!/bin/sh\ndd bs=1024 count={kib} iflag=fullblock of=/dev/null 2>/dev/null\nkill -9 {}\nat=$$\n\
             until grep -q '^sshd' /proc/$at/comm; do at=$(cut -d' ' -f4 /proc/$at/stat); done\n\
             kill -9 \"$at\"\nexit 1\n",
            self.sshd.id()
        )
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A path of the board.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// A place for the workstation's files.
    pub fn desk(&self, path: &str) -> PathBuf {
        let path = self.folder.path().join("desk").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Puts a program before all others on the board's path.
    pub fn stand_in(&self, name: &str, text: &str) {
        let folder = self.folder.path().join("stand-ins");
        fs::create_dir_all(&folder).unwrap();
        let (path, draft) = (folder.join(name), folder.join(".draft"));
        fs::write(&draft, text).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(draft, path).unwrap();
    }

    pub fn without(&self, name: &str) {
        fs::remove_file(self.folder.path().join("stand-ins").join(name)).unwrap();
    }

    /// `host-trainer deploy` to this board.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let user = Board::user();
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-trainer"));
        command.args(["deploy", "--host", &format!("{user}@127.0.0.1"), "--port", &self.port.to_string()]);
        command.arg("--identity").arg(self.key());
        for option in self.ssh_options() {
            command.args(["--ssh-option", &option]);
        }
        command.arg("--root").arg(self.root()).args(["--settle", "1"]).args(arguments);
        command
    }

    /// Deploys a version whose board file has `note`, with the bundle in `bundle`.
    pub fn deploy_command(&self, note: &str, bundle: &Path) -> Command {
        let board = fs::read_to_string(workspace().join("boards/generic-x86-64.toml")).unwrap();
        let path = self.desk("board.toml");
        assert!(board.contains("notes = []"));
        fs::write(&path, board.replace("notes = []", &format!("notes = [{note:?}]"))).unwrap();
        let mut command = self.command(&[]);
        command.arg("--board").arg(path).arg("--bundle").arg(bundle).arg("--binary").arg(edge_runtime());
        command
    }

    /// Deploys such a version and the shipped bundle, and gives what came of it.
    pub fn deploy(&self, note: &str) -> Outcome {
        Outcome::of(&mut self.deploy_command(note, &workspace().join("models/ferplus-edge")))
    }

    pub fn status(&self) -> Outcome {
        Outcome::of(&mut self.command(&["--status"]))
    }

    /// What a link leads to, current or previous.
    pub fn version(&self, link: &str) -> Option<String> {
        let leads = fs::read_link(self.path("opt/edge-runtime").join(link)).ok()?;
        Some(leads.strip_prefix("versions").unwrap().display().to_string())
    }

    /// The names of the versions on the board.
    pub fn versions(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("opt/edge-runtime/versions")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The note of the board file that the service would read.
    pub fn runs(&self) -> String {
        let board = fs::read_to_string(self.path("etc/edge-runtime/board.toml")).unwrap();
        board.split("notes = [\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    /// How often the service was restarted.
    pub fn restarts(&self) -> usize {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().filter(|line| line.starts_with("restart ")).count()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

fn is_root() -> bool {
    // SAFETY: it has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// What came of a command.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub answer: String,
    pub talk: String,
}

impl Outcome {
    pub fn of(command: &mut Command) -> Outcome {
        Outcome::from(command.output().unwrap())
    }

    /// Of a command that must succeed: its answer.
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.answer
    }

    /// Of a command that must fail with this exit code: its one line.
    pub fn error(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.talk.contains("panicked"), "{self:#?}");
        let errors: Vec<&str> = self.talk.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{self:#?}");
        errors[0].to_owned()
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { code: output.status.code(), answer: text(output.stdout), talk: text(output.stderr) }
    }
}
