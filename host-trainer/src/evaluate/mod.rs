//! Evaluation: what a net answers, and the figures of it.

pub mod bundle;
pub mod by_class;
pub mod comparison;
pub mod confidence;
pub mod disturb;
pub mod interval;
pub mod metrics;
pub mod robustness;

pub use bundle::Evaluation;
pub use comparison::Comparison;
pub use metrics::Metrics;
