//! CSV files whose rows have a longest length, and other lists of text, as editors and spreadsheets write them. The crate
//! `csv` reads a row as a whole, however long it is, so one quotation mark that is never closed would take as much memory as
//! the file is large.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use expression_engine::files;

/// The longest row, in bytes: a picture of 512x512 grey values takes 1 MiB.
const MAX_ROW: usize = 2 << 20;

/// What stands between the columns of a table; of those that are equally frequent the last counts.
const SEPARATORS: [u8; 3] = [b'\t', b';', b','];
/// The most letters of a value that a message shows: one that was never closed may be a whole file.
const MAX_SHOWN: usize = 60;
/// What to do about text in another encoding.
const SAVE_AS_UTF8: &str = "save it as UTF-8, which Excel calls \"CSV UTF-8\"";
/// What some editors put at the start of text in UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Opens a file to be read as CSV.
///
/// # Errors
/// Returns an error if it cannot be opened, is not a regular file, or is an archive or text in UTF-16, and reading returns one in a
/// row of more than 2 MiB.
pub fn open(path: &Path) -> io::Result<Rows<BufReader<File>>> {
    let mut file = BufReader::new(files::open_regular(path)?);
    refuse_other_formats(file.fill_buf()?)?;
    Ok(Rows { file, row: 0, quoted: false })
}

/// Opens a table whose first row names its columns. They are separated by commas, semicolons or tabs: by what stands most
/// often in the first row.
///
/// # Errors
/// As [`open`].
pub fn with_header(path: &Path) -> io::Result<csv::Reader<Rows<BufReader<File>>>> {
    let mut rows = open(path)?;
    let separator = separator(rows.file.fill_buf()?);
    Ok(csv::ReaderBuilder::new().delimiter(separator).trim(csv::Trim::Headers).flexible(true).from_reader(rows))
}

fn separator(head: &[u8]) -> u8 {
    let mut quoted = false;
    let of_header = |byte: &&u8| {
        quoted ^= **byte == b'"';
        quoted || **byte != b'\n'
    };
    let header: Vec<u8> = head.iter().take_while(of_header).copied().collect();
    let count = |separator: &u8| header.iter().filter(|byte| *byte == separator).count();
    SEPARATORS.into_iter().max_by_key(count).unwrap_or(b',')
}

/// Returns why a row cannot be read.
pub fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => format!("not text in UTF-8; {SAVE_AS_UTF8}"),
        _ => error.to_string(),
    }
}

/// Returns a value in quotation marks, cut short if it is long.
pub fn shown(value: &str) -> String {
    let mut letters = value.chars();
    let head: String = letters.by_ref().take(MAX_SHOWN).collect();
    let rest = if letters.next().is_some() { " ..." } else { "" };
    format!("{head:?}{rest}")
}

/// Reads a text of at most `max` bytes, without a byte order mark.
///
/// # Errors
/// Returns an error that names the path if the file cannot be read, is longer, or is not text in UTF-8.
pub fn text(path: &Path, max: u64) -> io::Result<String> {
    let bytes = files::read_at_most(path, max)?;
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()));
    refuse_other_formats(&bytes).map_err(named)?;
    let text = String::from_utf8(bytes);
    let text =
        text.map_err(|_| named(io::Error::new(io::ErrorKind::InvalidData, "not text in UTF-8; save it as UTF-8")))?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map_or_else(|| text.clone(), str::to_owned))
}

/// Refuses archives, among them workbooks of Excel, and text in UTF-16, with a byte order mark or a first letter of ASCII.
fn refuse_other_formats(head: &[u8]) -> io::Result<()> {
    match head {
        [b'P', b'K', 3, 4, ..]
        | [0x1F, 0x8B, ..]
        | [b'7', b'z', 0xBC, ..]
        | [b'R', b'a', b'r', b'!', ..]
        | [0xFD, b'7', b'z', b'X', ..] => {
            let reason = "an archive or a workbook; unpack it, or save it as CSV";
            Err(io::Error::new(io::ErrorKind::InvalidData, reason))
        }
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 1..=u8::MAX, ..] | [1..=u8::MAX, 0, ..] => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("text in UTF-16; {SAVE_AS_UTF8}")))
        }
        _ => Ok(()),
    }
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
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(open(&path).is_err_and(|error| error.to_string() == "not a regular file"));
    }

    #[test]
    fn tables_are_read_as_spreadsheets_write_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let read = |bytes: &[u8]| -> io::Result<Vec<Vec<String>>> {
            std::fs::write(&path, bytes).unwrap();
            let mut table = with_header(&path)?;
            let cells = |row: &csv::StringRecord| row.iter().map(str::to_owned).collect();
            let header = cells(table.headers()?);
            Ok(std::iter::once(header).chain(table.records().map(|row| cells(&row.unwrap()))).collect())
        };
        for text in
            ["a,b c\n1;2,3 4", "\u{feff}a;b c\r\n1;2;3 4", "a\t\"b c\"\n1;2\t3 4\n", "\"a\",\"b c\"\n\"1;2\",3 4"]
        {
            let rows = read(text.as_bytes()).unwrap();
            assert_eq!(rows[0], ["a", "b c"], "{text:?}");
            assert_eq!(rows[1].concat(), if text.contains("a;") { "123 4" } else { "1;23 4" }, "{text:?}");
        }
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            for mark in ["\u{feff}", ""] {
                let bytes: Vec<u8> = format!("{mark}a\tb\n").encode_utf16().flat_map(order).collect();
                assert!(read(&bytes).unwrap_err().to_string().contains("save it as UTF-8"));
                assert!(text(&path, 100).unwrap_err().to_string().contains("table.csv: text in UTF-16"));
            }
        }
        for archive in [&b"PK\x03\x04\x14\0"[..], b"\x1f\x8b\x08\0"] {
            assert!(read(archive).unwrap_err().to_string().contains("unpack it, or save it as CSV"));
        }
        std::fs::write(&path, "\u{feff}A=1").unwrap();
        assert_eq!(text(&path, 100).unwrap(), "A=1");
    }

    #[test]
    fn text_in_another_encoding_is_to_be_saved_as_utf8() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, b"a,b\nfr\xf6hlich,1\n").unwrap();
        let mut table = with_header(&path).unwrap();
        let error = table.records().next().unwrap().unwrap_err();
        assert!(reason(&error).starts_with("not text in UTF-8; save it as UTF-8"), "{}", reason(&error));
    }

    #[test]
    fn long_values_are_cut_short_in_messages() {
        assert_eq!(shown("a\nb"), "\"a\\nb\"");
        assert_eq!(shown(&"é".repeat(MAX_SHOWN)).chars().count(), MAX_SHOWN + 2);
        assert_eq!(shown(&"é".repeat(1 << 20)).chars().count(), MAX_SHOWN + 6);
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
