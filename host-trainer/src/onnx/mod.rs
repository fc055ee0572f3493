//! ONNX: writing graphs, and reading the tfjs graphs they come from.

pub mod tfjs;
