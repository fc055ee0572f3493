//! The board's side of a bundle: reads and verifies it, finds and aligns faces, runs the expression net, replays the self-test.
//!
//! `edge-runtime` and `host-trainer` both use this library, so preprocessing, bundle reading and quantisation exist once, and
//! parity tests run the device's own code. It knows no camera, no journal and no network.

pub mod bundle;
pub mod detector;
pub mod error;
pub mod expression;
pub mod face;
pub mod files;
pub mod graph;
pub mod memory;
pub mod picture;
pub mod selftest;

pub use bundle::{Bundle, BundleError, Manifest};
pub use detector::Detector;
pub use error::{Error, ErrorKind};
pub use expression::{Engine, EngineError, EngineOptions, FloatEngine, NotFused, Scores};
pub use picture::{Picture, PictureError};
