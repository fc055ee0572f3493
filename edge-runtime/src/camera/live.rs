//! A camera that is opened again when it is lost: one source that outlives many streams.
//!
//! ```text
//! Running --stalls, ends, fails--> Resting --pause over--> Opening --opened--> Running
//!                                     ^------- failed -------'
//! ```
//! A device may take seconds to open or close, so that is done on a thread of its own, one at a time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::reader::Got;
use super::{Backoff, CameraError, CameraOptions, MAX_WAIT, Next, Source, clock};
use crate::frame::Frame;

/// An opened camera.
pub trait Stream: Send {
    /// Fills `frame`, its stamp and its sequence number included, unless it takes longer than `wait`.
    ///
    /// # Errors
    /// Says why the camera has to be opened again.
    fn next(&mut self, frame: &mut Frame, wait: Duration) -> Result<Got, CameraError>;

    /// What it is, for people.
    fn describe(&self) -> String;

    /// How many frames were damaged and left out.
    fn skipped(&self) -> u64;

    /// Why the last frame was left out, if it was.
    fn complaint(&self) -> Option<&str> {
        None
    }

    /// Whether it gives several frames per second, so that no frame for [`CameraOptions::first_frame`] means that it hangs. A
    /// program may be at a time lapse; see also [`CameraOptions::starts_soon`].
    fn is_video(&self) -> bool {
        false
    }
}

/// Opens the camera, as often as need be.
pub type Opener = Arc<dyn Fn() -> Result<Box<dyn Stream>, CameraError> + Send + Sync>;

/// A camera that is opened again when it is lost.
pub struct Live {
    opener: Opener,
    stall: Option<Duration>,
    first_frame: Duration,
    starts_soon: bool,
    fail_without_frame: bool,
    once: bool,
    pace: Pace,
    backoff: Backoff,
    state: State,
    /// The last frame, or the start.
    last: Instant,
    /// When it was last asked for a frame.
    asked: Instant,
    lost: bool,
    /// A frame that was there before its time: [`Next::Back`] is said first.
    early: Option<Frame>,
    numbers: Numbers,
    stamps: clock::Forward,
    description: String,
    /// Frames left out by streams that are gone.
    skipped: u64,
}

enum State {
    Running(Box<dyn Stream>, Instant),
    Resting(Instant, Option<Box<dyn Stream>>),
    Opening(Receiver<Result<Box<dyn Stream>, CameraError>>, Instant),
    Ended,
}

/// Less silence than this is never a stall.
const MIN_STALL: Duration = Duration::from_secs(3);
/// Silence for this many intervals between frames is a stall.
const STALL_INTERVALS: u32 = 5;
/// Upper limit for the silence that is allowed after earlier restarts came too soon; a camera may give one frame an hour.
const MAX_STALL: Duration = Duration::from_secs(2 * 3600);
/// Upper limit for the wait for a first frame.
const MAX_FIRST: Duration = Duration::from_secs(600);
/// Upper limit for a stream that ran for more than [`LONG_RUN`] times what its rate allows before it fell silent: it probably hangs.
const MAX_STALL_AFTER_RUN: Duration = Duration::from_secs(30);
/// See [`MAX_STALL_AFTER_RUN`].
const LONG_RUN: u32 = 5;
/// A stream that ran for this long without a pause that would have been too long is judged by its rate alone again.
const TRUSTED: Duration = Duration::from_secs(600);

/// How fast frames came so far.
#[derive(Debug, Default)]
struct Pace {
    /// Time from the opening to the first frame, the longest seen.
    start: Option<Duration>,
    /// Time between two frames; it follows longer ones at once and shorter ones slowly.
    interval: Option<Duration>,
    /// Frames of the stream that runs now.
    frames: u64,
    /// Whether the warning about a late frame was logged.
    warned: bool,
    /// Minimum allowed silence between frames: twice the silence after which the last stream was given up. A burst of frames at
    /// the start suggests a rate that the camera does not keep.
    least: Duration,
    /// The same for the first frame.
    least_first: Duration,
    /// How long the stream has given frames without a pause that only [`Pace::least`] allowed.
    ran: Duration,
}

impl Pace {
    /// Notes a frame that came so long after the one before, or after the opening.
    fn note(&mut self, waited: Duration) {
        if self.frames == 0 {
            self.start = Some(self.start.unwrap_or_default().max(waited));
            self.least_first = Duration::ZERO;
        } else {
            let was_needed = self.by_interval().is_some_and(|allowed| waited >= allowed);
            self.ran = if was_needed { Duration::ZERO } else { self.ran + waited };
            if self.ran >= TRUSTED {
                self.least = Duration::ZERO;
            }
            self.interval = Some(self.interval.map_or(waited, |interval| waited.max(interval - interval / 8)));
        }
        self.frames += 1;
    }

