//! Confinement by Landlock, Linux's sandbox for programs without privileges: once a thread has entered it, the thread and all that
//! it starts can open only what was named before. What is open already stays open.
//!
//! If a decoder of pictures, video, requests or a broker's packets is taken over, it can then neither read other files nor write
//! anywhere but to the journal's folder, nor connect elsewhere. `docs/hardware.md` lists what a run may open.

use std::fmt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

/// The newest version of Landlock whose restrictions are asked for. Older kernels enforce those that they know.
const NEWEST: ABI = ABI::V6;
/// What every run reads: its own state, the kernel's settings, sensors.
const ALWAYS_READ: [&str; 8] = [
    "/proc/self",
    "/proc/sys",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/device-tree",
    "/sys",
    "/etc/machine-id",
];
/// Devices that libraries open: SQLite seeds its random numbers from one, and children get another for their stdin.
const ALWAYS_WRITE: [&str; 2] = ["/dev/null", "/dev/urandom"];
/// Where names of hosts and certificates of authorities are looked up. `/etc/resolv.conf` may lead to one of three folders below `/run`.
/// Certificates in `/etc/ssl/certs` are links to where packages and administrators put them.
const LOOKED_UP: [&str; 10] = [
    "/etc",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/ssl",
    "/usr/lib",
    "/lib",
    "/lib64",
];
/// Where other programs keep what they need for a moment.
const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// The port of name servers.
const NAMES: u16 = 53;

/// What may still be opened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Files, and folders with all below them, that are read.
    pub read: Vec<PathBuf>,
    /// Folders in which files are written, created, renamed and removed.
    pub write: Vec<PathBuf>,
    /// Folders in which Unix sockets are made and removed.
    pub sockets: Vec<PathBuf>,
    /// Whether cameras, GPIO chips or I2C buses are used: all of `/dev`, since a camera that is plugged in again is a new file.
    /// Permissions decide which devices the user may open.
    pub devices: bool,
    /// Whether other programs are started. They inherit the sandbox, and what they need is not known: they may read and execute
    /// everything, write to `/dev`, `/tmp` and `/var/tmp` besides [`Sandbox::write`], and connect to every port.
    pub programs: bool,
    /// TCP ports that are listened on; 0 is any that the system chooses.
    pub listen: Vec<u16>,
    /// TCP ports that are connected to.
    pub connect: Vec<u16>,
    /// Whether host names and certificates are looked up.
    pub names: bool,
}

/// How far a sandbox is enforced. It displays as one line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InForce {
    /// All that was asked for.
    Whole(String),
    /// What this kernel knows; older ones do not restrict ports, devices or signals.
    Partly(String),
    /// Nothing: the reason.
    Nothing(&'static str),
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InForce::Whole(what) => write!(f, "sandbox: {what}"),
            InForce::Partly(what) => write!(f, "sandbox, as far as this kernel supports it: {what}"),
            InForce::Nothing(why) => {
                write!(f, "no sandbox: {why}; the program can open everything that its user may open")
            }
        }
    }
}

