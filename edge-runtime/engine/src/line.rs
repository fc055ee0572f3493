//! Texts from outside on their way to a terminal or a log: names of files, bundles and cameras, and what other programs say.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Returns a text as one line that a terminal only shows: control characters except tabs, Unicode's line and paragraph separators
/// and its controls of direction become escapes as in JSON, such as `\n` or `\u001b`. A terminal would obey them, and what follows a
/// line break would look like a line of the program's own.
pub fn one_line(text: &str) -> String {
    escaped(text, |_| false)
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            c if (c.is_control() && c != '\t' && !is_kept(c)) || rearranges(c) => {
                line.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c => line.push(c),
        }
    }
    line
}

/// Whether a character breaks lines or reorders the text after it, so that `a\u{202e}gpj.exe` looks like `aexe.jpg`. The marks that
/// names in Arabic and Hebrew have, such as U+200F, do neither.
fn rearranges(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes a line to stderr. If nobody can read it, such as in a log on a full disk or a viewer that has ended, the work goes on.
pub fn tell(line: impl Display) {
    _ = writeln!(io::stderr(), "{line}");
}

/// Whether stderr is a terminal that obeys control sequences: those that say `TERM=dumb`, such as the ones of editors and build
/// servers, show them as text.
pub fn stderr_obeys() -> bool {
    io::stderr().is_terminal() && !is_dumb(std::env::var_os("TERM").as_deref())
}

/// Whether log lines on stderr are in colour: on such a terminal, unless `NO_COLOR` is set.
pub fn stderr_in_colour() -> bool {
    stderr_obeys() && std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty())
}

/// Whether a terminal of this type shows control sequences as text.
fn is_dumb(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| term == "dumb")
}

/// Writes each entry of a log as one line, whatever its message holds. It must get each entry whole, as `tracing_subscriber`
/// writes it.
pub struct LogLines<W>(pub W);

impl<W: Write> Write for LogLines<W> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        // The subscriber has escaped those of the message; what is left are its own colours.
        let line = escaped(text, |c| c == '\x1b');
        self.0.write_all(format!("{line}{end}").as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_nothing_else() {
        assert_eq!(one_line("a\x1b[2K\u{e9}\t'\r\n\u{9b}b\\"), "a\\u001b[2K\u{e9}\t'\\r\\n\\u009bb\\");
    }

    #[test]
    fn what_breaks_or_reorders_a_line_is_escaped_and_marks_of_names_are_not() {
        assert_eq!(one_line("a\u{202e}gpj\u{2028}b\u{2069}"), "a\\u202egpj\\u2028b\\u2069");
        assert_eq!(one_line("\u{5d0}\u{200f}\u{202f}1"), "\u{5d0}\u{200f}\u{202f}1");
        let mut log = LogLines(Vec::new());
        log.write_all("\x1b[33mWARN\x1b[0m a\u{2029}b\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(log.0).unwrap(), "\x1b[33mWARN\x1b[0m a\\u2029b\n");
    }

    #[test]
    fn dumb_terminals_are_known_by_their_type() {
        assert!(is_dumb(Some(OsStr::new("dumb"))));
        assert!(!is_dumb(Some(OsStr::new("xterm-256color"))) && !is_dumb(None));
    }

    #[test]
    fn an_entry_of_a_log_is_one_line_and_keeps_its_colours() {
        let mut log = LogLines(Vec::new());
        log.write_all(b"\x1b[33mWARN\x1b[0m a\nERROR b\r\n").unwrap();
        log.write_all(b"c").unwrap();
        assert_eq!(String::from_utf8(log.0).unwrap(), "\x1b[33mWARN\x1b[0m a\\nERROR b\\r\nc");
    }
}
