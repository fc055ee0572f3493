//! Reading a frame allocates nothing once the first ones were read.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use edge_runtime::camera::{CameraOptions, Format, Next, Spec, open};
use edge_runtime::frame::Frame;

/// The system's allocator, which counts.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Frames of the video, and how many of them are read before the counting begins: the buffers grow until then.
const FRAMES: u64 = 60;
const FIRST: u64 = 10;

#[test]
fn frames_are_read_without_an_allocation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.y4m");
    let mut video = b"YUV4MPEG2 W160 H120 F30:1 C420\n".to_vec();
    for number in 0..FRAMES {
        video.extend(if number % 2 == 0 { &b"FRAME\n"[..] } else { b"FRAME Ip\n" });
        video.resize(video.len() + 160 * 120 * 3 / 2, number as u8);
    }
    std::fs::write(&path, &video).unwrap();
    let command = CameraOptions { format: Some(Format::Y4m), end_with_command: true, ..CameraOptions::default() };
    for (text, options) in [("y4m:", CameraOptions::default()), ("command:cat ", command)] {
        let spec: Spec = format!("{text}{}", path.display()).parse().unwrap();
        let mut source = open(&spec, &options).unwrap();
        let (mut frame, mut count, mut before) = (Frame::default(), 0, 0);
        while count < FRAMES {
            match source.next(&mut frame).unwrap() {
                Next::Frame => {
                    assert_eq!(frame.view().unwrap().luma(159, 119), count as u8);
                    count += 1;
                }
                Next::Waiting => {}
                other => panic!("{other:?} after {count} frames"),
            }
            if count == FIRST {
                before = ALLOCATIONS.load(Ordering::Relaxed);
            }
        }
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before, "{text}");
    }
}
