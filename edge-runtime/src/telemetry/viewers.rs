//! Pictures and messages for those who watch: copied, encoded and sent only while somebody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use tokio::sync::{broadcast, watch};

use crate::frame::Frame;

/// Wider frames are subsampled for the preview.
const MAX_WIDTH: usize = 960;
/// Quality of the JPEGs, 1 to 100.
const JPEG_QUALITY: u8 = 80;
/// How long after a request for a picture more are taken to be wanted.
const WANTED_FOR: Duration = Duration::from_secs(3);
/// Messages that a slow listener may lag behind before it misses some.
const MAX_LAG: usize = 16;

/// The luma of a frame, subsampled to [`MAX_WIDTH`].
pub struct Picture {
    pub sequence: u64,
    pub width: u32,
    pub height: u32,
    pub luma: Vec<u8>,
}

/// A picture as it is sent.
pub struct Jpeg {
    pub sequence: u64,
    pub made: Instant,
    pub bytes: Bytes,
}

/// Those who watch, and what they wait for.
pub struct Viewers {
    /// Shortest time between two pictures.
    period: Duration,
    /// Until when a picture is wanted, in milliseconds since the start.
    wanted_until: AtomicU64,
    /// When the next frame may be shown, in nanoseconds since the start.
    due: AtomicU64,
    /// The newest picture that was wanted.
    pub pictures: watch::Sender<Option<Arc<Picture>>>,
    /// The newest picture that was encoded.
    pub jpegs: watch::Sender<Option<Arc<Jpeg>>>,
    /// Server-sent events, ready to be written.
    pub messages: broadcast::Sender<Arc<str>>,
}

impl Viewers {
    /// Viewers that get at most `rate` pictures per second.
    pub fn new(rate: u8) -> Viewers {
        Viewers {
            period: Duration::from_secs(1) / u32::from(rate.max(1)),
            wanted_until: AtomicU64::new(0),
            due: AtomicU64::new(0),
            pictures: watch::Sender::new(None),
            jpegs: watch::Sender::new(None),
            messages: broadcast::Sender::new(MAX_LAG),
        }
    }

    /// Somebody wants pictures, for the next seconds.
    pub fn want(&self, now: Duration) {
        self.wanted_until.fetch_max((now + WANTED_FOR).as_millis() as u64, Relaxed);
    }

    /// Passes a frame and its message on if somebody watches and the next one is due. `now` is a time since the start.
    pub fn observe(&self, frame: &Frame, now: Duration, message: impl FnOnce() -> String) {
        let wanted = (now.as_millis() as u64) < self.wanted_until.load(Relaxed);
        let listened = self.messages.receiver_count() > 0;
        if !(wanted || listened) {
            return;
        }
        let (due, period, now_ns) = (self.due.load(Relaxed), self.period.as_nanos() as u64, now.as_nanos() as u64);
        if now_ns < due {
            return;
        }
        // From when it was due, not from now: otherwise 25 frames/s would be shown at 8.3 per second instead of 10.
        self.due.store(due.max(now_ns.saturating_sub(period)) + period, Relaxed);
        if listened {
            self.send("observation", &message());
        }
        if wanted && let Some(picture) = Picture::from_frame(frame) {
            self.pictures.send_replace(Some(Arc::new(picture)));
        }
    }

    /// Tells listeners of an event.
    pub fn event(&self, message: impl FnOnce() -> String) {
        if self.messages.receiver_count() > 0 {
            self.send("event", &message());
        }
    }

    fn send(&self, kind: &str, message: &str) {
        // Fails only if the last listener has just left.
        let _ = self.messages.send(format!("event: {kind}\ndata: {message}\n\n").into());
    }
}

impl Picture {
    /// Copies the luma of a frame; `None` if it has fewer bytes than its layout says.
    pub fn from_frame(frame: &Frame) -> Option<Picture> {
        let view = frame.view()?;
        let every = view.width().div_ceil(MAX_WIDTH);
        let (width, height) = (view.width().div_ceil(every), view.height().div_ceil(every));
        let mut luma = Vec::with_capacity(width * height);
        for y in (0..view.height()).step_by(every) {
            luma.extend((0..view.width()).step_by(every).map(|x| view.luma(x, y)));
        }
        Some(Picture { sequence: frame.sequence, width: width.try_into().ok()?, height: height.try_into().ok()?, luma })
    }

    /// Returns a grey JPEG; `None` if a side has more pixels than JPEG allows.
    pub fn jpeg(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
            .encode(&self.luma, self.width, self.height, ExtendedColorType::L8)
            .ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Luma;

    #[test]
    fn luma_is_taken_from_where_it_lies_and_wide_frames_are_subsampled() {
        // Two rows of YUYV: luma at even bytes, four bytes of padding a row, one byte before it all.
        let bytes = [99, 10, 0, 20, 0, 30, 0, 9, 9, 9, 40, 0, 50, 0, 60, 0].to_vec();
        let luma = Luma { width: 3, height: 2, offset: 1, step: 2, stride: 9 };
        let picture = Picture::from_frame(&Frame { bytes, luma, ..Frame::default() }).unwrap();
        assert_eq!((picture.width, picture.height), (3, 2));
        assert_eq!(picture.luma, [10, 20, 30, 40, 50, 60]);

        let luma = Luma { width: 1921, height: 4, offset: 0, step: 1, stride: 1921 };
        let bytes: Vec<u8> = (0..1921 * 4).map(|at| (at % 1921 % 251) as u8).collect();
        let picture = Picture::from_frame(&Frame { bytes, luma, ..Frame::default() }).unwrap();
        assert_eq!((picture.width, picture.height), (641, 2));
        assert_eq!(picture.luma[..3], [0, 3, 6]);
        assert!(Picture::from_frame(&Frame { luma, ..Frame::default() }).is_none());
    }
}
