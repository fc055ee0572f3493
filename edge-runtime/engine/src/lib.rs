//! Runs an expression bundle: verifies it, decodes pictures, finds and aligns faces, classifies them, replays its self-test.
//!
//! `edge-runtime` and `host-trainer` both use this library, so preprocessing, bundle reading and quantization exist once, and the
//! parity tests run the board's own code. It knows nothing of cameras, journals and networks.
//!
//! # Classify an aligned face
//!
//! [`selftest::open`] opens a bundle as every command does: it verifies the hashes and refuses a bundle whose self-test gives
//! another answer on this machine.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use expression_engine::{EngineOptions, selftest};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/ferplus-edge");
//! let (bundle, engine) = selftest::open(folder.as_ref(), EngineOptions::default())?;
//!
//! // An aligned face: u8 [channels, size, size], as the bundle's manifest states it. Here, one of the self-test's.
//! let face = &selftest::vectors(&bundle)?[0].face;
//! let scores = engine.classify(face)?;
//! let label = engine.labels()[scores.class];
//! println!("{} {:.2}", label.name(), scores.probability[scores.class]);
//! # assert_eq!(scores.integer, selftest::vectors(&bundle)?[0].scores);
//! # Ok(())
//! # }
//! ```
//!
//! # From a picture file to a face
//!
//! A picture that shows just a face becomes an aligned face by [`Picture::aligned_face`]. In any other picture, find the face with
//! [`Detector`] and align it by its key points. `examples/classify.rs` does both.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use expression_engine::{Bundle, Picture};
//!
//! # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
//! # let (folder, file) = (format!("{root}/models/ferplus-edge"), format!("{root}/docs/faces.jpg"));
//! let bundle = Bundle::open(folder.as_ref())?;
//! let input = bundle.manifest().face_input();
//! let face = Picture::open(file.as_ref())?.aligned_face(input)?;
//! assert_eq!(face.len(), input.len());
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! Each module has an error enum that says what is wrong and what to do. Programs that only report them use [`error`].
#![forbid(unsafe_code)]

pub mod bundle;
pub mod detector;
pub mod error;
pub mod expression;
pub mod face;
pub mod files;
pub mod graph;
pub mod line;
pub mod memory;
pub mod picture;
pub mod selftest;
pub mod toml_error;
pub mod trust;

pub use bundle::{Bundle, BundleError, Manifest};
pub use detector::Detector;
pub use error::{Error, ErrorKind};
pub use expression::{Engine, EngineError, EngineOptions, FloatEngine, NotFused, Scores};
pub use picture::{Picture, PictureError};
pub use trust::Trust;
