//! The structures of the kernel's `videodev2.h`, as far as they are used.

pub const CAPTURE: u32 = 1;
pub const MMAP: u32 = 1;
pub const CAP_CAPTURE: u32 = 0x1;
pub const CAP_STREAMING: u32 = 0x0400_0000;
pub const CAP_DEVICE_CAPS: u32 = 0x8000_0000;
pub const FLAG_ERROR: u32 = 0x40;
pub const FLAG_CLOCK: u32 = 0xE000;
pub const FLAG_MONOTONIC: u32 = 0x2000;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Capabilities {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    pub bus_info: [u8; 32],
    pub version: u32,
    pub capabilities: u32,
    pub device_caps: u32,
    pub reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct FormatEntry {
    pub index: u32,
    pub kind: u32,
    pub flags: u32,
    pub description: [u8; 32],
    pub fourcc: [u8; 4],
    pub mbus_code: u32,
    pub reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SizeEntry {
    pub index: u32,
    pub fourcc: [u8; 4],
    pub kind: u32,
    /// Width and height; or least, most and step of the width, then of the height.
    pub values: [u32; 6],
    pub reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct IntervalEntry {
    pub index: u32,
    pub fourcc: [u8; 4],
    pub size: [u32; 2],
    pub kind: u32,
    /// Seconds as a fraction: one, or least, most and step.
    pub values: [u32; 6],
    pub reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct PixelFormat {
    pub size: [u32; 2],
    pub fourcc: [u8; 4],
    pub field: u32,
    pub stride: u32,
    pub bytes: u32,
    pub colour: [u32; 6],
}

/// The kernel's union of formats holds pointers: it is aligned as they are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FormatRequest {
    pub kind: u32,
    pub align: [usize; 0],
    pub pixels: PixelFormat,
    pub rest: [u8; 152],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Parameters {
    pub kind: u32,
    pub capability: u32,
    pub mode: u32,
    /// Seconds from a frame to the next, as a fraction.
    pub interval: [u32; 2],
    pub rest: [u32; 46],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct BufferRequest {
    pub count: u32,
    pub kind: u32,
    pub memory: u32,
    pub reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Buffer {
    pub index: u32,
    pub kind: u32,
    pub used: u32,
    pub flags: u32,
    pub field: u32,
    pub time: libc::timeval,
    pub timecode: [u32; 4],
    pub sequence: u32,
    pub memory: u32,
    /// The first four bytes are the buffer's offset for mmap.
    pub place: [u8; size_of::<usize>()],
    pub length: u32,
    pub reserved: [u32; 2],
}

// The sizes are part of the ioctl numbers: a wrong one would be refused by the kernel, if not worse.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<Capabilities>() == 104);
    assert!(size_of::<FormatEntry>() == 64);
    assert!(size_of::<SizeEntry>() == 44);
    assert!(size_of::<IntervalEntry>() == 52);
    assert!(size_of::<FormatRequest>() == 208);
    assert!(size_of::<Parameters>() == 204);
    assert!(size_of::<BufferRequest>() == 20);
    assert!(size_of::<Buffer>() == 88);
};

/// What the kernel's structures are made of: any bits are a value, so zeroes are.
pub trait Plain: Copy {}
impl Plain for Capabilities {}
impl Plain for FormatEntry {}
impl Plain for SizeEntry {}
impl Plain for IntervalEntry {}
impl Plain for FormatRequest {}
impl Plain for Parameters {}
impl Plain for BufferRequest {}
impl Plain for Buffer {}

pub fn zeroed<T: Plain>() -> T {
    // SAFETY: a `Plain` structure holds integers and arrays of them alone.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use rustix::ioctl::opcode;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_videodev2() {
        assert_eq!(opcode::read::<Capabilities>(b'V', 0), 0x8068_5600);
        #[cfg(target_pointer_width = "64")]
        {
            assert_eq!(opcode::read_write::<FormatRequest>(b'V', 5), 0xC0D0_5605);
            assert_eq!(opcode::read_write::<Buffer>(b'V', 17), 0xC058_5611);
        }
        assert_eq!(opcode::read_write::<BufferRequest>(b'V', 8), 0xC014_5608);
        assert_eq!(opcode::read_write::<Parameters>(b'V', 22), 0xC0CC_5616);
        assert_eq!(opcode::read_write::<SizeEntry>(b'V', 74), 0xC02C_564A);
        assert_eq!(opcode::read_write::<IntervalEntry>(b'V', 75), 0xC034_564B);
    }
}