    /// How long the frames seen so far allow for the next one.
    fn by_interval(&self) -> Option<Duration> {
        self.interval.map(|interval| (interval * STALL_INTERVALS).max(MIN_STALL))
    }

    /// A stream was opened.
    fn restart(&mut self) {
        (self.frames, self.warned, self.ran) = (0, false, Duration::ZERO);
    }

    /// A stream is given up, as it was silent for so long: the next one is given twice the time.
    fn give_up(&mut self, waited: Duration) {
        let usual = self.by_interval().unwrap_or(waited);
        let most = if self.ran > LONG_RUN * usual { MAX_STALL_AFTER_RUN } else { MAX_STALL };
        match self.frames {
            0 => self.least_first = (2 * waited).min(MAX_FIRST),
            _ => self.least = (2 * waited).min(most),
        }
    }
}

/// Numbers frames on where a new stream begins to count from 0.
#[derive(Default)]
struct Numbers {
    next: u64,
    offset: Option<u64>,
}

impl Numbers {
    fn number(&mut self, sequence: u64) -> u64 {
        let offset = *self.offset.get_or_insert(self.next.wrapping_sub(sequence));
        let number = sequence.wrapping_add(offset);
        self.next = number.wrapping_add(1);
        number
    }
}

impl Live {
    /// Opens the camera.
    ///
    /// # Errors
    /// Returns the opener's error, unless [`CameraOptions::wait_for_camera`] says to wait: then the first answer is [`Next::Lost`].
    pub fn open(name: &str, opener: Opener, options: &CameraOptions) -> Result<Live, CameraError> {
        let now = Instant::now();
        let state = match options.wait_for_camera && !options.once {
            true => State::Resting(now, None),
            false => State::Running(opener()?, now),
        };
        let mut live = Live {
            opener,
            stall: options.stall,
            first_frame: options.first_frame,
            starts_soon: options.starts_soon,
            fail_without_frame: options.fail_without_frame,
            once: options.once,
            pace: Pace::default(),
            backoff: Backoff::new(options.first_retry, options.longest_retry),
            state,
            last: now,
            asked: now,
            lost: false,
            early: None,
            numbers: Numbers::default(),
            stamps: clock::Forward::default(),
            description: name.to_owned(),
            skipped: 0,
        };
        if let State::Running(stream, _) = &live.state {
            live.description = stream.describe();
        }
        Ok(live)
    }

    fn lose(&mut self, reason: String) -> Next {
        let pause = self.backoff.pause();
        let state = std::mem::replace(&mut self.state, State::Ended);
        let stream = match state {
            State::Running(stream, _) => {
                self.skipped += stream.skipped();
                Some(stream)
            }
            _ => None,
        };
        self.state = State::Resting(Instant::now() + pause, stream);
        if std::mem::replace(&mut self.lost, true) {
            tracing::debug!("still lost, next attempt in {pause:?}: {reason}");
            return Next::Waiting;
        }
        Next::Lost { reason }
    }

    /// How long the running stream may be silent; `None` for as long as it takes.
    fn patience(&self, is_video: bool) -> Option<Duration> {
        let Pace { start, frames, least, least_first, .. } = self.pace;
        let by_interval = self.pace.by_interval().map(|allowed| allowed.max(least));
        let starts_soon = is_video || self.starts_soon;
        match (frames, self.stall) {
            _ if self.once => None,
            // A stream that was opened again may take as long for its first frame as others took.
            (0, Some(stall)) => match start {
                Some(start) => Some(stall.max(2 * start).max(least_first)),
                None => starts_soon.then(|| stall.max(self.first_frame).max(least_first)),
            },
            (0, None) if start.is_none() && !starts_soon => None,
            (0, None) => {
                let usual = self.first_frame.max(2 * start.unwrap_or_default()).max(least_first);
                Some(usual.max(self.pace.by_interval().unwrap_or_default()))
            }
            (_, Some(stall)) => Some(stall),
            // One frame tells no rate yet.
            (_, None) => by_interval.or(is_video.then_some(self.first_frame)),
        }
    }

