//! Frames from the stdout of a program, such as `rpicam-vid`, `libcamera-vid`, `gst-launch-1.0` or `ffmpeg`.

mod length;
mod told;

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use expression_core::Stamp;

use self::length::LengthCheck;
use self::told::{Told, Written, advice};
use super::ahead::Ahead;
use super::live::{Live, Stream};
use super::process::Process;
use super::reader::{Fault, Framing, Got, Raw, Reader};
use super::secret::without_password;
use super::shear::ShearCheck;
use super::{CameraError, CameraOptions, Format, MAX_SIDE, clock, mjpeg, y4m};
use crate::frame::Frame;

/// Starts a program whose stdout is frames; it is started again when it ends or falls silent.
///
/// # Errors
/// Returns an error if it is not known what it writes, or it cannot be started.
pub fn open(words: &[String], options: &CameraOptions) -> Result<Live, CameraError> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    open_as(&format!("command {program}"), words, &[], Vec::new(), options)
}

/// Starts such a program; `name` is what messages call it. `others` are other ways to call it, tried one after another if it gives
/// no frame. `secrets` are left out of what the program says about itself.
///
/// # Errors
/// As [`open`].
pub fn open_as(
    name: &str,
    words: &[String],
    others: &[Vec<String>],
    secrets: Vec<String>,
    options: &CameraOptions,
) -> Result<Live, CameraError> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(CameraError::Spec { text: "command:".into(), reason: "the program is missing".into() });
    };
    let wrong = |reason| CameraError::Spec { text: without_password(&format!("command:{}", words.join(" "))), reason };
    let told = Told::from_flags(program, arguments);
    let written = told.and_then(|told| told.with(options)).map_err(wrong)?;
    framing(written).map_err(wrong)?;
    let calls: Vec<Vec<String>> =
        std::iter::once(words).chain(others.iter().map(Vec::as_slice)).map(<[_]>::to_vec).collect();
    let (once, end_with_command, newest) = (options.once, options.end_with_command, options.newest);
    let advice = advice(program, arguments);
    let label = name.to_owned();
    let opener = move || {
        let framing = framing(written).map_err(|reason| CameraError::Unavailable { what: label.clone(), reason })?;
        let mut calls = calls.clone().into_iter();
        let process = start(&label, &calls.next().unwrap_or_default())?;
        let program: Box<dyn Stream> = Box::new(Program {
            name: label.clone(),
            process,
            reader: Reader::new(framing),
            count: 0,
            once,
            start: None,
            end_with_command,
            secrets: secrets.clone(),
            written,
            shear: ShearCheck::for_format(written.format),
            length: LengthCheck::new(written),
            others: calls,
            reason: None,
            advice,
        });
        if !newest {
            return Ok(program);
        }
        Ok(Box::new(Ahead::new(program)?) as Box<dyn Stream>)
    };
    Live::open(name, Arc::new(opener), options)
}

fn start(name: &str, words: &[String]) -> Result<Process, CameraError> {
    let (program, arguments) = words.split_first().map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
    Process::start(program, arguments).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CameraError::Unavailable {
            what: name.to_owned(),
            reason: "there is no such program; install it, or give its path".into(),
        },
        _ => CameraError::unavailable(name, &error),
    })
}

/// How the frames follow one another.
fn framing(written: Written) -> Result<Box<dyn Framing>, String> {
    let Written { format, size, stride } = written;
    let names = Format::ALL.map(Format::name).join("|");
    let format = format.ok_or_else(|| format!("what the program writes is not known; add --frame-format {names}"))?;
    match format {
        Format::Y4m => return Ok(Box::new(y4m::Framer::default())),
        Format::Mjpeg => return Ok(Box::new(mjpeg::Framer::default())),
        _ => {}
    }
    let [width, height] = size.ok_or("the size of the frames is not known; add --frame-size WIDTHxHEIGHT")?;
    let layout = format.layout(width as usize, height as usize, stride).ok_or_else(|| match stride {
        Some(stride) if format.layout(width as usize, height as usize, None).is_some() => {
            format!(
                "rows of {stride} bytes cannot hold {width} pixels in format {format}; give --frame-stride in bytes"
            )
        }
        _ => format!("a frame cannot have {width}x{height} pixels; sides up to {MAX_SIDE} can be read"),
    })?;
    Ok(Box::new(Raw(layout)))
}

/// What to do about a program, or an address, that gives one picture each time.
const SINGLE_PICTURE: &str = "it gave one frame only; to read a picture again and again, write \
                              command:sh -c 'while curl -fsS ADDRESS; do sleep 1; done' --frame-format mjpeg, or another program in \
                              place of curl";

/// Give up after this many bytes without a picture.
const MAX_WITHOUT_PICTURE: u64 = 32 << 20;

/// A running program.
struct Program {
    name: String,
    process: Process,
    reader: Reader<Box<dyn Framing>>,
    count: u64,
    /// It reads a recording: it ends once, with success or with an error.
    once: bool,
    /// When the first frame of a recording was read.
    start: Option<Stamp>,
    end_with_command: bool,
    /// What is not to be seen in messages.
    secrets: Vec<String>,
    written: Written,
    /// Of raw frames: whether their rows have the right length.
    shear: Option<ShearCheck>,
    /// Of raw frames: whether they have the right length.
    length: Option<LengthCheck>,
    /// Other ways to call it, if it gives no frame.
    others: std::vec::IntoIter<Vec<String>>,
    /// Why the first of them gave none.
    reason: Option<String>,
    /// What to do if it ends with success.
    advice: Option<&'static str>,
}

