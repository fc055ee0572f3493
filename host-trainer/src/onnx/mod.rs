//! ONNX: writing graphs, and reading the tfjs graphs they come from.

pub mod builder;
pub mod detector;
pub mod expression;
pub mod tfjs;
