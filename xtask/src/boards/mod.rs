//! Emulated boards: the real program, on a real kernel, against what the host says. One file a suite.

mod appliance;
mod camera;
mod frames;
mod indicator;
mod install;
mod limits;
mod parity;
mod power;
mod soak;
mod watchdog;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::arm;
use crate::guest::console::{Board, Init, Machine};
use crate::guest::{self, Archive, EMULATOR, System, root};
use crate::refusal::refusal;
use crate::{cargo, image, package, program};

/// What the emulated boards have installed beside the program under test.
const PACKAGES: [&str; 8] =
    ["systemd", "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "openssh-server", "v4l-utils"];
/// The emulated processors, and a Raspberry Pi.
pub const BOARDS: [Board; 4] =
    [Board::Pi3, Board::Virt("cortex-a53"), Board::Virt("cortex-a72"), Board::Virt("cortex-a76")];
/// Suites that run at a time.
const LANES: usize = 2;
/// How long a command in a guest may take. Emulated boards are some thirty times as slow as the machine that emulates them.
const LIMIT: Duration = Duration::from_secs(600);

/// A suite: its name, what it shows, and its code, which gives a line of figures for each board that it ran on.
struct Suite {
    name: &'static str,
    shows: &'static str,
    run: fn(&Lab) -> Result<Vec<Figures>>,
}

/// What a suite measured on a board.
pub struct Figures {
    pub board: &'static str,
    pub text: String,
}

/// The longest first, so that no lane waits for another in the end.
const SUITES: [Suite; 9] = [
    Suite { name: "power", shows: "no record that was reported is lost by power cuts", run: power::run },
    Suite { name: "parity", shows: "scores, boxes and aligned faces equal the host's", run: parity::run },
    Suite { name: "indicator", shows: "lights follow states, the button pauses", run: indicator::run },
    Suite { name: "appliance", shows: "the SD-card image boots to its first record", run: appliance::run },
    Suite {
        name: "install",
        shows: "the Debian package, and deploy over ssh, install, upgrade and go back",
        run: install::run,
    },
    Suite { name: "soak", shows: "an hour of the board's time leaves memory and descriptors flat", run: soak::run },
    Suite {
        name: "camera",
        shows: "a V4L2 camera's frames give the host's scores; it may vanish and return",
        run: camera::run,
    },
    Suite { name: "watchdog", shows: "a hung pipeline is started again", run: watchdog::run },
    Suite { name: "limits", shows: "heat lowers the rate, a full disk is survived", run: limits::run },
];

/// Faults that can be put in to see a suite fail.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
pub enum Fault {
    /// Parity: a bit of a weight is flipped on the board, and its hash renewed.
    Weight,
    /// Camera: the board sees another picture than the host.
    Picture,
    /// Indicator: the board file names another line.
    Line,
    /// Power: the disk forgets what it was told to keep.
    Sync,
    /// Limits: the sensor's file is another.
    Sensor,
    /// Watchdog: the unit has none.
    Watchdog,
    /// Soak: more and more connections to the program stay open.
    Leak,
    /// Appliance: the card lacks its initial file system.
    Card,
    /// Install: what is deployed second is the first version again.
    Version,
}

impl Fault {
    /// The suite that it must make fail.
    fn suite(self) -> &'static str {
        match self {
            Fault::Weight => "parity",
            Fault::Picture => "camera",
            Fault::Line => "indicator",
            Fault::Sync => "power",
            Fault::Sensor => "limits",
            Fault::Watchdog => "watchdog",
            Fault::Leak => "soak",
            Fault::Card => "appliance",
            Fault::Version => "install",
        }
    }
}

/// All that suites share.
pub struct Lab {
    pub folder: PathBuf,
    pub system: System,
    pub root: PathBuf,
    /// The program for boards.
    pub program: PathBuf,
    /// The same for the machine at hand.
    pub host: PathBuf,
    /// The shipped bundle with its detector.
    pub bundle: PathBuf,
    pub fault: Option<Fault>,
    pub cuts: u32,
}

