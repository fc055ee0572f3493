//! Why telemetry cannot be set up.

use std::net::SocketAddr;
use std::path::PathBuf;

use expression_engine::error::{Classify, ErrorKind};

/// Why telemetry cannot be set up. Whoever starts the program can fix each of these.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// An address is in use, is not this machine's, or is not allowed.
    #[error("cannot listen on {address}: {source}; choose another address or port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file with a token or a password cannot be read.
    #[error("{0}; name a file that this user may read")]
    Secret(
        /// What the system says, with the file.
        std::io::Error,
    ),
    /// A token is too short, or has characters that a URL would have to escape.
    #[error(
        "the first line of {} is not a token: expected 16 to 256 letters, digits, '-', '.', '_' or '~'; \
         `openssl rand -hex 24 > FILE` makes one",
        path.display()
    )]
    Token {
        /// The file.
        path: PathBuf,
    },
    /// A file with a password is empty.
    #[error("the first line of {} is empty: write the broker's password there, or leave --mqtt-password-file out", path.display())]
    Password {
        /// The file.
        path: PathBuf,
    },
    /// The address of a broker is invalid.
    #[error("--mqtt {text}: {why}; write mqtt://USER@HOST:1883/PREFIX")]
    Broker {
        /// What was given, without any password.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Flags that do not go together.
    #[error("{0}")]
    Usage(&'static str),
    /// There are no usable certificates to check a broker with.
    #[error("no certificate authority to check the broker with: {0}; name a PEM file with --mqtt-ca-file")]
    Certificates(String),
    /// The system has no thread or no random numbers left.
    #[error("cannot start telemetry: {0}")]
    System(#[from] std::io::Error),
}

impl Classify for TelemetryError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}
