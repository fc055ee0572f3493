//! Videos: YUV4MPEG2 from a file, a named pipe or stdin.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use expression_core::Stamp;

use super::pipe::Pipe;
use super::reader::{Fault, Framing, Got, Reader};
use super::y4m::Framer;
use super::{CameraError, MAX_WAIT, Next, Source, clock};
use crate::frame::Frame;

/// A video. Its frames are stamped by its frame rate, from the time of the first one on.
pub struct Video {
    name: String,
    pipe: Pipe,
    reader: Reader<Framer>,
    realtime: bool,
    start: Option<(Stamp, Instant)>,
    count: u64,
    /// How long it has been waited for the next frame.
    silent: Duration,
    ended: bool,
}

/// After this long without a frame a warning is logged.
const SILENCE: Duration = Duration::from_secs(30);

impl Video {
    /// Opens a file; `None` is stdin.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened.
    pub fn open(file: Option<&Path>, realtime: bool) -> Result<Video, CameraError> {
        let name = file.map_or_else(|| "stdin".into(), |path| path.display().to_string());
        let opened = match file {
            // Without waiting for somebody to write, should it be a named pipe.
            Some(path) => OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path),
            None => std::io::stdin().as_fd().try_clone_to_owned().map(File::from),
        };
        let opened = opened.and_then(|file| match file.metadata()?.is_dir() {
            true => Err(std::io::ErrorKind::IsADirectory.into()),
            false => Ok(file),
        });
        let pipe = Pipe(opened.map_err(|error| CameraError::unavailable(&name, &error))?);
        let reader = Reader::new(Framer::default());
        Ok(Video { name, pipe, reader, realtime, start: None, count: 0, silent: Duration::ZERO, ended: false })
    }

    /// Waits until the next frame is due, at most [`MAX_WAIT`]: what is left of that, if it is.
    fn due(&self) -> Option<Duration> {
        let due = self.reader.framing.time(self.count);
        let (true, Some((_, start)), Some(due)) = (self.realtime, self.start, due) else { return Some(MAX_WAIT) };
        let left = due.saturating_sub(start.elapsed());
        std::thread::sleep(left.min(MAX_WAIT));
        MAX_WAIT.checked_sub(left)
    }

    /// Notes that no frame came in this time. Returns whether that is to be told now: whoever should write may be waiting, too.
    fn note_silence(&mut self, waited: Duration) -> bool {
        let before = self.silent;
        self.silent += waited;
        before < SILENCE && self.silent >= SILENCE
    }
}

impl Source for Video {
    fn next(&mut self, frame: &mut Frame) -> Result<Next, CameraError> {
        if self.ended {
            return Ok(Next::End);
        }
        let Some(wait) = self.due() else { return Ok(Next::Waiting) };
        let asked = Instant::now();
        match self.reader.next(&mut self.pipe, frame, wait) {
            Ok(Got::Frame) => self.silent = Duration::ZERO,
            Ok(Got::Waiting) => {
                if self.note_silence(asked.elapsed()) {
                    let (name, seconds) = (&self.name, SILENCE.as_secs());
                    tracing::warn!("{name} has given no frame for {seconds} s; still waiting for whoever writes to it");
                }
                return Ok(Next::Waiting);
            }
            Ok(Got::End) => {
                self.ended = true;
                let wrong = |reason: &str| CameraError::Damaged { what: self.name.clone(), reason: reason.into() };
                return match self.reader.framing.header() {
                    Some(_) if self.count == 0 => Err(wrong("it has no frames")),
                    Some(_) => Ok(Next::End),
                    None => Err(wrong("it is empty")),
                };
            }
            Err(fault) => {
                self.ended = true;
                let what = self.name.clone();
                return Err(match fault {
                    Fault::Read(error) => CameraError::Gone { what, reason: error.to_string() },
                    Fault::Damaged(reason) => {
                        CameraError::Damaged { what, reason: format!("frame {}: {reason}", self.count) }
                    }
                });
            }
        }
        let (start, _) = *self.start.get_or_insert_with(|| (clock::now(), Instant::now()));
        let time = self.reader.framing.time(self.count).unwrap_or_default();
        frame.stamp = clock::after(start, time);
        frame.sequence = self.count;
        frame.name = None;
        self.count += 1;
        Ok(Next::Frame)
    }

