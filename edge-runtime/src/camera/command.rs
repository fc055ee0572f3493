//! Frames from the stdout of a program, such as `rpicam-vid`, `libcamera-vid`, `gst-launch-1.0` or `ffmpeg`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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
    open_as(&format!("command {program}"), words, Vec::new(), options)
}

/// Starts such a program; `name` is what messages call it. `secrets` are left out of what the program says about itself.
///
/// # Errors
/// As [`open`].
pub fn open_as(
    name: &str,
    words: &[String],
    secrets: Vec<String>,
    options: &CameraOptions,
) -> Result<Live, CameraError> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(CameraError::Spec { text: "command:".into(), reason: "the program is missing".into() });
    };
    let wrong = |reason| CameraError::Spec { text: without_password(&format!("command:{}", words.join(" "))), reason };
    let told = Told::from_flags(program, arguments);
    let format = options.format.or(told.format);
    let size = options.size.or(told.size);
    let stride = options.stride.or(told.stride);
    framing(format, size, stride).map_err(wrong)?;
    let (program, arguments) = (program.clone(), arguments.to_vec());
    let end_with_command = options.end_with_command;
    let label = name.to_owned();
    let opener = move || {
        let framing =
            framing(format, size, stride).map_err(|reason| CameraError::Unavailable { what: label.clone(), reason })?;
        let program = Program::start(&label, &program, &arguments, framing, end_with_command)?;
        Ok(Box::new(Program { secrets: secrets.clone(), ..program }) as Box<dyn Stream>)
    };
    Live::open(name, Arc::new(opener), options)
}

/// How the frames follow one another.
fn framing(format: Option<Format>, size: Option<[u32; 2]>, stride: Option<usize>) -> Result<Box<dyn Framing>, String> {
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

/// What the flags of the Raspberry Pi's camera programs tell of what they write.
#[derive(Debug, Default, PartialEq)]
struct Told {
    size: Option<[u32; 2]>,
    format: Option<Format>,
    stride: Option<usize>,
}

/// The Raspberry Pi's camera pads the rows of raw frames to a multiple of this many bytes.
const PI_ALIGNMENT: usize = 64;

impl Told {
    fn from_flags(program: &str, arguments: &[String]) -> Told {
        let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !matches!(name, "rpicam-vid" | "libcamera-vid") {
            return Told::default();
        }
        let value = |flag: &str| {
            let with = |argument: &String| Some(argument.strip_prefix(flag)?.strip_prefix('=')?.to_owned());
            let joined = arguments.iter().rev().find_map(with);
            let apart = || arguments.windows(2).rev().find(|pair| pair[0] == flag).map(|pair| pair[1].clone());
            joined.or_else(apart)
        };
        let side = |flag: &str| value(flag)?.parse::<u32>().ok();
        let format = match value("--codec").as_deref() {
            Some("yuv420") => Some(Format::I420),
            Some("mjpeg") => Some(Format::Mjpeg),
            _ => None,
        };
        let size = side("--width").zip(side("--height")).map(|(width, height)| [width, height]);
        let padded = size.filter(|_| format == Some(Format::I420));
        Told { size, format, stride: padded.map(|[width, _]| (width as usize).next_multiple_of(PI_ALIGNMENT)) }
    }
}

/// A running program.
struct Program {
    name: String,
    process: Process,
    reader: Reader<Box<dyn Framing>>,
    count: u64,
    end_with_command: bool,
    /// What is not to be seen in messages.
    secrets: Vec<String>,
    /// Of raw frames: whether their size is right.
    shear: ShearCheck,
}

impl Program {
    fn start(
        name: &str,
        program: &str,
        arguments: &[String],
        framing: Box<dyn Framing>,
        end_with_command: bool,
    ) -> Result<Program, CameraError> {
        let name = name.to_owned();
        let process = Process::start(program, arguments).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => CameraError::Unavailable {
                what: name.clone(),
                reason: "there is no such program; install it, or give its path".into(),
            },
            _ => CameraError::unavailable(&name, &error),
        })?;
        Ok(Program {
            name,
            process,
            reader: Reader::new(framing),
            count: 0,
            end_with_command,
            secrets: Vec::new(),
            shear: ShearCheck::default(),
        })
    }
}

impl Stream for Program {
    fn next(&mut self, frame: &mut Frame, wait: Duration) -> Result<Got, CameraError> {
        let fault = match self.reader.next(&mut self.process, frame, wait) {
            Ok(Got::Frame) => {
                frame.stamp = clock::now();
                frame.sequence = self.count;
                frame.name = None;
                self.count += 1;
                if let Some(stride) = self.shear.look(frame) {
                    let (name, rows) = (&self.name, frame.luma.stride);
                    tracing::warn!(
                        "the frames of {name} look sheared: their rows seem to be {stride} bytes long, not {rows}; \
                         check --frame-size, or add --frame-stride {stride}"
                    );
                }
                return Ok(Got::Frame);
            }
            Ok(Got::Waiting) => return Ok(Got::Waiting),
            Ok(Got::End) => None,
            Err(fault) => Some(fault),
        };
        let status = self.process.end();
        if fault.is_none() && self.end_with_command && status.is_some_and(|status| status.success()) {
            return Ok(Got::End);
        }
        let damage = fault.map(|fault| match fault {
            Fault::Damaged(reason) => format!("what it writes: {reason}"),
            Fault::Read(error) => error.to_string(),
        });
        let ended = status.map_or("it closed its stdout".into(), |status| format!("it ended ({status})"));
        let hide = |words: String, secret: &String| words.replace(secret.as_str(), "");
        let words = self.process.last_words().map(|words| self.secrets.iter().fold(words, hide));
        let words = words.map(|words| format!("it said: {words}"));
        let reason = [damage, Some(ended), words].into_iter().flatten().collect::<Vec<_>>().join("; ");
        Err(CameraError::Gone { what: self.name.clone(), reason })
    }

    fn describe(&self) -> String {
        self.name.clone()
    }

    fn skipped(&self) -> u64 {
        self.reader.skipped
    }
}

#[cfg(test)]
mod tests;
