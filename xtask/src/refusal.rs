//! Errors that are not this program's: exit code 2.

use std::fmt;

/// Something outside is not as it must be; the message says what to do.
#[derive(Debug)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// An error that ends the program with exit code 2.
pub fn refusal(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Refusal(message.into()))
}

/// 2 for bad usage, bad input and a full disk, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let outside = error.chain().any(|cause| {
        cause.is::<Refusal>()
            || cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
    });
    if outside { 2 } else { 1 }
}
