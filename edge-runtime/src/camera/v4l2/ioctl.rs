//! V4L2 by plain ioctl: safe calls around the structures of `v4l2/abi.rs`.
//!
//! Ours, not the crate `linuxvideo` (0.3.5): it hides the time and number of a buffer, waits without end for the next one,
//! and panics where a driver's text is not UTF-8 or a buffer's length is wrong.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rustix::ioctl::{Setter, Updater, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::super::pipe::readable;
use super::super::{FormatInfo, Size, Sizes};
use super::abi::{
    Buffer, BufferRequest, CAP_CAPTURE, CAP_DEVICE_CAPS, CAP_STREAMING, CAPTURE, Capabilities, FLAG_CLOCK, FLAG_ERROR,
    FLAG_MONOTONIC, FormatEntry, FormatRequest, IntervalEntry, MMAP, Parameters, PixelFormat, Plain, SizeEntry, zeroed,
};

/// Frames that the driver may fill ahead of us.
const BUFFERS: u32 = 4;
/// The most entries of a list that a driver gives: some never end.
const MAX_ENTRIES: u32 = 256;

/// Drivers whose devices give only what a program has put into them: the image processors and codecs of Raspberry Pis, which offer
/// the formats of a camera.
const PROCESSORS: [&str; 5] = ["bcm2835-isp", "bcm2835-codec", "pispbe", "rpivid", "rpi-hevc-dec"];

/// Calls the ioctl `OPCODE`, which reads and writes a `T`.
fn update<const OPCODE: rustix::ioctl::Opcode, T: Plain>(file: &File, value: &mut T) -> io::Result<()> {
    // SAFETY: every `OPCODE` below is made from the type that it is called with, whose size the kernel checks against its
    // own; none of these calls keeps the pointer or follows another one out of the structure.
    unsafe { Ok(ioctl(file, Updater::<OPCODE, T>::new(value))?) }
}

/// A device file.
pub struct Device(File);

/// What a device is.
pub struct Capability {
    pub name: String,
    pub driver: String,
    /// Whether it gives pictures through single-plane streaming.
    pub captures: bool,
}

/// What a device was set to.
pub struct Given {
    pub fourcc: [u8; 4],
    pub size: [u32; 2],
    /// Bytes from a row to the next; 0 where the driver does not say.
    pub stride: u32,
}

