//! Evaluation: what a net answers, and the figures of it.

pub mod bundle;
pub mod confidence;
pub mod interval;
pub mod metrics;

pub use bundle::Evaluation;
pub use metrics::Metrics;
