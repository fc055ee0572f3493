//! CSV files whose rows have a longest length. The crate `csv` reads a row as a whole, however long it is, so one quotation mark
//! that is never closed would take as much memory as the file is large.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The longest row, in bytes: a picture of 512x512 grey values takes 1 MiB.
const MAX_ROW: usize = 2 << 20;

/// Opens a file to be read as CSV.
///
/// # Errors
/// Returns an error if it cannot be opened, and reading returns one in a row of more than 2 MiB.
pub fn open(path: &Path) -> io::Result<Rows<File>> {
    Ok(Rows { file: File::open(path)?, row: 0, quoted: false })
}

/// The bytes of a file, until a row of it is too long.
pub struct Rows<R> {
    file: R,
    /// Bytes since the row began.
    row: usize,
    /// Whether a line break is part of a field.
    quoted: bool,
}

impl<R: Read> Read for Rows<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        for byte in &into[..count] {
            self.row += 1;
            match byte {
                // Two in a row, which stand for one in a field, change nothing.
                b'"' => self.quoted = !self.quoted,
                b'\n' if !self.quoted => self.row = 0,
                _ => {}
            }
            if self.row > MAX_ROW {
                let reason =
                    format!("a row of more than {MAX_ROW} bytes: a quotation mark is not closed, or it is not CSV");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(bytes: impl Read) -> io::Result<usize> {
        let mut read = Vec::new();
        Rows { file: bytes, row: 0, quoted: false }.read_to_end(&mut read)
    }

    #[test]
    fn rows_are_limited_and_files_are_not() {
        let line = [b"a,\"b\n\"\"c\"\n".as_slice(), &vec![b'x'; MAX_ROW - 1], b"\n"].concat();
        assert_eq!(length(&line.repeat(3)[..]).unwrap(), 3 * line.len());
        for endless in [&b"\""[..], b"", b"a,b\n\"c\n"] {
            let lines = io::repeat(b'\n').take(if endless.contains(&b'"') { 1 << 40 } else { 0 });
            let bytes = endless.chain(lines).chain(io::repeat(b'0').take(1 << 40));
            assert_eq!(length(bytes).unwrap_err().kind(), io::ErrorKind::InvalidData, "{endless:?}");
        }
    }
}