/// Names of all suites.
pub fn names() -> Vec<&'static str> {
    SUITES.iter().map(|suite| suite.name).collect()
}

/// Debian packages that are missing.
pub fn missing() -> Vec<&'static str> {
    let mut missing = image::missing();
    let needs = [(EMULATOR, "qemu-system-arm"), ("ssh-keygen", "openssh-client")];
    missing.extend(needs.into_iter().filter(|(program, _)| !root::there(program)).map(|(_, package)| package));
    let foreign = guest::run(Command::new("dpkg").arg("--print-foreign-architectures")).unwrap_or_default();
    if cfg!(target_arch = "x86_64") && !String::from_utf8_lossy(&foreign).lines().any(|name| name == "arm64") {
        missing.push("packages of the architecture arm64");
    }
    missing
}

/// Runs the suites named, or all, and prints a table.
///
/// # Errors
/// Where a tool is missing, or a suite fails.
pub fn run(only: &[String], fault: Option<Fault>, cuts: u32, build: bool) -> Result<()> {
    let missing = missing();
    if !missing.is_empty() {
        return Err(refusal(format!("missing: {}; {}", missing.join(", "), arm::advice(&missing))));
    }
    package::require()?;
    if let Some(fault) = fault
        && only != [fault.suite()]
    {
        return Err(refusal(format!(
            "that fault is one of the suite {0}: name it, `cargo xtask boards {0} --fault ...`",
            fault.suite()
        )));
    }
    let _lock = guest::lock()?;
    let lab = Lab::open(fault, cuts, build)?;
    let begun = Instant::now();
    let chosen: Vec<&Suite> =
        SUITES.iter().filter(|suite| only.is_empty() || only.iter().any(|name| name == suite.name)).collect();
    let results = in_lanes(&lab, &chosen);
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for (suite, result) in chosen.iter().zip(results) {
        match result {
            Ok(figures) => rows.extend(figures.into_iter().map(|it| (suite.name, it.board, "ok", it.text))),
            Err(error) => {
                rows.push((suite.name, "", "FAILED", format!("{error:#}").trim().replace('\n', "; ")));
                failed.push(suite.name);
            }
        }
    }
    println!("| suite | board | result | figures |\n| --- | --- | --- | --- |");
    for (suite, board, result, text) in rows {
        println!("| {suite} | {board} | {result} | {text} |");
    }
    println!("\n{} s after the builds", begun.elapsed().as_secs());
    if !failed.is_empty() {
        bail!("failed: {}; what the boards said lies in {}", failed.join(", "), lab.folder.display());
    }
    Ok(())
}

impl Lab {
    fn open(fault: Option<Fault>, cuts: u32, build: bool) -> Result<Lab> {
        let assets = cargo::workspace_root().join(".assets/emulator");
        let folder = assets.join("boards");
        fs::create_dir_all(&folder)?;
        let program = if build {
            cargo::run(&["build", "--workspace"])?;
            program::build(arm::TARGET)?
        } else {
            program::place(arm::TARGET)
        };
        let system = System::bring(&assets)?;
        let root = root::squashfs(&assets, &PACKAGES)?;
        let bundle = folder.join("bundle");
        let _ = fs::remove_dir_all(&bundle);
        copy_folder(&cargo::workspace_root().join("models/ferplus-edge"), &bundle)?;
        succeed(Command::new(cargo::sibling("host-trainer")?).arg("detector").arg(&bundle))?;
        let host = cargo::sibling("edge-runtime")?;
        Ok(Lab { folder, system, root, program, host, bundle, fault, cuts })
    }

    /// The program and the bundle, below `/payload` of a guest.
    pub fn payload(&self) -> Result<Archive> {
        let mut archive = Archive::default();
        archive.copy("payload/bin/edge-runtime", &self.program)?;
        archive.tree("payload/bundle", &self.bundle)?;
        Ok(archive)
    }

