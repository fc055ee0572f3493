//! Graphs: writing ONNX and reading tfjs.

pub mod builder;
pub mod detector;
pub mod tfjs;