impl Sandbox {
    /// Confines the calling thread and all threads and programs that it starts from now on, for good. Threads that run already are
    /// not confined, so call it before the first is started. It also stops programs with a set-user-ID bit from gaining privileges.
    ///
    /// Paths that do not exist are passed over.
    ///
    /// # Errors
    /// Returns an error if the kernel has Landlock and refuses the rules. A kernel without it is not an error.
    pub fn enter(&self) -> Result<InForce, RulesetError> {
        let reading = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        let writing = make_bitflags!(AccessFs::{
            ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile
        });
        let devices = make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | IoctlDev});
        let connects = AccessNet::ConnectTcp;
        let mut ports = BitFlags::from(AccessNet::BindTcp);
        if !self.programs {
            ports |= connects;
        }
        let mut scopes = Scope::from_all(NEWEST);
        if std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| socket.as_encoded_bytes().starts_with(b"@")) {
            // systemd is reached by such a socket if it offers one.
            scopes.remove(Scope::AbstractUnixSocket);
        }
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(ports)?
            .scope(scopes)?
            .create()?
            .add_rules(path_beneath_rules(ALWAYS_READ.map(Path::new).into_iter().chain(paths(&self.read)), reading))?
            .add_rules(path_beneath_rules(ALWAYS_WRITE, devices))?
            .add_rules(path_beneath_rules(&self.write, writing))?
            .add_rules(path_beneath_rules(&self.sockets, make_bitflags!(AccessFs::{MakeSock | RemoveFile})))?
            .add_rules(self.listen.iter().map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::BindTcp))))?;
        if self.devices || self.programs {
            rules = rules.add_rules(path_beneath_rules(["/dev"], devices))?;
        }
        if self.names {
            rules = rules.add_rules(path_beneath_rules(LOOKED_UP, reading))?;
        }
        if self.programs {
            rules = rules
                .add_rules(path_beneath_rules(["/"], reading | AccessFs::Execute))?
                .add_rules(path_beneath_rules(SCRATCH, writing))?;
        } else {
            let names = self.names.then_some(NAMES);
            let ports = self.connect.iter().copied().chain(names);
            rules = rules.add_rules(ports.map(|port| Ok::<_, RulesetError>(NetPort::new(port, connects))))?;
        }
        let status = rules.restrict_self()?;
        Ok(match (status.ruleset, status.landlock) {
            (RulesetStatus::FullyEnforced, landlock) => InForce::Whole(self.line(&landlock)),
            (RulesetStatus::PartiallyEnforced, landlock) => InForce::Partly(self.line(&landlock)),
            (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
                InForce::Nothing("Landlock is not enabled; add it to the kernel's parameter lsm=")
            }
            (RulesetStatus::NotEnforced, _) => InForce::Nothing("this kernel is built without Landlock"),
        })
    }

    fn line(&self, landlock: &LandlockStatus) -> String {
        let version = match landlock {
            LandlockStatus::Available { kernel_abi: Some(newer), .. } => newer.to_string(),
            LandlockStatus::Available { effective_abi, .. } => (*effective_abi as i32).to_string(),
            _ => "unknown".into(),
        };
        let list = |paths: &[PathBuf]| match paths {
            [] => "nothing else".to_owned(),
            [path] => path.display().to_string(),
            [path, more @ ..] => format!("{} and {} more", path.display(), more.len()),
        };
        let ports = |ports: &[u16]| match ports {
            [] => "none".to_owned(),
            ports => ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" "),
        };
        if self.programs {
            return format!(
                "Landlock {version}: reads everything, for the program that frames come from; writes {}; listens on {}",
                list(&self.write),
                ports(&self.listen),
            );
        }
        format!(
            "Landlock {version}: reads {}; writes {}; devices {}; listens on {}; connects to {}",
            list(&self.read),
            list(&self.write),
            if self.devices { "yes" } else { "no" },
            ports(&self.listen),
            ports(&self.connect),
        )
    }
}

fn paths(paths: &[PathBuf]) -> impl Iterator<Item = &Path> {
    paths.iter().map(PathBuf::as_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_in_one_line_what_is_in_force() {
        let sandbox = Sandbox {
            read: vec!["/a".into(), "/b".into()],
            write: vec!["/var/lib/edge-runtime".into()],
            listen: vec![8080],
            ..Sandbox::default()
        };
        let line = sandbox.line(&LandlockStatus::NotEnabled);
        assert_eq!(
            line,
            "Landlock unknown: reads /a and 1 more; writes /var/lib/edge-runtime; devices no; listens on 8080; connects to none"
        );
        let said = [InForce::Whole(line.clone()), InForce::Partly(line), InForce::Nothing("none here")]
            .map(|it| it.to_string());
        assert!(
            said.iter().all(|line| !line.contains('\n')) && said[2].starts_with("no sandbox: none here"),
            "{said:?}"
        );
    }
}
