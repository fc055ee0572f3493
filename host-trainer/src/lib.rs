//! Trains FaceNet2ExpNet on a workstation, quantizes the expression net and exports it as a bundle.
//!
//! H. Ding, S. K. Zhou, R. Chellappa, "FaceNet2ExpNet: Regularizing a Deep Face Recognition Net for Expression
//! Recognition", FG 2017, arXiv 1609.06591: "the paper" in these pages.

pub mod adoption;
pub mod assets;
pub mod command;
pub mod config;
pub mod coverage;
pub mod crossval;
pub mod dataset;
pub mod deploy;
pub mod detector;
pub mod device;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod fleet;
pub mod inspect;
pub mod interrupt;
pub mod label;
pub mod measurement;
pub mod net;
pub mod onnx;
pub mod outcome;
pub mod parity;
pub mod pipeline;
pub mod predict;
pub mod progress;
pub mod quantize;
pub mod random;
pub mod recipe;
pub mod render;
pub mod report;
pub mod run;
pub mod study;
mod toml_error;
pub mod train;

pub use error::{Error, Result};
