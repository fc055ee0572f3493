//! Bytes from a file, a pipe or a terminal, without waiting longer than is allowed.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::reader::Feed;

/// An open file that is read only when it has something to read.
pub struct Pipe(pub File);

impl Feed for Pipe {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<Option<usize>> {
        match readable([&self.0], wait)? {
            [false] => Ok(None),
            [true] => read_some(&mut self.0, into),
        }
    }
}

/// Reads what is there; `None` where that is nothing after all.
pub fn read_some(file: &mut impl Read, into: &mut [u8]) -> io::Result<Option<usize>> {
    match file.read(into) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        read => read.map(Some),
    }
}

/// Which of the files can be read without waiting (or have ended), after at most `wait`.
pub fn readable<const N: usize>(files: [&dyn std::os::fd::AsFd; N], wait: Duration) -> io::Result<[bool; N]> {
    let mut polled = files.map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN));
    let wait = Timespec::try_from(wait).ok();
    match poll(&mut polled, wait.as_ref()) {
        // A signal: the caller looks at its stop flag and asks again.
        Err(rustix::io::Errno::INTR) => return Ok([false; N]),
        polled => polled?,
    };
    Ok(polled.map(|file| !file.revents().is_empty()))
}
