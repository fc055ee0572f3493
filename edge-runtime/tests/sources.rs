//! Reading a frame allocates nothing once the first ones were read.

use edge_runtime::camera::{CameraOptions, Format, Next, Spec, open};
use edge_runtime::frame::Frame;
use test_support::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

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
                before = ALLOCATOR.allocations();
            }
        }
        assert_eq!(ALLOCATOR.allocations(), before, "{text}");
    }
}