    fn run(&mut self, frame: &mut Frame) -> Result<Next, CameraError> {
        let State::Running(stream, _) = &self.state else { return Ok(Next::Waiting) };
        let patience = self.patience(stream.is_video());
        let State::Running(stream, since) = &mut self.state else { return Ok(Next::Waiting) };
        // A source that was not asked is not silent: recording may have been paused.
        let paused = self.asked.elapsed() >= patience.unwrap_or(self.first_frame).min(MIN_STALL);
        if paused {
            *since = Instant::now();
        }
        Ok(match stream.next(frame, MAX_WAIT) {
            Ok(Got::Frame) => {
                let now = Instant::now();
                let waited = now - std::mem::replace(since, now);
                if !paused || self.pace.frames == 0 {
                    self.pace.note(waited);
                }
                let gap = now - std::mem::replace(&mut self.last, now);
                frame.sequence = self.numbers.number(frame.sequence);
                frame.stamp = self.stamps.stamp(frame.stamp);
                self.backoff.reset();
                if std::mem::take(&mut self.lost) {
                    tracing::info!("camera back after {:.1} s: {}", gap.as_secs_f64(), self.description);
                    self.early = Some(std::mem::take(frame));
                    return Ok(Next::Back { gap });
                }
                Next::Frame
            }
            Ok(Got::Waiting) => {
                let silent = since.elapsed();
                let complaint = stream.complaint().map(|reason| format!("; the last one was left out: {reason}"));
                let complaint = complaint.unwrap_or_default();
                if patience.is_some_and(|patience| silent >= patience) {
                    let patience = patience.unwrap_or_default();
                    if self.fail_without_frame && self.pace.start.is_none() {
                        self.state = State::Ended;
                        let reason = format!("it gave no frame for {patience:.1?}{complaint}");
                        return Err(CameraError::Unavailable { what: self.description.clone(), reason });
                    }
                    let reason = format!("{} gave no frame for {patience:.1?}{complaint}", self.description);
                    self.pace.give_up(patience);
                    return Ok(self.lose(reason));
                }
                // What is never given up says so once; the rest says that it is lost.
                if patience.is_none() && silent >= self.first_frame && !std::mem::replace(&mut self.pace.warned, true) {
                    let seconds = silent.as_secs();
                    tracing::warn!(
                        "{} has given no frame for {seconds} s; still waiting for it{complaint}",
                        self.description
                    );
                }
                Next::Waiting
            }
            Ok(Got::End) => {
                self.skipped += stream.skipped();
                self.state = State::Ended;
                Next::End
            }
            Err(error) if self.once || (self.fail_without_frame && self.pace.start.is_none()) => {
                self.state = State::Ended;
                return Err(error);
            }
            Err(error) => self.lose(error.to_string()),
        })
    }

    fn rest(&mut self) -> Next {
        let State::Resting(until, stream) = &mut self.state else { return Next::Waiting };
        let left = until.saturating_duration_since(Instant::now());
        thread::sleep(left.min(MAX_WAIT));
        if left > MAX_WAIT {
            return Next::Waiting;
        }
        let (old, opener) = (stream.take(), self.opener.clone());
        let (sender, receiver) = sync_channel(1);
        let open = move || {
            // Closed first: a camera gives its pictures to one reader at a time.
            drop(old);
            // If nobody waits any more, the stream is closed here.
            _ = sender.send(opener());
        };
        match thread::Builder::new().name("camera".into()).spawn(open) {
            Ok(_) => {
                self.state = State::Opening(receiver, Instant::now());
                Next::Waiting
            }
            Err(error) => self.lose(format!("cannot start a thread: {error}")),
        }
    }

    fn wait_for_opening(&mut self) -> Next {
        let State::Opening(receiver, since) = &self.state else { return Next::Waiting };
        match receiver.recv_timeout(MAX_WAIT) {
            Ok(Ok(stream)) => {
                self.description = stream.describe();
                self.numbers.offset = None;
                self.pace.restart();
                self.state = State::Running(stream, Instant::now());
                Next::Waiting
            }
            Ok(Err(error)) => self.lose(error.to_string()),
            // The thread that opens it cannot be ended, so it is waited for on.
            Err(RecvTimeoutError::Timeout) if since.elapsed() >= self.first_frame && !self.lost => {
                self.lost = true;
                let reason = format!("{} has not been opened within {:.1?}", self.description, self.first_frame);
                Next::Lost { reason }
            }
            Err(RecvTimeoutError::Timeout) => Next::Waiting,
            Err(RecvTimeoutError::Disconnected) => self.lose("the thread that opens the camera failed".into()),
        }
    }
}

impl Source for Live {
    fn next(&mut self, frame: &mut Frame) -> Result<Next, CameraError> {
        if let Some(early) = self.early.take() {
            *frame = early;
            return Ok(Next::Frame);
        }
        let next = match self.state {
            State::Running(..) => self.run(frame)?,
            State::Resting(..) => self.rest(),
            State::Opening(..) => self.wait_for_opening(),
            State::Ended => Next::End,
        };
        self.asked = Instant::now();
        Ok(next)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn skipped(&self) -> u64 {
        match &self.state {
            State::Running(stream, _) => self.skipped + stream.skipped(),
            _ => self.skipped,
        }
    }
}

#[cfg(test)]
mod tests;
