//! Plots as SVG. Colours come from the style sheet; values appear when the pointer rests on them.

mod axis;
mod frame;
mod histogram;
mod lines;

pub use axis::Axis;
pub use frame::{Frame, Tick};
pub use histogram::histogram;
pub use lines::{Series, by_category, by_epoch};
