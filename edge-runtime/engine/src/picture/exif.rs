//! Which way up a picture is to be shown: the EXIF tag `Orientation` (0x0112), values 1 to 8. And whether a TIFF file is the raw
//! photograph of a camera, which tags of the same form tell.

use std::io::{Read, Seek, SeekFrom};

use image::metadata::Orientation;

/// Longer EXIF chunks are passed over, bytes.
const MAX_CHUNK: u64 = 1 << 20;
/// More chunks than these are not looked at.
const MAX_CHUNKS: usize = 10_000;

/// The tag.
const ORIENTATION: u32 = 0x0112;

/// The tag of TIFF files that says of a picture whether it is a smaller copy of another one.
const NEW_SUBFILE_TYPE: u16 = 254;
/// The tag of TIFF files that are DNG.
const DNG_VERSION: u16 = 50706;

/// Returns the orientation that EXIF data tells, with or without the prefix that JPEG files have; `None` if it tells none.
///
/// The standard has it as SHORT; some programs write BYTE or LONG, and others read these as well.
pub fn orientation(exif: &[u8]) -> Option<Orientation> {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let is_little = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let number = |at: usize, length: usize| {
        let bytes = exif.get(at..at.checked_add(length)?)?;
        let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        Some(if is_little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    };
    let start = usize::try_from(number(4, 4)?).ok()?.checked_add(2)?;
    for entry in 0..number(start - 2, 2)? as usize {
        let at = start.checked_add(12 * entry)?;
        let length = match (number(at, 2)?, number(at + 2, 2)?, number(at + 4, 4)?) {
            (ORIENTATION, 1 | 6, 1) => 1,
            (ORIENTATION, 3 | 8, 1) => 2,
            (ORIENTATION, 4 | 9, 1) => 4,
            _ => continue,
        };
        return Orientation::from_exif(u8::try_from(number(at + 8, length)?).ok()?);
    }
    None
}

/// Whether a TIFF file is the raw file of a camera, or another one whose first picture is only a preview of the main one.
pub fn is_raw_photograph(file: impl Read + Seek) -> bool {
    let tags = first_tags(file).unwrap_or_default();
    tags.iter().any(|(tag, value)| *tag == DNG_VERSION || (*tag == NEW_SUBFILE_TYPE && value & 1 == 1))
}

/// Returns the tags of the first picture of a TIFF file, each with its value, which is of no use if it is not one number.
fn first_tags(mut file: impl Read + Seek) -> Option<Vec<(u16, u32)>> {
    let start = file.stream_position().ok()?;
    let mut head = [0; 8];
    file.read_exact(&mut head).ok()?;
    let is_little = match head {
        [b'I', b'I', b'*', 0, ..] => true,
        [b'M', b'M', 0, b'*', ..] => false,
        _ => return None,
    };
    let short = |a, b| if is_little { u16::from_le_bytes([a, b]) } else { u16::from_be_bytes([a, b]) };
    let long = |bytes| if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    let [.., a, b, c, d] = head;
    file.seek(SeekFrom::Start(start + u64::from(long([a, b, c, d])))).ok()?;
    let mut count = [0; 2];
    file.read_exact(&mut count).ok()?;
    let mut tags = Vec::new();
    for _ in 0..short(count[0], count[1]) {
        let mut entry = [0; 12];
        file.read_exact(&mut entry).ok()?;
        let [tag, tag2, kind, kind2, _, _, _, _, a, b, c, d] = entry;
        // A SHORT lies in the first of the four bytes.
        let value = if short(kind, kind2) == 3 { u32::from(short(a, b)) } else { long([a, b, c, d]) };
        tags.push((short(tag, tag2), value));
    }
    Some(tags)
}

/// Finds the EXIF chunk of a PNG file, also behind its pixels, where some programs put it.
pub fn in_png(file: impl Read + Seek) -> Option<Orientation> {
    let header = |bytes: [u8; 8]| {
        let [a, b, c, d, kind @ ..] = bytes;
        // A checksum follows.
        (kind, u64::from(u32::from_be_bytes([a, b, c, d])), 4)
    };
    in_chunks(file, 8, header, b"eXIf")
}

/// Finds the EXIF chunk of a WebP file.
pub fn in_webp(file: impl Read + Seek) -> Option<Orientation> {
    let header = |bytes: [u8; 8]| {
        let [kind @ .., a, b, c, d] = bytes;
        let length = u32::from_le_bytes([a, b, c, d]);
        (kind, u64::from(length), u64::from(length % 2))
    };
    in_chunks(file, 12, header, b"EXIF")
}

/// Looks through chunks that begin at `start` for the one of a kind; `header` gives kind, length and the bytes that follow it.
fn in_chunks(
    mut file: impl Read + Seek,
    start: u64,
    header: impl Fn([u8; 8]) -> ([u8; 4], u64, u64),
    wanted: &[u8; 4],
) -> Option<Orientation> {
    let mut at = file.stream_position().ok()? + start;
    for _ in 0..MAX_CHUNKS {
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut bytes = [0; 8];
        file.read_exact(&mut bytes).ok()?;
        let (kind, length, after) = header(bytes);
        if kind == *wanted && length <= MAX_CHUNK {
            let mut exif = Vec::new();
            file.take(length).read_to_end(&mut exif).ok()?;
            return orientation(&exif);
        }
        at += 8 + length + after;
    }
    None
}
