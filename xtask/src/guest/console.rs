//! An emulated board that runs, and a shell on its serial line.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Archive, EMULATOR, System};

/// How long a board may take until its shell answers.
const BOOT: Duration = Duration::from_secs(240);
/// What the shell in the guest says.
const READY: &str = "@@ready";
const DONE: &str = "@@done";

/// The shell on the serial line, and systemd's unit for it.
pub const SHELL: &[u8] = include_bytes!("shell.sh");
pub const SERVICE: &[u8] = include_bytes!("console.service");

/// Modules of every guest: disks, file systems.
const MODULES: [&str; 6] = ["squashfs", "overlay", "ext4", "crc32c_generic", "loop", "vfat"];
/// Those of a machine with PCI.
const VIRT_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "virtio_net"];
/// Those of a Raspberry Pi 3: its card, its temperature.
const PI_MODULES: [&str; 2] = ["bcm2835", "bcm2835_thermal"];

/// What is emulated.
#[derive(Clone, Copy, PartialEq)]
pub enum Board {
    /// QEMU's own machine with this processor.
    Virt(&'static str),
    /// A Raspberry Pi 3B, by its device tree.
    Pi3,
}

impl Board {
    pub fn name(self) -> &'static str {
        match self {
            Board::Virt(processor) => processor,
            Board::Pi3 => "raspi3b",
        }
    }
}

/// The first process of a guest.
#[derive(Clone, Copy, PartialEq)]
pub enum Init {
    /// A shell alone.
    Shell,
    /// systemd, which starts the shell.
    Systemd,
}

/// A board before it is switched on.
pub struct Machine<'a> {
    pub system: &'a System,
    pub board: Board,
    pub init: Init,
    /// Image of the root file system.
    pub root: &'a Path,
    /// What is laid below `/payload`.
    pub payload: &'a Archive,
    /// Further modules.
    pub modules: &'a [&'a str],
    /// Further arguments of the emulator.
    pub arguments: Vec<String>,
    /// Takes what is made for the guest, and what it says.
    pub work: PathBuf,
    /// Names these files.
    pub name: String,
}

/// A board that runs. It is switched off where this is dropped.
pub struct Guest {
    emulator: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    qmp: PathBuf,
    commands: u32,
    name: String,
}

impl Machine<'_> {
    /// Switches the board on and waits for its shell.
    pub fn boot(&self) -> Result<Guest> {
        fs::create_dir_all(&self.work)?;
        let initrd = self.work.join(format!("{}.cpio", self.name));
        fs::write(&initrd, self.initial()?.finish())?;
        let mut emulator = Command::new(EMULATOR);
        let mut kernel_line = String::from("quiet loglevel=1 panic=-1 net.ifnames=0 systemd.getty_auto=no ");
        match self.board {
            Board::Virt(processor) => {
                emulator.args(["-M", "virt", "-cpu", processor, "-smp", "1", "-m", "1024"]);
                emulator
                    .arg("-drive")
                    .arg(format!("if=none,id=root,file={},format=raw,readonly=on", self.root.display()));
                emulator.args(["-device", "virtio-blk-pci,drive=root"]);
                kernel_line += "console=ttyAMA0 guest.root=/dev/vda";
            }
            Board::Pi3 => {
                emulator.args(["-M", "raspi3b", "-m", "1024"]);
                emulator.arg("-dtb").arg(self.system.device_tree("bcm2837-rpi-3-b.dtb")?);
                let card = self.card()?;
                emulator.arg("-drive").arg(format!("if=sd,file={},format=raw", card.display()));
                // By its device tree the first serial line belongs to Bluetooth; the second, a small one, is the console.
                emulator.args(["-serial", "null"]);
                kernel_line += "console=ttyS1 guest.root=/dev/mmcblk0";
            }
        }
        if !self.arguments.iter().any(|argument| argument == "-netdev") {
            emulator.args(["-net", "none"]);
        }
        emulator.args(&self.arguments);
        emulator.arg("-kernel").arg(self.system.kernel()?).arg("-initrd").arg(&initrd).args(["-append", &kernel_line]);
        Guest::start(emulator, &self.work, &self.name)
    }

    /// A card that holds the root file system: cards have sizes of powers of two.
    fn card(&self) -> Result<PathBuf> {
        let card = self.work.join(format!("{}.card", self.name));
        fs::copy(self.root, &card)?;
        let file = fs::OpenOptions::new().write(true).open(&card)?;
        file.set_len(file.metadata()?.len().next_power_of_two())?;
        Ok(card)
    }

    fn initial(&self) -> Result<Archive> {
        let mut archive = self.payload.clone();
        archive.copy("bin/busybox", &self.system.shell())?;
        archive.file("init", include_bytes!("init.sh"), true);
        archive.file("payload/shell", SHELL, true);
        archive.file("payload/console.service", SERVICE, false);
        let init = if self.init == Init::Systemd { "systemd" } else { "shell" };
        archive.file("payload/first", init.as_bytes(), false);
        let board: &[&str] = if self.board == Board::Pi3 { &PI_MODULES } else { &VIRT_MODULES };
        let mut order = String::new();
        let names: Vec<&str> = MODULES.iter().chain(board).chain(self.modules).copied().collect();
        for path in self.system.modules(&names)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            archive.copy(&format!("modules/{name}"), &path)?;
            order += &format!("{name}\n");
        }
        archive.file("modules/order", order.as_bytes(), false);
        Ok(archive)
    }
}

