//! A frame of a camera, a video or a picture file, and what the pipeline says about it.

use expression_core::{Record, Stamp, Turn, View};

/// A frame: bytes as the source gave them, and where their luma lies. Sources fill the same frame again and again.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The bytes, including chroma if the source has it.
    pub bytes: Vec<u8>,
    /// Where the luma lies in `bytes`.
    pub luma: Luma,
    /// How it is to be turned to be upright.
    pub turn: Turn,
    /// Number of the frame as its source counts, from 0. A step above one means that frames were lost.
    pub sequence: u64,
    /// When it was captured.
    pub stamp: Stamp,
    /// The file that it comes from, for sources of picture files.
    pub name: Option<String>,
}

/// Where luma lies in the bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Luma {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Bytes before the first pixel.
    pub offset: usize,
    /// Bytes from a pixel to its right neighbour: 1 for planes, 2 for YUYV.
    pub step: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
}

impl Frame {
    /// Returns width and height in pixels, turned upright.
    pub fn size(&self) -> [usize; 2] {
        self.turn.size([self.luma.width, self.luma.height])
    }

    /// The upright luma as `expression-core` reads it; `None` if the bytes are fewer than the layout says.
    pub fn view(&self) -> Option<View<'_>> {
        let Luma { width, height, offset, step, stride } = self.luma;
        Some(View::luma_plane(self.bytes.get(offset..)?, width, height, step, stride)?.turned(self.turn))
    }
}

/// What the pipeline says about a frame.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// When the frame was captured.
    pub stamp: Stamp,
    /// Its number, see [`Frame::sequence`].
    pub sequence: u64,
    /// The file that it comes from, for sources of picture files.
    pub name: Option<String>,
    /// Width and height of the frame in pixels.
    pub size: [u16; 2],
    /// The faces, in the order of their tracks.
    pub faces: Vec<Record>,
    /// Microseconds from the frame's arrival to this observation.
    pub latency_us: u32,
    /// The board's temperature in thousandths of a degree Celsius; `None` if it is unknown.
    pub millicelsius: Option<i32>,
}
