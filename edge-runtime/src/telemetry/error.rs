//! Why watching cannot be set up.

use std::net::SocketAddr;
use std::path::PathBuf;

use expression_engine::error::{Classify, ErrorKind};

/// Why watching cannot be set up; each can be mended by whoever starts the program.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// An address is taken, not this machine's, or not allowed.
    #[error("cannot listen on {address}: {source}; choose another address or port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file with a token or a password cannot be read.
    #[error("cannot read {}: {source}; name a file that this user may read", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A token is too short, or has characters that a URL would have to escape.
    #[error(
        "the token in {} is not one: it takes 16 to 256 letters, digits, '-', '.', '_' or '~' on one line; \
         `openssl rand -hex 24 > FILE` makes one",
        path.display()
    )]
    Token {
        /// The file.
        path: PathBuf,
    },
    /// A broker's address is not one.
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
    /// The certificates to trust a broker by cannot be used.
    #[error("no certificate to trust a broker by: {0}; name the file of its authority with --mqtt-ca-file")]
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
