//! What the board and the workstation share: the label set, picture geometry and affine quantisation.
//!
//! Integer arithmetic (one table of exponentials apart, of a library that is the same everywhere), no allocation, no standard
//! library: the same bytes on every machine.
#![no_std]
#![forbid(unsafe_code)]

pub mod align;
pub mod face;
#[cfg(feature = "indicator")]
pub mod indicator;
pub mod label;
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
pub use record::{Bounds, Quality, Record, Stamp};
pub use resample::{Turn, View};
