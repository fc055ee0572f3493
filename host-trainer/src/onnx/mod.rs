//! Graphs: writing ONNX and reading tfjs.

pub mod builder;
pub mod detector;
pub mod qdq;
pub mod tfjs;
