//! V4L2 cameras: opening, negotiation, frames. What touches the kernel is in `v4l2/ioctl.rs`.

mod abi;
mod ioctl;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::live::{Live, Stream};
use super::reader::Got;
use super::{CameraError, CameraOptions, Choice, Format, FormatInfo, Layout, Wish, clock, mjpeg, ranked};
use crate::frame::Frame;

/// A V4L2 device that gives pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceInfo {
    /// Its file, such as `/dev/video0`.
    pub path: PathBuf,
    /// What it calls itself; empty where it could not be asked.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// The formats that it offers; those without [`FormatInfo::format`] cannot be read.
    pub formats: Vec<FormatInfo>,
    /// Why it cannot be used, and what to do.
    pub problem: Option<String>,
}

/// The V4L2 devices of this machine that give pictures, by number, and those that cannot be asked.
pub fn devices() -> Vec<DeviceInfo> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("video")?.parse::<u32>().ok();
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| number(path).is_some()).collect();
    paths.sort_by_key(number);
    paths.into_iter().filter_map(described).collect()
}

/// What a device is; `None` for those that are no cameras.
fn described(path: PathBuf) -> Option<DeviceInfo> {
    let mut info = DeviceInfo { path, name: String::new(), driver: String::new(), formats: Vec::new(), problem: None };
    match ioctl::Device::open(&info.path).and_then(|device| Ok((device.capability()?, device))) {
        Ok((capability, _)) if !capability.captures => return None,
        Ok((capability, device)) => {
            (info.name, info.driver, info.formats) = (capability.name, capability.driver, device.formats());
            if info.formats.iter().all(|format| format.format().is_none()) {
                info.problem = Some(unreadable(&info.formats));
            }
        }
        Err(error) => info.problem = Some(advice(&error)),
    }
    Some(info)
}

/// Why none of the formats will do.
fn unreadable(formats: &[FormatInfo]) -> String {
    let codes: Vec<String> = formats.iter().map(FormatInfo::code).collect();
    match codes.is_empty() {
        true => "it offers no formats; is it the camera's second device, for metadata?".into(),
        false => format!(
            "none of its formats can be read ({}); a CSI camera is read through command:\"rpicam-vid ...\"",
            codes.join(", ")
        ),
    }
}

/// An error of opening a camera, and what to do.
fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}; add the user to the group video"),
        io::ErrorKind::ResourceBusy => format!("{error}; another program has the camera"),
        _ if error.raw_os_error() == Some(libc::ENOTTY) => "it is not a V4L2 device".into(),
        _ => error.to_string(),
    }
}

/// Opens a camera; it is opened again when it is lost.
///
/// # Errors
/// Returns an error if it cannot be opened; names the cameras that there are.
pub fn open(path: &Path, wish: &Wish, options: &CameraOptions) -> Result<Live, CameraError> {
    let wish = Wish {
        size: wish.size.or(options.size),
        format: wish.format.or(options.format),
        rate: wish.rate.or(options.rate),
    };
    let device = path.to_owned();
    let opener = move || match Camera::open(&device, &wish) {
        Ok(camera) => Ok(Box::new(camera) as Box<dyn Stream>),
        Err(CameraError::Unavailable { what, reason }) => {
            Err(CameraError::Unavailable { what, reason: format!("{reason}; {}", others(&devices())) })
        }
        Err(error) => Err(error),
    };
    Live::open(&format!("v4l2 {}", path.display()), Arc::new(opener), options)
}

/// The cameras that there are, in words.
fn others(devices: &[DeviceInfo]) -> String {
    let usable = devices.iter().filter(|device| device.problem.is_none());
    let names: Vec<String> = usable.map(|device| format!("{} ({})", device.path.display(), device.name)).collect();
    match names.is_empty() {
        true => "no V4L2 camera is there".into(),
        false => format!("there are {}", names.join(", ")),
    }
}

/// A camera that gives frames.
struct Camera {
    name: String,
    stream: ioctl::Stream,
    kind: Kind,
    decoder: mjpeg::Decoder,
    skipped: u64,
    /// Why the last frame was left out, if it was.
    complaint: Option<String>,
}

/// What the buffers hold.
enum Kind {
    Raw(Layout),
    Jpeg,
}

