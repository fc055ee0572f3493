//! Evaluation: what a net answers, and the figures of it.

pub mod metrics;

pub use metrics::Metrics;
