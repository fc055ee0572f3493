//! Progressive JPEG files that were cut off, and then given an end marker: by a download that was resumed wrongly, or by a repair tool.

use std::io::Cursor;
use std::path::Path;

use expression_engine::Picture;
use expression_engine::picture::jpeg;

fn read(bytes: &[u8]) -> Result<Picture, String> {
    Picture::read(Cursor::new(bytes), Path::new("x")).map_err(|error| error.to_string())
}

#[test]
fn a_progressive_jpeg_file_that_was_cut_off_within_or_between_scans_and_then_ended_is_refused() {
    // 64x48 pixels, drawn: `cjpeg -quality 85 -progressive`, ten scans.
    let whole = include_bytes!("progressive.jpg").as_slice();
    let picture = read(whole).unwrap();
    assert_eq!([picture.width, picture.height], [64, 48]);
    assert_eq!(picture.data, image::load_from_memory(whole).unwrap().into_bytes());
    let (mut walker, mut scans) = (jpeg::Walker::new(), Vec::new());
    loop {
        match walker.next(whole) {
            jpeg::Part::Pixels { start, end } => scans.push(start..end),
            jpeg::Part::End { .. } => break,
            _ => {}
        }
    }
    assert_eq!(scans.len(), 10);
    let refused = |at: usize| {
        let error = read(&[&whole[..at], &[0xFF, 0xD9]].concat()).map(|picture| picture.data.len());
        assert!(error.as_ref().is_err_and(|error| error.contains("cut off")), "cut at {at}: {error:?}");
    };
    // After the last scan but one, which is of chroma, luma still lacks its lowest bits.
    scans.iter().take(9).for_each(|scan| refused(scan.end));
    let last = scans.last().unwrap();
    (scans[0].start..last.end - 4).filter(|at| whole[at - 1] != 0xFF).for_each(refused);
}