impl Device {
    /// Opens a device file, without waiting.
    pub fn open(path: &Path) -> io::Result<Device> {
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path).map(Device)
    }

    pub fn capability(&self) -> io::Result<Capability> {
        let mut found: Capabilities = zeroed();
        update::<{ opcode::read::<Capabilities>(b'V', 0) }, _>(&self.0, &mut found)?;
        let flags = match found.capabilities & CAP_DEVICE_CAPS {
            0 => found.capabilities,
            _ => found.device_caps,
        };
        let driver = text(&found.driver);
        Ok(Capability { name: text(&found.card), captures: is_camera(flags, &driver), driver })
    }

    /// The formats on offer; as many as the driver tells before an error.
    pub fn formats(&self) -> Vec<FormatInfo> {
        let entry = |index| {
            let mut entry = FormatEntry { index, kind: CAPTURE, ..zeroed() };
            update::<{ opcode::read_write::<FormatEntry>(b'V', 2) }, _>(&self.0, &mut entry).ok()?;
            let sizes = self.sizes(entry.fourcc);
            Some(FormatInfo { fourcc: entry.fourcc, description: text(&entry.description), sizes })
        };
        (0..MAX_ENTRIES).map_while(entry).collect()
    }

    fn sizes(&self, fourcc: [u8; 4]) -> Sizes {
        let entry = |index| {
            let mut entry = SizeEntry { index, fourcc, ..zeroed() };
            update::<{ opcode::read_write::<SizeEntry>(b'V', 74) }, _>(&self.0, &mut entry).ok()?;
            Some(entry)
        };
        let Some(SizeEntry { kind, values: [a, b, c, d, e, f], .. }) = entry(0) else { return Sizes::Unknown };
        if kind != 1 {
            return Sizes::Stepped { least: [a, d], most: [b, e], step: [c, f] };
        }
        let size = |entry: SizeEntry| [entry.values[0], entry.values[1]];
        let sizes = (0..MAX_ENTRIES).map_while(entry).map(size);
        Sizes::Listed(sizes.map(|size| Size { size, rate: self.fastest(fourcc, size) }).collect())
    }

    /// The most frames a second.
    fn fastest(&self, fourcc: [u8; 4], size: [u32; 2]) -> Option<f32> {
        let entry = |index| {
            let mut entry = IntervalEntry { index, fourcc, size, ..zeroed() };
            update::<{ opcode::read_write::<IntervalEntry>(b'V', 75) }, _>(&self.0, &mut entry).ok()?;
            Some(entry)
        };
        // Of a range the first fraction is the shortest interval.
        let entries = (0..MAX_ENTRIES).map_while(entry);
        let rates = entries.filter(|entry| entry.values[0] > 0).map(|e| e.values[1] as f32 / e.values[0] as f32);
        rates.max_by(f32::total_cmp)
    }

    /// Asks for a format and size in pixels, and gives what the driver made of it.
    pub fn set_format(&self, fourcc: [u8; 4], size: [u32; 2]) -> io::Result<Given> {
        // Progressive frames, where the driver has a choice.
        let pixels = PixelFormat { size, fourcc, field: 1, ..zeroed::<FormatRequest>().pixels };
        let mut request = FormatRequest { kind: CAPTURE, pixels, ..zeroed() };
        update::<{ opcode::read_write::<FormatRequest>(b'V', 5) }, _>(&self.0, &mut request)?;
        let PixelFormat { size, fourcc, stride, .. } = request.pixels;
        Ok(Given { fourcc, size, stride })
    }

    /// Asks for so many frames a second.
    pub fn set_rate(&self, rate: u32) -> io::Result<()> {
        let mut parameters = Parameters { kind: CAPTURE, interval: [1, rate], ..zeroed() };
        update::<{ opcode::read_write::<Parameters>(b'V', 22) }, _>(&self.0, &mut parameters)
    }

    /// Starts the stream of frames.
    pub fn start(self) -> io::Result<Stream> {
        let mut request = BufferRequest { count: BUFFERS, kind: CAPTURE, memory: MMAP, ..zeroed() };
        update::<{ opcode::read_write::<BufferRequest>(b'V', 8) }, _>(&self.0, &mut request)?;
        let mut stream = Stream { maps: Vec::new(), file: self.0 };
        for index in 0..request.count.min(2 * BUFFERS) {
            let mut buffer = Buffer { index, kind: CAPTURE, memory: MMAP, ..zeroed() };
            update::<{ opcode::read_write::<Buffer>(b'V', 9) }, _>(&stream.file, &mut buffer)?;
            stream.maps.push(Map::new(&stream.file, &buffer)?);
            stream.queue(index)?;
        }
        if stream.maps.is_empty() {
            return Err(io::Error::other("the driver has no buffers"));
        }
        // SAFETY: the kernel reads one integer, of the size that the number tells.
        unsafe { ioctl(&stream.file, Setter::<{ opcode::write::<i32>(b'V', 18) }, i32>::new(CAPTURE as i32))? };
        Ok(stream)
    }
}

/// Whether a device of a driver gives pictures by itself, through single-plane streaming.
fn is_camera(flags: u32, driver: &str) -> bool {
    flags & CAP_CAPTURE != 0 && flags & CAP_STREAMING != 0 && !PROCESSORS.contains(&driver)
}

/// Text of a fixed length that ends at the first zero; other bytes than UTF-8 are replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let printable = |c: &char| !c.is_control();
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).chars().filter(printable).collect()
}

/// A running stream of frames.
pub struct Stream {
    // Unmapped before the file is closed.
    maps: Vec<Map>,
    file: File,
}

/// What the driver says of a frame.
pub struct Info {
    /// Its number.
    pub sequence: u32,
    /// When it was captured, where the driver tells by `CLOCK_MONOTONIC`.
    pub monotonic_ns: Option<u64>,
}