impl Camera {
    fn open(path: &Path, wish: &Wish) -> Result<Camera, CameraError> {
        let unavailable = |reason| CameraError::Unavailable { what: format!("camera {}", path.display()), reason };
        let failed = |error: io::Error| unavailable(advice(&error));
        let device = ioctl::Device::open(path).map_err(failed)?;
        let capability = device.capability().map_err(failed)?;
        if !capability.captures {
            return Err(unavailable("it gives no pictures (single-plane V4L2 capture)".into()));
        }
        let formats = device.formats();
        let mut refused = None;
        for choice in ranked(&formats, wish) {
            match set(&device, choice) {
                Ok((kind, size)) => {
                    if let Some(rate) = wish.rate
                        && let Err(error) = device.set_rate(rate)
                    {
                        tracing::warn!("{}: the frame rate stays as it is: {error}", path.display());
                    }
                    let name = format!(
                        "v4l2 {} ({}), {}x{} {}",
                        path.display(),
                        capability.name,
                        size[0],
                        size[1],
                        choice.format
                    );
                    let stream = device.start().map_err(failed)?;
                    return Ok(Camera {
                        name,
                        stream,
                        kind,
                        decoder: mjpeg::Decoder::default(),
                        skipped: 0,
                        complaint: None,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Err(failed(error)),
                Err(error) => refused = Some(error),
            }
        }
        Err(unavailable(match (refused, wish.format) {
            (Some(error), _) => format!("it takes none of its own formats: {}", advice(&error)),
            (None, Some(format)) if formats.iter().any(|info| info.format().is_some()) => {
                let names: Vec<&str> = formats.iter().filter_map(FormatInfo::format).map(Format::name).collect();
                format!("it does not offer {format}; it offers {}", names.join(", "))
            }
            _ => unreadable(&formats),
        }))
    }
}

/// Asks for a choice. The driver may answer with another size, which is taken, or another format, which is not.
fn set(device: &ioctl::Device, choice: Choice) -> io::Result<(Kind, [u32; 2])> {
    let unusable = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let given = device.set_format(choice.fourcc, choice.size)?;
    if given.fourcc != choice.fourcc {
        return Err(unusable("the driver gives another format than it was asked for"));
    }
    if choice.format == Format::Mjpeg {
        return Ok((Kind::Jpeg, given.size));
    }
    let [width, height] = given.size.map(|side| side as usize);
    let stride = (given.stride > 0).then_some(given.stride as usize);
    let layout = choice.format.layout(width, height, stride);
    Ok((Kind::Raw(layout.ok_or_else(|| unusable("the driver gives a size that makes no sense"))?), given.size))
}

impl Stream for Camera {
    fn next(&mut self, frame: &mut Frame, wait: Duration) -> Result<Got, CameraError> {
        let gone = |error: io::Error| CameraError::Gone { what: self.name.clone(), reason: error.to_string() };
        let (kind, decoder) = (&self.kind, &mut self.decoder);
        let taken = self.stream.newest(wait, |bytes| fill(bytes, kind, decoder, frame)).map_err(gone)?;
        match taken {
            None => Ok(Got::Waiting),
            Some((Err(reason), _)) => {
                self.skipped += 1;
                self.complaint = Some(reason);
                Ok(Got::Waiting)
            }
            Some((Ok(()), info)) => {
                self.complaint = None;
                let now = clock::now();
                frame.stamp = info.monotonic_ns.map_or(now, |time| clock::captured(time, now));
                frame.sequence = info.sequence.into();
                frame.name = None;
                Ok(Got::Frame)
            }
        }
    }

    fn describe(&self) -> String {
        self.name.clone()
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    fn is_video(&self) -> bool {
        true
    }
}

/// Takes a frame out of a buffer of the driver.
///
/// # Errors
/// Says why if it is not whole.
fn fill(bytes: &[u8], kind: &Kind, decoder: &mut mjpeg::Decoder, frame: &mut Frame) -> Result<(), String> {
    match kind {
        Kind::Jpeg => decoder.decode_first(bytes, frame),
        // A driver may leave out what follows the last pixel's luma.
        Kind::Raw(layout) if bytes.len() >= layout.luma_end() => {
            frame.bytes.clear();
            frame.bytes.extend_from_slice(bytes.get(..layout.bytes).unwrap_or(bytes));
            frame.luma = layout.luma;
            Ok(())
        }
        Kind::Raw(layout) => Err(format!("it has {} bytes instead of {}", bytes.len(), layout.bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_camera_is_refused_with_the_cameras_that_there_are() {
        let refused = |path: &str| open(Path::new(path), &Wish::default(), &CameraOptions::default()).err().unwrap();
        let absent = refused("/dev/no-such-camera").to_string();
        assert!(absent.starts_with("cannot open camera /dev/no-such-camera: "), "{absent}");
        assert!(absent.contains("camera is there") || absent.contains("there are /dev/video"), "{absent}");
        let other = refused("/dev/null").to_string();
        assert!(other.contains("it is not a V4L2 device"), "{other}");
    }

    #[test]
    fn cameras_are_listed_in_words() {
        let info = |path: &str, problem: Option<&str>| DeviceInfo {
            path: path.into(),
            name: "Camera".into(),
            driver: "uvcvideo".into(),
            formats: Vec::new(),
            problem: problem.map(str::to_owned),
        };
        let devices = [info("/dev/video0", None), info("/dev/video1", Some("busy")), info("/dev/video4", None)];
        assert_eq!(others(&devices), "there are /dev/video0 (Camera), /dev/video4 (Camera)");
        assert_eq!(others(&devices[1..2]), "no V4L2 camera is there");
        assert!(
            unreadable(&[FormatInfo {
                fourcc: *b"pRAA",
                description: String::new(),
                sizes: super::super::Sizes::Unknown
            }])
            .contains("pRAA")
        );
        super::devices();
    }

    #[test]
    fn buffers_that_are_too_short_are_left_out() {
        let layout = Format::Yuyv.layout(4, 2, Some(12)).unwrap();
        let (mut frame, mut decoder) = (Frame::default(), mjpeg::Decoder::default());
        let buffer: Vec<u8> = (0..30).collect();
        let mut take = |bytes: &[u8], kind: &Kind| fill(bytes, kind, &mut decoder, &mut frame);
        assert_eq!(take(&buffer[..18], &Kind::Raw(layout)), Err("it has 18 bytes instead of 24".into()));
        assert_eq!(take(&buffer, &Kind::Jpeg), Err("there is no JPEG picture".into()));
        assert!(take(&[], &Kind::Raw(layout)).is_err());
        assert_eq!(take(&buffer[..19], &Kind::Raw(layout)), Ok(()));
        assert_eq!(take(&buffer, &Kind::Raw(layout)), Ok(()));
        assert_eq!(frame.view().unwrap().luma(3, 1), 18);
    }
}
