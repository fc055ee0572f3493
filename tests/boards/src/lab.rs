//! What all suites share.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use xtask::guest::{Archive, System, root};
use xtask::{arm, cargo, process, program};

use crate::fault::Fault;
use crate::files::{copy_folder, empty_folder};
use crate::machine::{Board, Init, Machine};
use crate::scripts;

/// Debian packages of the emulated boards, beside the program under test.
const PACKAGES: [&str; 8] =
    ["systemd", "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "openssh-server", "v4l-utils"];

/// The programs under test, and what emulated boards are made of.
pub struct Lab {
    /// The folder of the suites' files and logs.
    pub folder: PathBuf,
    /// The kernel of the boards.
    pub system: System,
    /// The image of the boards' root file system.
    pub root: PathBuf,
    /// `edge-runtime` for boards.
    pub program: PathBuf,
    /// The shipped bundle with its detector.
    pub bundle: PathBuf,
    /// How often or how long a suite tries, if that was said: each suite has its own default.
    pub times: Option<u64>,
    fault: Option<Fault>,
    host_program: PathBuf,
}

impl Lab {
    /// Builds the programs, unless `build` is false, and prepares what boards are made of.
    ///
    /// # Errors
    /// Returns an error if a build fails, or a package cannot be downloaded.
    pub fn open(fault: Option<Fault>, times: Option<u64>, build: bool) -> Result<Lab> {
        let assets = cargo::workspace_root().join(".assets/emulator");
        let folder = assets.join("boards");
        let program = if build {
            cargo::run(&["build", "--workspace"])?;
            program::build(arm::TARGET)?
        } else {
            program::path(arm::TARGET)
        };
        let bundle = folder.join("bundle");
        empty_folder(&bundle)?;
        copy_folder(&cargo::workspace_root().join("models/ferplus-edge"), &bundle)?;
        process::run(Command::new(cargo::sibling("host-trainer")?).arg("detector").arg(&bundle))?;
        let system = System::open(&assets)?;
        let root = root::squashfs(&assets, &PACKAGES)?;
        Ok(Lab { folder, system, root, program, bundle, times, fault, host_program: cargo::sibling("edge-runtime")? })
    }

    /// Returns the program, the bundle and the commands of [`scripts`], for `/payload` of a guest.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub fn payload(&self) -> Result<Archive> {
        let mut archive = Archive::default();
        archive.copy("payload/bin/edge-runtime", &self.program)?;
        archive.tree("payload/bundle", &self.bundle)?;
        scripts::add_to(&mut archive);
        Ok(archive)
    }

    /// Returns a board with `payload`, before it is switched on.
    pub fn machine<'a>(&'a self, board: Board, suite: &str, payload: &'a Archive) -> Machine<'a> {
        Machine {
            system: &self.system,
            board,
            init: Init::Shell,
            root: &self.root,
            payload,
            modules: &[],
            arguments: Vec::new(),
            work: self.folder.join(suite),
        }
    }

    /// Returns a command that runs `edge-runtime` on the host.
    pub fn host(&self) -> Command {
        Command::new(&self.host_program)
    }

    /// Returns whether a fault is injected.
    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}