    /// A board with `payload`, before it is switched on.
    pub fn machine<'a>(&'a self, board: Board, name: &str, payload: &'a Archive) -> Machine<'a> {
        Machine {
            system: &self.system,
            board,
            init: Init::Shell,
            root: &self.root,
            payload,
            modules: &[],
            arguments: Vec::new(),
            work: self.folder.join(name),
            name: board.name().to_owned(),
        }
    }

    /// `edge-runtime` of the machine at hand.
    pub fn host(&self) -> Command {
        Command::new(&self.host)
    }

    /// Whether a fault is put in.
    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

/// A board file for an emulated board. `zones` holds its temperatures; `gpio` is its table of lines, or nothing.
pub fn board_file(zones: &str, source: &str, gpio: &str) -> String {
    format!(
        "name = \"emulated\"\ntitle = \"Emulated board\"\nmodels = []\ntarget = \"{}\"\ncpu = \"cortex-a53\"\nthreads = 1\n\
         [camera]\nsource = '{source}'\ndetect_every = 8\n{gpio}\n\
         [thermal]\nzones = \"{zones}\"\ntypes = []\nhalf = 72\nquarter = 77\npause = 82\nhysteresis = 4\n\
         [paths]\nbundle = \"/payload/bundle\"\njournal = \"/var/lib/edge-runtime/journal.sqlite\"\n\
         [expect]\nspeed = \"not measured\"\nmemory = \"not measured\"\nnotes = []\n",
        arm::TARGET
    )
}

/// Names and details of a journal's events, in their order, as the guest exports them.
pub const EVENTS: &str = "edge-runtime log export --events --format jsonl --journal";

/// Runs suites, as many at a time as there are [`LANES`]; the results are in their order. An emulated machine takes one core.
fn in_lanes(lab: &Lab, suites: &[&Suite]) -> Vec<Result<Vec<Figures>>> {
    let next = AtomicUsize::new(0);
    let results: Vec<_> = suites.iter().map(|_| Mutex::new(None)).collect();
    let lane = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(suite) = suites.get(at) else { return };
            eprintln!("boards: {}: {}", suite.name, suite.shows);
            let started = Instant::now();
            let result = (suite.run)(lab);
            let seconds = started.elapsed().as_secs();
            match &result {
                Ok(_) => eprintln!("boards: {}: ok after {seconds} s", suite.name),
                Err(error) => eprintln!("boards: {}: failed after {seconds} s: {error:#}", suite.name),
            }
            *results[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(lane);
        }
    });
    let taken = results.into_iter().map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner));
    taken.map(|result| result.unwrap_or_else(|| Err(anyhow!("it did not run")))).collect()
}

/// Runs a program and gives what it wrote to stdout; an error with what it wrote to stderr where it fails.
fn succeed(command: &mut Command) -> Result<String> {
    let said = guest::run(command).with_context(|| format!("{command:?}"))?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Rows of a journal's export that must be equal wherever the same pictures were seen: all but times and sizes of the machine.
fn comparable(csv: &str) -> Result<Vec<String>> {
    const OWN: [&str; 8] =
        ["id", "time", "clock_synchronised", "monotonic_us", "boot_id", "session", "latency_ms", "celsius"];
    let mut lines = csv.lines();
    let columns: Vec<&str> = lines.next().context("an export without a head")?.split(',').collect();
    let kept: Vec<usize> = (0..columns.len()).filter(|at| !OWN.contains(&columns[*at])).collect();
    ensure!(kept.len() + OWN.len() == columns.len(), "the export has other columns than were expected: {columns:?}");
    let file = columns.iter().position(|name| *name == "file");
    lines
        .map(|line| {
            let values: Vec<&str> = line.split(',').collect();
            ensure!(
                values.len() == columns.len(),
                "a line of {} columns among {}: {line}",
                values.len(),
                columns.len()
            );
            let value = |at: &usize| if Some(*at) == file { values[*at].rsplit('/').next() } else { Some(values[*at]) };
            Ok(kept.iter().filter_map(value).collect::<Vec<_>>().join(","))
        })
        .collect()
}
