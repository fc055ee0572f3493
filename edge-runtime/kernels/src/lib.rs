//! Integer convolutions and max-pools for chains of quantized layers.
//!
//! A [`Chain`] is planned once: weights packed for a [`Kernel`], every map's place in the working memory fixed. Running it
//! allocates nothing, and gives on every kernel, with any number of threads, exactly the integers of [`mod@reference`].
//!
//! Maps lie as height, width, channels, with the border that the next convolution needs around them. So the bytes that a
//! kernel row multiplies lie next to each other, whatever the number of channels, and nothing is copied into columns
//! (no im2col). This crate knows nothing of tract; it builds in seconds, also for the boards' emulators.

mod buffer;
mod chain;
mod direct;
mod entry;
mod layer;
mod map;
mod pack;
mod panel;
mod pool;
mod run;
mod threads;
mod unroll;
mod winograd;

pub mod kernel;
pub mod reference;
pub mod separable;

pub use chain::{Algorithm, Chain, PlanError, Workspace};
pub use kernel::Kernel;
pub use layer::{Convolution, Layer, MaxPool, Shape, Window};
pub use threads::Threads;
