//! What happens to a face before and after the net: alignment, quality, tracking, smoothing, and the record that comes out.
//!
//! Board and workstation share this crate, and it gives the same bytes on both: it computes in integers, allocates nothing and
//! needs no standard library. (The one exception is a table of exponentials, made by a library that is the same everywhere.)
//!
//! # From a picture to the net's input
//!
//! An [aligned face](face) is what the int8 graph reads: `u8 [channels, size, size]`. If the picture shows just a face, cut it
//! out with [`FaceInput::aligned_face`]; if a detector found eyes and mouth, use [`align::align`].
//!
//! ```
//! use expression_core::align::{KeyPoints, Point, align};
//! use expression_core::{FaceInput, View};
//!
//! // A grey picture of 320x240 pixels, row by row.
//! let pixels = [128u8; 320 * 240];
//! let picture = View::new(&pixels, 320, 240, 1, 320).expect("the buffer holds 240 rows of 320 bytes");
//!
//! // What the bundle's manifest says of the net's input.
//! let input = FaceInput { channels: 1, aligned: 64, size: 64 };
//! let mut face = [0; 64 * 64];
//!
//! let point = |x, y| Point::from_pixels(x, y).expect("a finite place near the picture");
//! let points = KeyPoints { eyes: [point(140.0, 100.0), point(180.0, 100.0)], mouth: point(160.0, 143.0) };
//! align(&points, picture, input, &mut face)?;
//! assert!(face.iter().all(|pixel| *pixel == 128));
//! # Ok::<(), expression_core::align::AlignError>(())
//! ```
//!
//! If the bundle asks for it, a [low-light gain](light) brightens a dark face before the net sees it.
//!
//! # From the net's scores to a label
//!
//! ```
//! use expression_core::Label;
//! use expression_core::smooth::{Smoother, Smoothing, Softmax};
//!
//! // One score per label, in the order of `Label::ALL`; one step is a sixteenth of a logit.
//! let scores = [90, 170, 60, 60, 60, 60, 60, 60];
//! let probability = Softmax::new(1.0 / 16.0).probabilities(&scores);
//!
//! let mut smoother = Smoother::default();
//! smoother.update(&probability, 0, &Smoothing::default());
//! assert_eq!(smoother.label(), Some(Label::Happiness));
//! assert!(smoother.confidence() > 240, "in 255ths");
//! ```
//!
//! Between the two lie [`quality`], which says whether a face can be read, and [`track`], which follows faces over time.
//! [`thermal`] lowers the frame rate of a hot board, and `indicator` drives its lights, button and display.
#![no_std]
#![forbid(unsafe_code)]

pub mod align;
pub mod face;
#[cfg(feature = "indicator")]
pub mod indicator;
pub mod label;
pub mod light;
pub mod patch;
pub mod quality;
pub mod quantize;
pub mod record;
pub mod resample;
pub mod smooth;
pub mod thermal;
pub mod track;

pub use face::FaceInput;
pub use label::{Label, LabelSet};
pub use light::LowLight;
pub use record::{Bounds, Quality, Record, Stamp};
pub use resample::{Turn, View};
