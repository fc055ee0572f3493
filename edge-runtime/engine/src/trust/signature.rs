//! A signature in minisign's format: which key made it, and which sequence number it states.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::key::{Key, KeyId};

/// The field of the trusted comment that holds the sequence number.
const SEQUENCE: &str = "sequence:";
/// The field that minisign itself writes: seconds since 1970. It is the sequence number if no other is stated.
const TIMESTAMP: &str = "timestamp:";

/// A signature that has been read, but not verified yet.
pub(super) struct Signature {
    pub(super) key: KeyId,
    /// From the trusted comment, which the signature covers. At most `i64::MAX`, so that TOML and SQLite can hold it.
    pub(super) sequence: u64,
    signature: minisign_verify::Signature,
}

impl Signature {
    /// Parses a signature file, or says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Signature, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
        let signature =
            minisign_verify::Signature::decode(text).map_err(|_| "its four lines are damaged or cut off")?;
        let line = text.lines().nth(1).unwrap_or_default();
        let key = BASE64_STANDARD.decode(line).ok().and_then(|bytes| bytes.get(2..10)?.try_into().ok());
        let key = KeyId::from_bytes(key.ok_or("its second line is damaged")?);
        let sequence = sequence(signature.trusted_comment())?;
        Ok(Signature { key, sequence, signature })
    }

    /// Whether this key made the signature of these bytes and of the trusted comment.
    pub(super) fn is_valid(&self, key: &Key, bytes: &[u8]) -> bool {
        key.key.verify(bytes, &self.signature, false).is_ok()
    }
}

/// The sequence number that a trusted comment states; 0 if it states none.
fn sequence(comment: &str) -> Result<u64, &'static str> {
    let field = |name: &str| comment.split('\t').find_map(|field| field.trim().strip_prefix(name));
    let Some(number) = field(SEQUENCE).or_else(|| field(TIMESTAMP)) else { return Ok(0) };
    let number = number.parse().ok().filter(|number| i64::try_from(*number).is_ok());
    number.ok_or("its sequence number is not a number from 0 to 2^63 - 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_number_is_the_stated_one_or_the_time_of_signing() {
        assert_eq!(sequence("timestamp:1700000000\tfile:manifest.toml\tsequence:7\thashed"), Ok(7));
        assert_eq!(sequence("timestamp:1700000000\tfile:manifest.toml\thashed"), Ok(1_700_000_000));
        assert_eq!(sequence("signed by hand"), Ok(0));
        for wrong in ["sequence:", "sequence:-1", "sequence:9223372036854775808", "sequence:seven\ttimestamp:1"] {
            assert!(sequence(wrong).is_err(), "{wrong}");
        }
    }
}
