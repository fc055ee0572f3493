//! A live stream that is read on a thread of its own. A network camera whose stream is not read in time falls ever further behind, or
//! hangs up: what is not taken in time is left out instead.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use expression_core::Turn;

use super::live::Stream;
use super::reader::Got;
use super::{CameraError, MAX_WAIT, clock};
use crate::frame::Frame;

/// A frame that is older is left out if there is a newer one, nanoseconds. What comes in a burst is taken sooner.
const MAX_AGE: u64 = 1_000_000_000;
/// The most bytes of frames that wait; one frame may always wait. The service has 256 MiB, of which ffmpeg takes 100 for a camera of
/// four megapixels.
const MAX_BYTES: usize = 16 << 20;
/// Frames whose memory is kept to be filled again, at most.
const MAX_SPARE: usize = 2;

/// Such a stream.
pub struct Ahead {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    description: String,
    skipped: u64,
    complaint: Option<String>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Frames that nobody has taken yet, the oldest first.
    waiting: VecDeque<Frame>,
    spare: Vec<Frame>,
    /// How the stream ended.
    end: Option<Result<(), CameraError>>,
    skipped: u64,
    complaint: Option<String>,
    /// Nobody will take another frame.
    is_closed: bool,
}

impl Ahead {
    /// Starts to read.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn new(stream: Box<dyn Stream>) -> Result<Ahead, CameraError> {
        let (description, shared) = (stream.describe(), Arc::new(Shared::default()));
        let theirs = shared.clone();
        let thread = thread::Builder::new().name("frames".into()).spawn(move || read(stream, &theirs));
        let thread = thread.map_err(|error| CameraError::unavailable(description.as_str(), &error))?;
        Ok(Ahead { shared, thread: Some(thread), description, skipped: 0, complaint: None })
    }
}

impl Stream for Ahead {
    fn next(&mut self, frame: &mut Frame, wait: Duration) -> Result<Got, CameraError> {
        let is_idle = |state: &mut State| state.waiting.is_empty() && state.end.is_none();
        let state = self.shared.changed.wait_timeout_while(self.shared.lock(), wait, is_idle);
        let (mut state, _) = state.unwrap_or_else(PoisonError::into_inner);
        self.skipped = state.skipped;
        self.complaint.clone_from(&state.complaint);
        if let Some(next) = state.take(clock::now().monotonic_ns) {
            state.keep(std::mem::replace(frame, next));
            return Ok(Got::Frame);
        }
        match state.end.take() {
            None => Ok(Got::Waiting),
            Some(end) => end.map(|()| Got::End),
        }
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        if let Some(thread) = self.thread.take() {
            // A panic was reported where it happened.
            _ = thread.join();
        }
    }
}

/// Reads the stream until it ends, or nobody wants more of it.
fn read(mut stream: Box<dyn Stream>, shared: &Shared) {
    let mut frame = Frame::default();
    loop {
        let got = stream.next(&mut frame, MAX_WAIT);
        let mut state = shared.lock();
        if state.is_closed {
            return;
        }
        state.skipped = stream.skipped();
        state.complaint = stream.complaint().map(str::to_owned);
        match got {
            Ok(Got::Waiting) => continue,
            Ok(Got::Frame) => frame = state.push(frame),
            Ok(Got::End) => state.end = Some(Ok(())),
            Err(error) => state.end = Some(Err(error)),
        }
        shared.changed.notify_one();
        if state.end.is_some() {
            return;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets a frame wait, and returns another one to be filled.
    fn push(&mut self, frame: Frame) -> Frame {
        self.waiting.push_back(frame);
        let bytes: usize = self.waiting.iter().map(|frame| frame.bytes.len()).sum();
        if bytes > MAX_BYTES
            && self.waiting.len() > 1
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.keep(oldest);
        }
        self.spare.pop().unwrap_or_default()
    }

    /// Takes the oldest frame that is not too old; the newest if all are.
    fn take(&mut self, now_ns: u64) -> Option<Frame> {
        let mut frame = self.waiting.pop_front()?;
        while now_ns.saturating_sub(frame.stamp.monotonic_ns) > MAX_AGE
            && let Some(newer) = self.waiting.pop_front()
        {
            self.keep(std::mem::replace(&mut frame, newer));
        }
        Some(frame)
    }

    /// Keeps the memory of a frame that nobody needs any more.
    fn keep(&mut self, frame: Frame) {
        if self.spare.len() < MAX_SPARE {
            // Not every stream says which way up its frames are.
            self.spare.push(Frame { turn: Turn::default(), ..frame });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(sequence: u64, bytes: usize) -> Frame {
        let mut frame = Frame { sequence, bytes: vec![0; bytes], ..Frame::default() };
        frame.stamp.monotonic_ns = sequence * MAX_AGE;
        frame
    }

    /// Gives so many frames, then an error; the count of owners tells that it is gone.
    struct Short {
        left: u64,
        _owner: Arc<()>,
    }

    impl Stream for Short {
        fn next(&mut self, frame: &mut Frame, _: Duration) -> Result<Got, CameraError> {
            match self.left.checked_sub(1) {
                Some(left) => {
                    self.left = left;
                    frame.sequence = left;
                    // Never too old, however slow this machine is.
                    frame.stamp.monotonic_ns = u64::MAX;
                    Ok(Got::Frame)
                }
                None => Err(CameraError::Gone { what: "x".into(), reason: "unplugged".into() }),
            }
        }

        fn describe(&self) -> String {
            "short".into()
        }

        fn skipped(&self) -> u64 {
            7
        }
    }

    #[test]
    fn frames_come_in_order_and_then_the_end() {
        let owners = Arc::new(());
        let mut ahead = Ahead::new(Box::new(Short { left: 3, _owner: owners.clone() })).unwrap();
        let (mut frame, mut said) = (Frame::default(), Vec::new());
        let error = loop {
            match ahead.next(&mut frame, Duration::from_secs(60)) {
                Ok(got) => said.push((got, frame.sequence)),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(said, [(Got::Frame, 2), (Got::Frame, 1), (Got::Frame, 0)]);
        assert!(error.contains("unplugged"), "{error}");
        assert_eq!((ahead.describe(), ahead.skipped()), ("short".into(), 7));
        drop(ahead);
        assert_eq!(Arc::strong_count(&owners), 1);
    }

    #[test]
    fn what_is_too_old_is_left_out_unless_nothing_newer_came() {
        let mut state = State::default();
        let filled = |state: &mut State| (1..=4).for_each(|sequence| _ = state.push(frame(sequence, 1)));
        let taken = |state: &mut State, now: u64| state.take(now * MAX_AGE).map(|frame| frame.sequence);
        filled(&mut state);
        assert_eq!([taken(&mut state, 2), taken(&mut state, 2), taken(&mut state, 5)], [Some(1), Some(2), Some(4)]);
        assert_eq!(taken(&mut state, 5), None);
        filled(&mut state);
        assert_eq!([taken(&mut state, 90), taken(&mut state, 90)], [Some(4), None]);
        assert!(state.spare.len() <= MAX_SPARE);
    }

    #[test]
    fn memory_is_bounded() {
        let mut state = State::default();
        for sequence in 0..4 {
            state.push(frame(sequence, MAX_BYTES / 2));
        }
        assert_eq!(state.waiting.iter().map(|frame| frame.sequence).collect::<Vec<_>>(), [2, 3]);
        let mut state = State::default();
        state.push(frame(0, MAX_BYTES + 1));
        assert_eq!(state.take(0).map(|frame| frame.sequence), Some(0));
    }
}