impl Stream {
    /// Hands the bytes of the newest whole frame to `take`, and gives back what it says, unless none comes within `wait`;
    /// older ones that nobody took are left out.
    pub fn newest<T>(&mut self, wait: Duration, take: impl FnOnce(&[u8]) -> T) -> io::Result<Option<(T, Info)>> {
        if readable([&self.file], wait)? == [false] {
            return Ok(None);
        }
        let mut newest: Option<Buffer> = None;
        // No more often than there are buffers: a fast camera must not hold us.
        for _ in 0..self.maps.len() {
            let Some(buffer) = self.dequeue()? else { break };
            let passed = if buffer.flags & FLAG_ERROR == 0 { newest.replace(buffer) } else { Some(buffer) };
            if let Some(passed) = passed {
                self.queue(passed.index)?;
            }
        }
        let Some(buffer) = newest else { return Ok(None) };
        let bytes = self.maps.get(buffer.index as usize).map(|map| map.bytes(buffer.used as usize)).unwrap_or_default();
        let taken = take(bytes);
        self.queue(buffer.index)?;
        let monotonic = buffer.flags & FLAG_CLOCK == FLAG_MONOTONIC;
        let nanoseconds = (buffer.time.tv_sec as u64).saturating_mul(1_000_000_000) + buffer.time.tv_usec as u64 * 1000;
        Ok(Some((taken, Info { sequence: buffer.sequence, monotonic_ns: monotonic.then_some(nanoseconds) })))
    }

    fn queue(&self, index: u32) -> io::Result<()> {
        let mut buffer = Buffer { index, kind: CAPTURE, memory: MMAP, ..zeroed() };
        update::<{ opcode::read_write::<Buffer>(b'V', 15) }, _>(&self.file, &mut buffer)
    }

    fn dequeue(&self) -> io::Result<Option<Buffer>> {
        let mut buffer = Buffer { kind: CAPTURE, memory: MMAP, ..zeroed() };
        match update::<{ opcode::read_write::<Buffer>(b'V', 17) }, _>(&self.file, &mut buffer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            done => done.map(|()| Some(buffer)),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: as in `start`. An error means that the device is gone, and its stream with it.
        _ = unsafe { ioctl(&self.file, Setter::<{ opcode::write::<i32>(b'V', 19) }, i32>::new(CAPTURE as i32)) };
    }
}

/// A buffer of the driver in our memory.
struct Map {
    start: NonNull<c_void>,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is reached through its one owner.
unsafe impl Send for Map {}

impl Map {
    fn new(file: &File, buffer: &Buffer) -> io::Result<Map> {
        let [a, b, c, d, ..] = buffer.place;
        let (length, offset) = (buffer.length as usize, u64::from(u32::from_ne_bytes([a, b, c, d])));
        // SAFETY: a new mapping at a place that the kernel chooses; it refuses lengths and offsets that are not a buffer's.
        let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, file, offset)? };
        let start = NonNull::new(start).ok_or_else(|| io::Error::other("the driver's buffer has no place"))?;
        Ok(Map { start, length })
    }

    /// The first bytes: `used` of them, or all if that is none (some drivers leave it out) or too many.
    ///
    /// To be called between taking the buffer out of the queue and giving it back.
    fn bytes(&self, used: usize) -> &[u8] {
        let length = if used == 0 { self.length } else { used.min(self.length) };
        // SAFETY: the mapping is readable for its whole length while `self` lives. The driver writes to it only while it is
        // queued; one that breaks its word changes bytes, for which all values are valid.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), length) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: made by `mmap` with this length, and nothing refers to it any more.
        _ = unsafe { munmap(self.start.as_ptr(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_pictures_are_no_cameras() {
        let both = CAP_CAPTURE | CAP_STREAMING;
        assert!(is_camera(both, "uvcvideo") && is_camera(both, "unicam"));
        assert!(!is_camera(both, "bcm2835-isp") && !is_camera(CAP_CAPTURE, "uvcvideo"));
    }

    #[test]
    fn text_of_drivers_is_cleaned() {
        assert_eq!(text(b"UVC Camera\0rest"), "UVC Camera");
        assert_eq!(text(b"no end\n"), "no end");
        assert_eq!(text(b"\xFF\0"), "\u{FFFD}");
        assert_eq!(text(b""), "");
    }
}
