//! MATLAB 5 files: real numeric arrays, plain or compressed, value by value, so that an array larger than the memory can be
//! read and nothing is allocated by a size that a damaged file claims. (The crates that read such files, matfile and matrw,
//! unpack a whole file whatever its size, and matrw panics on damaged ones.)
//!
//! Format: "MAT-File Format", MathWorks, chapter 1, level 5.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use expression_engine::files;
use flate2::read::ZlibDecoder;

use crate::error::Error;

const HEADER: usize = 128;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Classes of real numbers: double, single, integers of 8 to 64 bits.
const NUMERIC: std::ops::RangeInclusive<u32> = 6..=15;
/// The flag of complex numbers.
const COMPLEX: u32 = 0x800;
/// The longest name, and the most bytes of dimensions, that are read.
const MAX_SHORT_ELEMENT: usize = 64;
/// Bytes that a compressed one stands for, at most: deflate reaches 1032. An array that claims more is damaged.
const MAX_EXPANSION: u64 = 1100;

/// A variable of a file: its shape, and its values in column-major order (the first index fastest).
pub struct Variable<'a> {
    /// Lengths of its dimensions.
    pub shape: Vec<usize>,
    format: u32,
    from: &'a mut dyn Read,
}

impl Variable<'_> {
    /// The next values, as many as `values` has room for.
    ///
    /// # Errors
    /// Where the file ends before.
    pub fn fill(&mut self, values: &mut [f64]) -> io::Result<()> {
        let size = bytes_of(self.format).ok_or(io::ErrorKind::InvalidData)?;
        let mut chunk = [0; 4096];
        for part in values.chunks_mut(chunk.len() / size) {
            let bytes = &mut chunk[..part.len() * size];
            self.from.read_exact(bytes)?;
            for (value, bytes) in part.iter_mut().zip(bytes.chunks_exact(size)) {
                let mut wide = [0; 8];
                wide[..size].copy_from_slice(bytes);
                let raw = u64::from_le_bytes(wide);
                *value = match self.format {
                    1 => f64::from(raw as i8),
                    3 => f64::from(raw as i16),
                    5 => f64::from(raw as i32),
                    7 => f64::from(f32::from_bits(raw as u32)),
                    9 => f64::from_bits(raw),
                    12 => raw as i64 as f64,
                    _ => raw as f64,
                };
            }
        }
        Ok(())
    }
}

/// Finds the variable `name` in a file and gives what `read` makes of it.
///
/// # Errors
/// [`Error::BadInput`] where the file is missing, damaged, of another version or without such a variable, or `read` refuses it.
pub fn read<T>(path: &Path, name: &str, read: impl FnOnce(Variable) -> Result<T, String>) -> crate::Result<T> {
    find(path, name, read).map_err(|reason| Error::BadInput(format!("{}: {reason}", path.display())))
}

fn find<T>(path: &Path, name: &str, read: impl FnOnce(Variable) -> Result<T, String>) -> Result<T, String> {
    let damaged = |error: io::Error| format!("damaged or cut short ({error}); copy the file again");
    let mut file = BufReader::new(files::open_regular(path).map_err(|error| error.to_string())?);
    let length = file.get_ref().metadata().map_err(|error| error.to_string())?.len();
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(damaged)?;
    if header.starts_with(b"MATLAB 7.3") {
        return Err("a MATLAB file of version 7.3; save it with -v7".into());
    }
    if header[124..] != [0, 1, b'I', b'M'] {
        return Err("no little-endian MATLAB 5 file".into());
    }
    let mut place = HEADER as u64;
    while place < length {
        let Tag { kind, size, .. } = Tag::read(&mut file).map_err(damaged)?;
        place += 8 + u64::from(size);
        if place > length {
            return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
        }
        // A compressed element holds one other element.
        let mut plain = (&mut file).take(u64::from(size));
        let mut packed;
        let (kind, size, from): (u32, u32, &mut dyn Read) = match kind {
            COMPRESSED => {
                packed = ZlibDecoder::new(plain);
                let inner = Tag::read(&mut packed).map_err(damaged)?;
                if u64::from(inner.size) > MAX_EXPANSION * u64::from(size) {
                    return Err(damaged(io::ErrorKind::InvalidData.into()));
                }
                (inner.kind, inner.size, &mut packed)
            }
            _ => (kind, size, &mut plain),
        };
        if kind == MATRIX {
            let mut from = from.take(u64::from(size));
            let head = Head::read(&mut from).map_err(damaged)?;
            if head.name == name {
                return read(head.variable(&mut from)?);
            }
        }
        file.seek(SeekFrom::Start(place)).map_err(damaged)?;
    }
    Err(format!("no variable {name:?}"))
}

/// What comes before an array's values.
struct Head {
    flags: u32,
    shape: Vec<usize>,
    name: String,
}