impl Program {
    /// Says why there are no more frames, with what the program said last.
    fn reason(&mut self, fault: Option<Fault>, status: Option<ExitStatus>) -> String {
        let damage = fault.map(|fault| match fault {
            Fault::Damaged(reason) => format!("what it writes: {reason}"),
            Fault::Read(error) => error.to_string(),
        });
        let ended = status.map_or("it closed its stdout".into(), |status| format!("it ended ({status})"));
        let hide = |words: String, secret: &String| words.replace(secret.as_str(), "");
        let words = self.process.last_words().map(|words| self.secrets.iter().fold(words, hide));
        let words = words.map(|words| format!("it said: {words}"));
        let succeeded = damage.is_none() && status.is_some_and(|status| status.success());
        let single = (self.count == 1).then_some(SINGLE_PICTURE);
        let advice = self.advice.or(single).filter(|_| succeeded).map(str::to_owned);
        [damage, self.lacks_pictures(0), Some(ended), words, advice]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// The format of frames that do not carry it themselves.
    fn raw_format(&self) -> Option<Format> {
        self.written.format.filter(|format| !matches!(format, Format::Mjpeg | Format::Y4m))
    }

    /// Says that MJPEG was expected, if more than `bytes` bytes held no picture.
    fn lacks_pictures(&self, bytes: u64) -> Option<String> {
        let passed = self.reader.passed;
        (self.written.format == Some(Format::Mjpeg) && self.count == 0 && passed > bytes).then(|| {
            let reason = self.reader.reason.as_ref().map(|reason| format!(" (of the last one: {reason})"));
            let reason = reason.unwrap_or_default();
            format!(
                "no whole JPEG picture was found in {passed} bytes{reason}; check what it writes, or --frame-format"
            )
        })
    }

    /// Calls the program in another way, if there is one and it gave no frame yet.
    fn try_other(&mut self, reason: String) -> bool {
        if self.count > 0 {
            return false;
        }
        let process = self.others.next().and_then(|words| start(&self.name, &words).ok());
        let (Some(process), Ok(framing)) = (process, framing(self.written)) else { return false };
        tracing::debug!("no frame from {}; trying another way to start it", self.name);
        self.reason.get_or_insert(reason);
        (self.process, self.reader) = (process, Reader::new(framing));
        true
    }
}

impl Stream for Program {
    fn next(&mut self, frame: &mut Frame, wait: Duration) -> Result<Got, CameraError> {
        let fault = match self.reader.next(&mut self.process, frame, wait) {
            Ok(Got::Frame) => {
                if let (0, Some(wanted)) = (self.count, self.raw_format())
                    && let Some(reason) = wanted.mistaken(&frame.bytes)
                {
                    let reason = without_password(&reason);
                    return Err(CameraError::Gone { what: self.name.clone(), reason });
                }
                // A recording is read faster, or slower, than it was made.
                let time = self.reader.framing.time(self.count).filter(|_| self.once);
                frame.stamp = match time {
                    Some(time) => clock::after(*self.start.get_or_insert_with(clock::now), time),
                    None => clock::now(),
                };
                frame.sequence = self.count;
                frame.name = None;
                self.count += 1;
                if let Some(stride) = self.shear.as_mut().and_then(|shear| shear.look(frame)) {
                    let (name, rows) = (&self.name, frame.luma.stride);
                    let row = frame.luma.width * frame.luma.step;
                    // Shorter rows are those of another size, and much longer ones those of another format.
                    let advice = match (row..2 * row).contains(&stride) {
                        true => format!("check --frame-size, or add --frame-stride {stride}"),
                        false => "check --frame-size and --frame-format".to_owned(),
                    };
                    tracing::warn!(
                        "the frames of {name} look sheared: their rows seem to be {stride} bytes long, not {rows}; {advice}"
                    );
                    self.length = None;
                } else if let Some((bytes, advice)) = self.length.as_mut().and_then(|length| length.look(&frame.bytes))
                {
                    let (name, believed) = (&self.name, frame.bytes.len());
                    tracing::warn!(
                        "the frames of {name} seem to be {bytes} bytes long, not {believed}, so the picture moves on from frame to frame; \
                         try {advice}"
                    );
                }
                return Ok(Got::Frame);
            }
            Ok(Got::Waiting) => {
                if let Some(reason) = self.lacks_pictures(MAX_WITHOUT_PICTURE) {
                    return Err(CameraError::Gone { what: self.name.clone(), reason });
                }
                return Ok(Got::Waiting);
            }
            Ok(Got::End) => None,
            Err(fault) => Some(fault),
        };
        let status = self.process.end();
        let succeeded = fault.is_none() && status.is_some_and(|status| status.success());
        let reason = self.reason(fault, status);
        if succeeded && self.end_with_command && (self.count > 0 || !self.once) {
            if self.once
                && let Some(words) = self.process.last_words()
            {
                tracing::warn!("{}: it may be damaged: {words}", self.name);
            }
            return Ok(Got::End);
        }
        if self.try_other(reason.clone()) {
            return Ok(Got::Waiting);
        }
        // What went wrong first tells more than what did not help, unless it helped for a while.
        let reason = self.reason.take().filter(|_| self.count == 0).unwrap_or(reason);
        if self.once {
            let reason = match self.count {
                0 => format!("no frame of it can be read: {reason}"),
                count => format!("frame {count}: {reason}"),
            };
            return Err(CameraError::Damaged { what: self.name.clone(), reason });
        }
        Err(CameraError::Gone { what: self.name.clone(), reason })
    }

    fn describe(&self) -> String {
        self.name.clone()
    }

    fn skipped(&self) -> u64 {
        self.reader.skipped
    }

    fn complaint(&self) -> Option<&str> {
        self.reader.reason.as_deref()
    }
}

#[cfg(test)]
mod tests;
