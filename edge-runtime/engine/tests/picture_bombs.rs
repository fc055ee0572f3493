//! Pictures that claim or unpack more than is allowed are refused before memory is set aside for them. All in one function: the
//! peak is that of the whole process.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use expression_engine::Picture;
use test_support::CountingAllocator;
use test_support::promise::{measured, row, times};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const MIB: usize = 1 << 20;
/// The most memory that a picture may take before it is refused.
const MAX_MEMORY: usize = 32 * MIB;

fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let checked = [kind, data].concat();
    let mut crc = flate2::Crc::new();
    crc.update(&checked);
    [&(data.len() as u32).to_be_bytes()[..], &checked, &crc.sum().to_be_bytes()].concat()
}

/// `length` zeros, compressed.
fn zeros(length: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![0; MIB];
    (0..length).step_by(MIB).for_each(|at| encoder.write_all(&block[..MIB.min(length - at)]).unwrap());
    encoder.finish().unwrap()
}

fn png(width: u32, height: u32, extra: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let data = chunk(b"IDAT", &zeros((width as usize + 1) * height as usize));
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), extra, &data, &chunk(b"IEND", b"")].concat()
}

/// A progressive JPEG of 2048x2048 pixels with more scans than any program writes: each has the decoder go through all blocks.
fn many_scans() -> Vec<u8> {
    let quantization = [b"\xFF\xDB\0\x43\0".as_slice(), &[1; 64]].concat();
    let frame = b"\xFF\xC2\0\x0B\x08\x08\0\x08\0\x01\x01\x11\0";
    // One code of one bit, for a difference of 0.
    let huffman = [b"\xFF\xC4\0\x14\0\x01".as_slice(), &[0; 15], &[0]].concat();
    let scan = b"\xFF\xDA\0\x08\x01\x01\0\0\0\0\0\0";
    [b"\xFF\xD8".as_slice(), &quantization, frame, &huffman, &scan.repeat(200_000), b"\xFF\xD9"].concat()
}

/// A picture of which only the head says how large it is.
fn heads() -> Vec<(&'static str, Vec<u8>)> {
    let side = 20_000u32;
    let [low, high] = [side.to_le_bytes(), side.to_be_bytes()];
    let jpeg =
        [b"\xFF\xD8\xFF\xC0\0\x0B\x08".as_slice(), &high[2..], &high[2..], b"\x01\x01\x11\0", &[0; 4000]].concat();
    let bmp = [b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".as_slice(), &low, &low, b"\x01\0\x18\0", &[0; 4000]].concat();
    let gif = [b"GIF89a".as_slice(), &low[..2], &low[..2], b"\x80\0\0\0\0\0\xFF\xFF\xFF", &[0; 4000]].concat();
    let webp = {
        // VP8X: canvas width and height less one, 24 bits each.
        let canvas = [&(side - 1).to_le_bytes()[..3], &(side - 1).to_le_bytes()[..3]].concat();
        let lossless = [b"VP8L\x05\0\0\0\x2F".as_slice(), &[0xFF; 4], &[0]].concat();
        let body = [b"WEBPVP8X\x0A\0\0\0\0\0\0\0".as_slice(), &canvas, &lossless].concat();
        [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
    };
    let mut tiff = b"II*\0\x08\0\0\0\x08\0".to_vec();
    for (tag, value) in
        [(256u16, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (278, side), (279, side * side)]
    {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(4u16.to_le_bytes());
        tiff.extend(1u32.to_le_bytes());
        tiff.extend(value.to_le_bytes());
    }
    tiff.extend([0; 400]);
    vec![
        ("JPEG", jpeg),
        ("BMP", bmp),
        ("GIF", gif),
        ("WebP", webp),
        ("TIFF", tiff),
        ("PNM", format!("P5 {side} {side} 255\n").into_bytes()),
        ("PNM text", format!("P3\n# much\n{side} {side} 255\n1 2 3").into_bytes()),
    ]
}

#[test]
fn bombs_are_refused_in_little_memory() {
    let bomb = zeros(234 * MIB);
    let text = |kind: &[u8], before: &[u8]| png(4, 4, &chunk(kind, &[before, &bomb].concat()));
    let mut bombs = vec![
        ("PNG of 22000x22000", png(22_000, 22_000, &[])),
        ("PNG of one very long row", png(16_000_000, 1, &[])),
        ("PNG of 8192x8192", png(8192, 8192, &[])),
    ];
    bombs.extend(heads());
    bombs.push(("progressive JPEG of 200,000 scans", many_scans()));
    let mut figures = Vec::new();
    for (name, bytes) in bombs {
        let (read, figure) = peak(name, &bytes);
        let error = read.err().unwrap_or_else(|| panic!("{name} is read"));
        let named = ["WebP", "progressive JPEG of 200,000 scans"].contains(&name);
        assert!(error.contains("scale it") || error.contains("metadata") || named, "{name}: {error}");
        figures.push(figure);
    }
    // Text is never unpacked and a profile only as far as the limit goes, so that they do no harm.
    for (name, bytes) in [
        ("PNG with an iCCP chunk of 234 MiB", text(b"iCCP", b"x\0\0")),
        ("PNG with a zTXt chunk of 234 MiB", text(b"zTXt", b"x\0\0")),
        ("PNG with an iTXt chunk of 234 MiB", text(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0")),
    ] {
        figures.push(peak(name, &bytes).1);
    }
    let most = figures.iter().map(|figure| figure.bytes).max().unwrap();
    let longest = figures.iter().map(|figure| figure.time).max().unwrap();
    assert!(most < MAX_MEMORY, "{} MiB", most / MIB);
    measured(
        format!("{} pictures of {} formats, best of {} each", figures.len(), 7, times(1)),
        format!("at most {} KiB and {:.1} ms each", most >> 10, longest.as_secs_f64() * 1e3),
    );
}

/// What opening a picture took.
struct Figure {
    bytes: usize,
    time: Duration,
}

/// What became of a picture, and the most memory that was allocated for it at a time. The time is the shortest of several tries:
/// others may use the processor too.
fn peak(name: &str, picture: &[u8]) -> (Result<(), String>, Figure) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.png");
    std::fs::write(&path, picture).unwrap();
    let mut figure = Figure { bytes: 0, time: Duration::MAX };
    let mut read = Ok(());
    for _ in 0..times(1) {
        let (before, started) = (ALLOCATOR.start_peak(), Instant::now());
        read = open(&path);
        figure.time = figure.time.min(started.elapsed());
        figure.bytes = figure.bytes.max(ALLOCATOR.peak_bytes() - before);
    }
    assert!(figure.bytes < MAX_MEMORY, "{name}: {} MiB", figure.bytes / MIB);
    let outcome = if read.is_err() { "refused" } else { "read without it" };
    let (size, memory) = (picture.len().div_ceil(1024), figure.bytes.div_ceil(1024));
    row(&[
        &name,
        &format!("{size} KiB"),
        &outcome,
        &format!("{memory} KiB"),
        &format!("{:.1} ms", figure.time.as_secs_f64() * 1e3),
    ]);
    (read, figure)
}

fn open(path: &Path) -> Result<(), String> {
    Picture::open(path).map(drop).map_err(|error| error.to_string())
}