impl Head {
    fn read(from: &mut impl Read) -> io::Result<Head> {
        let [flags, shape, name] = [Tag::bytes(from)?, Tag::bytes(from)?, Tag::bytes(from)?];
        let word = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).unwrap_or(0);
        Ok(Head {
            flags: word(flags.get(..4).unwrap_or_default()),
            // A negative length is one that no array has.
            shape: shape.chunks_exact(4).map(|bytes| word(bytes) as usize).collect(),
            name: String::from_utf8_lossy(&name).into_owned(),
        })
    }

    /// Goes on to the values.
    fn variable<'a>(self, from: &'a mut io::Take<&mut dyn Read>) -> Result<Variable<'a>, String> {
        let Head { flags, shape, name } = self;
        if !NUMERIC.contains(&(flags & 0xFF)) || flags & COMPLEX != 0 {
            return Err(format!("{name} is no array of real numbers"));
        }
        let tag = Tag::read(from).map_err(|error| format!("{name}: {error}; copy the file again"))?;
        let (format, size) = (tag.kind, tag.size);
        let each = bytes_of(format).ok_or_else(|| format!("{name}: unknown number format {format}"))?;
        let bytes = shape.iter().try_fold(each, |product, length| product.checked_mul(*length));
        if bytes != Some(size as usize) {
            return Err(format!("{name}: {size} bytes do not fit its shape {shape:?}; copy the file again"));
        }
        if u64::from(size) > from.limit() {
            return Err(format!("{name}: {size} bytes, more than its element holds; copy the file again"));
        }
        Ok(Variable { shape, format, from })
    }
}

/// Bytes of a number of this format.
fn bytes_of(format: u32) -> Option<usize> {
    match format {
        1 | 2 => Some(1),
        3 | 4 => Some(2),
        5..=7 => Some(4),
        9 | 12 | 13 => Some(8),
        _ => None,
    }
}

/// What an element begins with.
struct Tag {
    kind: u32,
    /// Bytes of data that follow.
    size: u32,
    /// The data and what fills it up to the next element: to a multiple of 8 bytes, or of 4 in the short form.
    padded: u64,
}

impl Tag {
    fn read(from: &mut (impl Read + ?Sized)) -> io::Result<Tag> {
        let mut word = || -> io::Result<u32> {
            let mut bytes = [0; 4];
            from.read_exact(&mut bytes)?;
            Ok(u32::from_le_bytes(bytes))
        };
        let first = word()?;
        match first >> 16 {
            0 => {
                let size = word()?;
                Ok(Tag { kind: first, size, padded: u64::from(size).next_multiple_of(8) })
            }
            size => Ok(Tag { kind: first & 0xFFFF, size, padded: u64::from(size).next_multiple_of(4) }),
        }
    }

    /// The data of a short element.
    fn bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
        let tag = Tag::read(from)?;
        if tag.size as usize > MAX_SHORT_ELEMENT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; tag.padded as usize];
        from.read_exact(&mut bytes)?;
        bytes.truncate(tag.size as usize);
        Ok(bytes)
    }
}

/// Values to write, in column-major order.
pub enum Values {
    /// Of MATLAB's class uint8.
    Bytes(Vec<u8>),
    /// Of MATLAB's class double.
    Doubles(Vec<f64>),
}

/// Writes the variable `name` as an element that is not compressed; [`header`] goes before the first.
///
/// # Errors
/// Of the file system.
pub fn write(to: &mut dyn Write, name: &str, shape: &[usize], values: &Values) -> io::Result<()> {
    let (class, format, data) = match values {
        Values::Bytes(bytes) => (9u32, 2, bytes.clone()),
        Values::Doubles(values) => (6, 9, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    };
    let shape: Vec<u8> = shape.iter().flat_map(|length| (*length as u32).to_le_bytes()).collect();
    let flags = [class.to_le_bytes(), [0; 4]].concat();
    let parts = [(6u32, flags), (5, shape), (1, name.as_bytes().to_vec()), (format, data)];
    let mut body = Vec::new();
    for (kind, data) in parts {
        body.extend(kind.to_le_bytes());
        body.extend((data.len() as u32).to_le_bytes());
        body.extend(&data);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    to.write_all(&MATRIX.to_le_bytes())?;
    to.write_all(&(body.len() as u32).to_le_bytes())?;
    to.write_all(&body)
}

/// What a file begins with.
pub fn header() -> [u8; HEADER] {
    let mut header = [b' '; HEADER];
    let text = b"MATLAB 5.0 MAT-file, drawn faces";
    header[..text.len()].copy_from_slice(text);
    header[116..124].fill(0);
    header[124..].copy_from_slice(&[0, 1, b'I', b'M']);
    header
}

#[cfg(test)]
mod tests;
