//! Pictures for those who watch: copied, encoded and sent only while somebody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use tokio::sync::{broadcast, watch};

use super::hub::Hub;
use super::json;
use crate::frame::Frame;

/// Wider frames are thinned out for the preview.
const MAX_WIDTH: usize = 960;
/// Of the JPEGs, in percent as usual.
const QUALITY: u8 = 80;
/// How long a watcher who asked for a picture is taken to want more.
const WANTED_FOR: Duration = Duration::from_secs(3);
/// Messages that a slow listener may lag behind before it misses some.
const LAG: usize = 16;

/// The luma of a frame, thinned out to [`MAX_WIDTH`].
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

/// What watchers wait on.
pub struct Watch {
    /// Time between two pictures at least.
    period: Duration,
    /// Milliseconds from the start on until which a picture is wanted.
    wanted_until: AtomicU64,
    /// When the next frame may be shown, in nanoseconds from the start on.
    due: AtomicU64,
    /// The newest picture that was wanted.
    pub pictures: watch::Sender<Option<Arc<Picture>>>,
    /// The newest picture that was encoded.
    pub jpegs: watch::Sender<Option<Arc<Jpeg>>>,
    /// Server-sent events, ready to be written.
    pub messages: broadcast::Sender<Arc<str>>,
}

impl Watch {
    /// With at most so many pictures a second.
    pub fn new(rate: u8) -> Watch {
        Watch {
            period: Duration::from_secs(1) / u32::from(rate.max(1)),
            wanted_until: AtomicU64::new(0),
            due: AtomicU64::new(0),
            pictures: watch::Sender::new(None),
            jpegs: watch::Sender::new(None),
            messages: broadcast::Sender::new(LAG),
        }
    }

    /// Somebody wants pictures, for the next seconds.
    pub fn want(&self, now: Duration) {
        self.wanted_until.fetch_max((now + WANTED_FOR).as_millis() as u64, Relaxed);
    }

    /// Hands on a frame and its observation, where somebody watches and it is time. The hub has the observation already.
    pub fn observe(&self, hub: &Hub, frame: &Frame, now: Duration) {
        let wanted = (now.as_millis() as u64) < self.wanted_until.load(Relaxed);
        let listened = self.messages.receiver_count() > 0;
        if !(wanted || listened) {
            return;
        }
        let (due, period, now_ns) = (self.due.load(Relaxed), self.period.as_nanos() as u64, now.as_nanos() as u64);
        if now_ns < due {
            return;
        }
        // From when it was due, not from now: else 25 frames/s would be shown at 8.3 a second instead of 10.
        self.due.store(due.max(now_ns.saturating_sub(period)) + period, Relaxed);
        if listened {
            let text = json::observation(&hub.about, &hub.now(), now).to_string();
            // Fails only where the last listener left just now.
            let _ = self.messages.send(format!("event: observation\ndata: {text}\n\n").into());
        }
        if wanted && let Some(picture) = Picture::of(frame) {
            self.pictures.send_replace(Some(Arc::new(picture)));
        }
    }

    /// Tells listeners of an event.
    pub fn event(&self, second: i64, line: &str, paused: bool) {
        if self.messages.receiver_count() > 0 {
            let text = serde_json::json!({ "second": second, "line": line, "paused": paused });
            let _ = self.messages.send(format!("event: event\ndata: {text}\n\n").into());
        }
    }
}

impl Picture {
    /// Copies the luma of a frame; `None` where its bytes are fewer than its layout says.
    pub fn of(frame: &Frame) -> Option<Picture> {
        let view = frame.view()?;
        let every = view.width().div_ceil(MAX_WIDTH);
        let (width, height) = (view.width().div_ceil(every), view.height().div_ceil(every));
        let mut luma = Vec::with_capacity(width * height);
        for y in (0..view.height()).step_by(every) {
            luma.extend((0..view.width()).step_by(every).map(|x| view.luma(x, y)));
        }
        Some(Picture { sequence: frame.sequence, width: width.try_into().ok()?, height: height.try_into().ok()?, luma })
    }

    /// As a grey JPEG; `None` where a side has more pixels than JPEG allows.
    pub fn jpeg(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, QUALITY)
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
    fn luma_is_taken_from_where_it_lies_and_wide_frames_are_thinned() {
        // Two rows of YUYV: luma at even bytes, four bytes of padding a row, one byte before it all.
        let bytes = [99, 10, 0, 20, 0, 30, 0, 9, 9, 9, 40, 0, 50, 0, 60, 0].to_vec();
        let luma = Luma { width: 3, height: 2, offset: 1, step: 2, stride: 9 };
        let picture = Picture::of(&Frame { bytes, luma, ..Frame::default() }).unwrap();
        assert_eq!((picture.width, picture.height), (3, 2));
        assert_eq!(picture.luma, [10, 20, 30, 40, 50, 60]);

        let luma = Luma { width: 1921, height: 4, offset: 0, step: 1, stride: 1921 };
        let bytes: Vec<u8> = (0..1921 * 4).map(|at| (at % 1921 % 251) as u8).collect();
        let picture = Picture::of(&Frame { bytes, luma, ..Frame::default() }).unwrap();
        assert_eq!((picture.width, picture.height), (641, 2));
        assert_eq!(picture.luma[..3], [0, 3, 6]);
        assert!(Picture::of(&Frame { luma, ..Frame::default() }).is_none());
    }
}
