//! A program that runs beside us: its stdout is read, the last line of its stderr is kept, and it never outlives us.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::pipe::{read_some, readable};
use super::reader::Feed;

/// How long a program may take to end after it was asked to.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long one that has closed its stdout may take to end by itself.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// The most that is kept of a line on stderr, bytes.
const MAX_LINE: usize = 300;

/// A running program, and all that it has started itself: a process group of its own.
pub struct Process {
    child: Child,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    /// The line that stderr is in the middle of.
    line: Vec<u8>,
    /// The last line that was not empty.
    last: Vec<u8>,
    reaped: bool,
}

impl Process {
    /// Starts it, without stdin.
    ///
    /// # Errors
    /// Of the system, such as `NotFound`.
    pub fn start(program: &str, arguments: &[String]) -> io::Result<Process> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let stdout = stdout.ok_or_else(|| io::Error::other("no pipe to its stdout"))?;
        Ok(Process { child, stdout, stderr, line: Vec::new(), last: Vec::new(), reaped: false })
    }

    /// How it ended, now that its stdout is closed; `None` where it runs on.
    pub fn end(&mut self) -> Option<ExitStatus> {
        let until = Instant::now() + LAST_WORDS;
        loop {
            self.listen(Duration::ZERO);
            if self.has_ended() {
                break;
            }
            if Instant::now() >= until {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL); // what it started itself
        while self.listen(Duration::ZERO) && Instant::now() < until {}
        self.reaped = true;
        self.child.wait().ok()
    }

    /// The last line that it wrote to stderr.
    pub fn last_words(&self) -> Option<String> {
        let line = if self.line.trim_ascii().is_empty() { &self.last } else { &self.line };
        let text = String::from_utf8_lossy(line.trim_ascii());
        let printable: String = text.chars().filter(|c| !c.is_control()).collect();
        (!printable.is_empty()).then_some(printable)
    }

    /// Reads from stderr what is there, after at most `wait`; whether that was anything.
    fn listen(&mut self, wait: Duration) -> bool {
        let Some(stderr) = &mut self.stderr else { return false };
        if !matches!(readable([stderr], wait), Ok([true])) {
            return false;
        }
        let mut bytes = [0; 4096];
        match read_some(stderr, &mut bytes) {
            Ok(Some(0)) | Err(_) => {
                self.stderr = None;
                false
            }
            Ok(None) => false,
            Ok(Some(read)) => {
                bytes.iter().take(read).for_each(|byte| self.keep(*byte));
                true
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        match byte {
            // Progress displays return to the start of their line.
            b'\n' | b'\r' if self.line.trim_ascii().is_empty() => self.line.clear(),
            b'\n' | b'\r' => {
                std::mem::swap(&mut self.line, &mut self.last);
                self.line.clear();
            }
            _ if self.line.len() < MAX_LINE => self.line.push(byte),
            _ => {}
        }
    }

    /// Whether it has ended. It is not reaped by that, so that its number, and its group's, stay its own.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(Pid::from_child(&self.child)), options), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        // It fails where all of them have ended.
        _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Feed for Process {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<Option<usize>> {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let [frames, words] = match &self.stderr {
                Some(stderr) => readable([&self.stdout, stderr], left)?,
                None => [readable([&self.stdout], left)?[0], false],
            };
            if words {
                // A program whose stderr nobody reads stops once the pipe is full.
                self.listen(Duration::ZERO);
            }
            if frames {
                return read_some(&mut self.stdout, into);
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        // Asked first: some camera services stay wedged when their client is killed.
        self.signal(Signal::TERM);
        let until = Instant::now() + FAREWELL;
        while !self.has_ended() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL);
        _ = self.child.wait();
    }
}