impl Guest {
    /// Starts an emulator, whose arguments say what is emulated, and waits for the shell on its serial line.
    pub fn start(mut emulator: Command, work: &Path, name: &str) -> Result<Guest> {
        // Not below the workspace: the path of a socket may have 107 bytes.
        let suite = work.file_name().unwrap_or_default().display();
        let qmp = std::env::temp_dir().join(format!("fn2en-{}-{suite}-{name}.qmp", std::process::id()));
        emulator.args(["-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot"]);
        emulator.arg("-qmp").arg(format!("unix:{},server=on,wait=off", qmp.display()));
        emulator.stdin(Stdio::piped()).stdout(Stdio::piped());
        emulator.stderr(File::create(work.join(format!("{name}.emulator.log")))?);
        let mut emulator = emulator.spawn().with_context(|| format!("{EMULATOR} could not be started"))?;
        let input = emulator.stdin.take().context("a pipe")?;
        let output = emulator.stdout.take().context("a pipe")?;
        let log = File::create(work.join(format!("{name}.log")))?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || read_lines(output, log, &sender));
        let mut guest = Guest { emulator, input, lines, qmp, commands: 0, name: name.to_owned() };
        guest.wait_for(BOOT, |line| line.contains(READY).then_some(())).context("the board did not come up")?;
        Ok(guest)
    }

    /// Runs a line of shell and gives what it wrote; an error where it fails or does not end in time.
    pub fn run(&mut self, line: &str, limit: Duration) -> Result<String> {
        let (code, said) = self.attempt(line, limit)?;
        ensure!(code == 0, "{}: `{line}` ended with {code}: {}", self.name, said.trim().replace('\n', "; "));
        Ok(said)
    }

    /// Runs a line of shell and gives its exit code and what it wrote.
    pub fn attempt(&mut self, line: &str, limit: Duration) -> Result<(i32, String)> {
        self.commands += 1;
        let done = format!("{DONE} {} ", self.commands);
        self.input.write_all(format!("{line}\n").as_bytes()).context("the board is off")?;
        self.input.flush()?;
        let mut said = String::new();
        let code = self.wait_for(limit, |text| {
            // What a command wrote last may lack an end of line.
            if let Some((before, code)) = text.split_once(&done) {
                said += before;
                return Some(code.trim().parse().unwrap_or(-1));
            }
            said += text;
            said.push('\n');
            None
        });
        let code =
            code.with_context(|| format!("{}: `{line}`; it said: {}", self.name, said.trim().replace('\n', "; ")))?;
        Ok((code, said))
    }

    /// Gives lines of the console to `each` until that gives something.
    pub fn wait_for<T>(&mut self, limit: Duration, mut each: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = each(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("no answer within {} s", limit.as_secs()),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the emulator has ended; {}.emulator.log may say why", self.name)
                }
            }
        }
    }

    /// Presses the machine's power button: a pulse of 100 ms on line 3 of its GPIO controller.
    pub fn press_button(&mut self) -> Result<()> {
        let mut control = UnixStream::connect(&self.qmp).context("the emulator's control socket")?;
        for command in ["qmp_capabilities", "system_powerdown"] {
            control.write_all(format!("{{\"execute\":\"{command}\"}}\n").as_bytes())?;
        }
        // The socket's answers are read so that the commands have been taken when it closes.
        control.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut answer = [0; 4096];
        let mut said = String::new();
        while said.matches("\"return\"").count() < 2 {
            let read = control.read(&mut answer).context("the emulator's control socket")?;
            ensure!(read > 0, "the emulator closed its control socket");
            said += &String::from_utf8_lossy(&answer[..read]);
        }
        Ok(())
    }

    /// Cuts the power: the emulator is killed.
    pub fn cut(mut self) -> Result<Vec<String>> {
        self.emulator.kill()?;
        self.emulator.wait()?;
        Ok(self.lines.iter().collect())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
        let _ = fs::remove_file(&self.qmp);
    }
}

/// Splits what the console says into lines and keeps a copy.
fn read_lines(mut output: impl Read, mut log: File, lines: &mpsc::Sender<String>) {
    let (mut buffer, mut line) = ([0; 4096], Vec::new());
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        let _ = log.write_all(&buffer[..read]);
        for byte in &buffer[..read] {
            match byte {
                b'\n' => {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    line.clear();
                    if lines.send(text).is_err() {
                        return;
                    }
                }
                b'\r' => {}
                _ => line.push(*byte),
            }
        }
    }
}