    fn describe(&self) -> String {
        match self.reader.framing.header() {
            Some(header) => {
                let rate = f64::from(header.rate[0]) / f64::from(header.rate[1].max(1));
                format!("y4m {}, {}x{}, {rate:.2} frames/s", self.name, header.width, header.height)
            }
            None => format!("y4m {}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn write(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
        let path = folder.join("video.y4m");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn frames_are_numbered_and_stamped_by_the_rate() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), b"YUV4MPEG2 W2 H1 F10:1 Cmono\nFRAME\nabFRAME\ncdFRAME\nef");
        let mut video = Video::open(Some(&path), false).unwrap();
        let (mut frame, mut stamps) = (Frame { name: Some("old".into()), ..Frame::default() }, Vec::new());
        while video.next(&mut frame).unwrap() == Next::Frame {
            assert_eq!((frame.sequence, &frame.name), (stamps.len() as u64, &None));
            stamps.push(frame.stamp);
        }
        assert_eq!(stamps.len(), 3);
        for pair in stamps.windows(2) {
            assert_eq!(pair[1].monotonic_ns - pair[0].monotonic_ns, 100_000_000);
            assert_eq!(pair[1].wall_us - pair[0].wall_us, 100_000);
        }
        assert!(video.describe().ends_with("2x1, 10.00 frames/s"), "{}", video.describe());
        assert_eq!(video.next(&mut frame).unwrap(), Next::End);
    }

    #[test]
    fn in_real_time_no_frame_comes_before_it_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), b"YUV4MPEG2 W2 H1 F50:1 Cmono\nFRAME\nabFRAME\ncdFRAME\nef");
        let mut video = Video::open(Some(&path), true).unwrap();
        let (mut frame, mut arrivals) = (Frame::default(), Vec::new());
        while video.next(&mut frame).unwrap() == Next::Frame {
            arrivals.push(Instant::now());
        }
        assert!(arrivals[2] - arrivals[0] >= Duration::from_millis(39), "{:?}", arrivals[2] - arrivals[0]);
        // A frame that is years away does not hold its caller.
        let path = write(folder.path(), b"YUV4MPEG2 W2 H1 F1:4000000000 Cmono\nFRAME\nabFRAME\ncd");
        let mut video = Video::open(Some(&path), true).unwrap();
        assert_eq!(video.next(&mut frame).unwrap(), Next::Frame);
        assert_eq!(video.next(&mut frame).unwrap(), Next::Waiting);
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        // Without a writer it would have ended.
        let writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut video = Video::open(Some(&path), false).unwrap();
        let mut frame = Frame::default();
        assert_eq!(video.next(&mut frame).unwrap(), Next::Waiting);
        assert!(video.silent > Duration::ZERO && video.silent < SILENCE);
        let second = Duration::from_secs(1);
        video.silent = SILENCE - 2 * second;
        assert_eq!([second, second, second].map(|waited| video.note_silence(waited)), [false, true, false]);
        (&writer).write_all(b"YUV4MPEG2 W2 H1 F50:1 Cmono\nFRAME\nab").unwrap();
        while video.next(&mut frame).unwrap() == Next::Waiting {}
        assert_eq!(video.silent, Duration::ZERO);
    }

    #[test]
    fn damage_is_an_error_once_and_then_the_end() {
        let folder = tempfile::tempdir().unwrap();
        for (bytes, frames, part) in [
            (&b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME\nc"[..], 1, "frame 1: ends within a frame"),
            (b"\x89PNG", 0, "does not start with YUV4MPEG2, but with \"\u{fffd}PNG\""),
            (b"YUV4MPEG2 W2 H1 Cmono\n", 0, "no frames"),
            (b"", 0, "empty"),
        ] {
            let mut video = Video::open(Some(&write(folder.path(), bytes)), false).unwrap();
            let mut frame = Frame::default();
            for _ in 0..frames {
                assert_eq!(video.next(&mut frame).unwrap(), Next::Frame);
            }
            let error = video.next(&mut frame).unwrap_err().to_string();
            assert!(error.contains("video.y4m") && error.contains(part), "{error}");
            assert_eq!(video.next(&mut frame).unwrap(), Next::End);
        }
        assert!(Video::open(Some(&folder.path().join("absent")), false).is_err());
        assert!(Video::open(Some(folder.path()), false).is_err());
    }

    #[test]
    fn a_pipe_that_is_silent_is_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let mut video = Video::open(Some(&path), false).unwrap();
        let mut frame = Frame::default();
        assert_eq!(video.next(&mut frame).unwrap(), Next::Waiting);
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut writer, b"YUV4MPEG2 W2 H1 Cmono\nFRAME\na").unwrap();
        assert_eq!(video.next(&mut frame).unwrap(), Next::Waiting);
        std::io::Write::write_all(&mut writer, b"b").unwrap();
        assert_eq!(video.next(&mut frame).unwrap(), Next::Frame);
        drop(writer);
        assert_eq!(video.next(&mut frame).unwrap(), Next::End);
    }
}
