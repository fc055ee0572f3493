//! A running emulated board, and the shell on its serial line.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use serde::Deserialize;

use xtask::guest::EMULATOR;

/// How long a board may take until its shell answers.
const BOOT_LIMIT: Duration = Duration::from_secs(240);
/// How long a command may take. Emulated boards are about thirty times as slow as the host.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(600);
/// What the shell prints when it is ready.
const READY: &str = "@@ready";
/// What the shell prints before the number and exit code of a command that has ended.
const DONE: &str = "@@done";

/// A running board. It is switched off when this is dropped.
pub struct Guest {
    emulator: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    qmp: PathBuf,
    commands: u32,
    name: String,
}

impl Guest {
    /// Starts an emulator, whose arguments define the board, and waits for the shell on the board's serial line. Its logs go to
    /// `work` and are called `name`.
    ///
    /// # Errors
    /// Returns an error if the emulator cannot be started or the shell does not answer in time.
    pub fn start(mut emulator: Command, work: &Path, name: &str) -> Result<Guest> {
        // Not in the workspace: a socket's path may have at most 107 bytes.
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
        guest.wait_for(BOOT_LIMIT, |line| line.contains(READY).then_some(())).context("the board did not come up")?;
        Ok(guest)
    }

    /// Runs a line of shell and returns what it wrote.
    ///
    /// # Errors
    /// Returns an error if the line fails or takes longer than [`COMMAND_LIMIT`].
    pub fn run(&mut self, line: &str) -> Result<String> {
        self.run_within(COMMAND_LIMIT, line)
    }

    /// Runs a line of shell and returns what it wrote.
    ///
    /// # Errors
    /// Returns an error if the line fails or takes longer than `limit`.
    pub fn run_within(&mut self, limit: Duration, line: &str) -> Result<String> {
        let (code, output) = self.attempt_within(limit, line)?;
        ensure!(
            code == 0,
            "{}: `{line}` ended with exit code {code}: {}",
            self.name,
            output.trim().replace('\n', "; ")
        );
        Ok(output)
    }

    /// Runs a line of shell and returns its exit code and what it wrote.
    ///
    /// # Errors
    /// Returns an error if the line takes longer than [`COMMAND_LIMIT`].
    pub fn attempt(&mut self, line: &str) -> Result<(i32, String)> {
        self.attempt_within(COMMAND_LIMIT, line)
    }

    fn attempt_within(&mut self, limit: Duration, line: &str) -> Result<(i32, String)> {
        self.commands += 1;
        let done = format!("{DONE} {} ", self.commands);
        self.input.write_all(format!("{line}\n").as_bytes()).context("the board is off")?;
        self.input.flush()?;
        let mut output = String::new();
        let code = self.wait_for(limit, |text| {
            // The last line that a command wrote may lack its end.
            if let Some((before, code)) = text.split_once(&done) {
                output += before;
                return Some(code.trim().parse().unwrap_or(-1));
            }
            output += text;
            output.push('\n');
            None
        });
        let code =
            code.with_context(|| format!("{}: `{line}`; output: {}", self.name, output.trim().replace('\n', "; ")))?;
        Ok((code, output))
    }

    /// Passes lines of the console to `each` until that returns something, and returns it.
    ///
    /// # Errors
    /// Returns an error if that takes longer than `limit`, or the emulator ends.
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

    /// Presses the power button of QEMU's generic machine: a pulse of 100 ms on line 3 of its GPIO controller.
    ///
    /// # Errors
    /// Returns an error if the emulator does not confirm it.
    pub fn press_button(&mut self) -> Result<()> {
        self.control("system_powerdown", serde_json::json!({}))
    }

    /// Gives the emulator a command of its control protocol (QMP), and waits until it is done.
    ///
    /// # Errors
    /// Returns an error if the emulator refuses it.
    pub fn control(&mut self, command: &str, arguments: serde_json::Value) -> Result<()> {
        let mut control = UnixStream::connect(&self.qmp).context("the emulator's control socket")?;
        for (command, arguments) in [("qmp_capabilities", serde_json::json!({})), (command, arguments)] {
            writeln!(control, "{}", serde_json::json!({ "execute": command, "arguments": arguments }))?;
        }
        // The answers are read so that the commands have been carried out before the socket closes.
        control.set_read_timeout(Some(Duration::from_secs(60)))?;
        let answers = serde_json::Deserializer::from_reader(&control).into_iter::<QmpAnswer>();
        let mut confirmed = 0;
        for answer in answers {
            let answer = answer.context("the emulator's control socket")?;
            if let Some(error) = answer.error {
                bail!("the emulator refuses {command}: {error}");
            }
            confirmed += usize::from(answer.result.is_some());
            if confirmed == 2 {
                return Ok(());
            }
        }
        bail!("the emulator closed its control socket")
    }

    /// Cuts the power by killing the emulator, and returns the rest of the console's lines.
    ///
    /// # Errors
    /// Returns an error if the emulator cannot be killed.
    pub fn cut(mut self) -> Result<Vec<String>> {
        self.emulator.kill()?;
        self.emulator.wait()?;
        Ok(self.lines.iter().collect())
    }
}

/// An answer on the emulator's control socket; events and the greeting have no result.
#[derive(Deserialize)]
struct QmpAnswer {
    #[serde(rename = "return")]
    result: Option<serde_json::Value>,
    error: Option<serde_json::Value>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
        let _ = fs::remove_file(&self.qmp);
    }
}

/// Splits the console's output into lines, and writes a copy to the log.
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
