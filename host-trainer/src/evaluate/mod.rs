//! Evaluation: what a net answers, and the figures of it.

pub mod bundle;
pub mod by_class;
pub mod comparison;
pub mod confidence;
pub mod interval;
pub mod metrics;

pub use bundle::Evaluation;
pub use comparison::Comparison;
pub use metrics::Metrics;
