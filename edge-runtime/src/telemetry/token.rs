//! The token that opens preview and metrics to other machines.

use std::path::Path;

use expression_engine::files;

use super::error::TelemetryError;

/// Random bytes in a generated token.
#[cfg(feature = "http")]
const RANDOM_BYTES: usize = 24;
/// Lengths of tokens that are accepted from files.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

/// Bytes of a file with a token, a password or certificates, at most.
pub const MAX_BYTES: u64 = 1 << 20;

/// A secret. It needs no escaping in a URL, a header or a cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
    /// Whether it ends with this program.
    is_generated: bool,
}

impl Token {
    /// Returns the token on the first line of a file.
    ///
    /// # Errors
    /// Returns [`TelemetryError::Secret`] if the file cannot be read and [`TelemetryError::Token`] if it holds no token.
    pub fn from_file(path: &Path) -> Result<Token, TelemetryError> {
        let text = secret(path)?;
        Token::new(&text).ok_or_else(|| TelemetryError::Token { path: path.to_owned() })
    }

    /// Returns a token made of a text: 16 to 256 letters, digits, `-`, `.`, `_` or `~`.
    pub fn new(text: &str) -> Option<Token> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        (LENGTHS.contains(&text.len()) && text.bytes().all(plain))
            .then(|| Token { text: text.to_owned(), is_generated: false })
    }

    /// Returns a new token from the system's random numbers.
    ///
    /// # Errors
    /// Returns an error if the system has none.
    #[cfg(feature = "http")]
    pub fn generated() -> std::io::Result<Token> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Token { text, is_generated: true })
    }

    /// Whether the token was made by [`Token::generated`]: the next run will have another one.
    #[cfg(feature = "http")]
    pub fn is_generated(&self) -> bool {
        self.is_generated
    }

    /// The text of the token.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for Token {
    /// Leaves the token out, as logs must not reveal it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Returns the first line of a file, without its line ending.
///
/// # Errors
/// Returns [`TelemetryError::Secret`] if the file is not a regular one or cannot be read as text.
pub fn secret(path: &Path) -> Result<String, TelemetryError> {
    let text = files::read_text(path, MAX_BYTES).map_err(TelemetryError::Secret)?;
    // Editors on Windows begin a file with a byte order mark, which nobody sees.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.lines().next().unwrap_or("").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_whatever_ends_it_or_marks_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        for text in ["pass word", "pass word\n", "pass word\r\nmore\r\n", "\u{feff}pass word\r\n"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(secret(&file).unwrap(), "pass word", "{text:?}");
        }
    }

    #[test]
    fn a_token_is_long_and_plain_and_is_not_shown() {
        assert!(Token::new("0123456789abcdef").is_some());
        for wrong in ["", "short", "0123456789abcde", "0123456789abcdef&", "0123456789abcdef;", "0123456789abcdé f"] {
            assert_eq!(Token::new(wrong), None, "{wrong}");
        }
        assert!(Token::new(&"a".repeat(257)).is_none());
        assert_eq!(format!("{:?}", Token::new("0123456789abcdef").unwrap()), "Token(..)");
    }

    #[cfg(feature = "http")]
    #[test]
    fn generated_tokens_are_tokens_and_differ() {
        let (one, other) = (Token::generated().unwrap(), Token::generated().unwrap());
        assert_ne!(one, other);
        assert!(one.is_generated() && Token::new(one.text()).is_some_and(|given| !given.is_generated()));
    }
}
