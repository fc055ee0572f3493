//! Evaluation: what a net answers, and the figures of it.

pub mod bundle;
pub mod confidence;
pub mod disturb;
pub mod interval;
pub mod metrics;
pub mod robustness;

pub use bundle::Evaluation;
pub use metrics::Metrics;
