//! Training: the paper's method in order, and its parts.

pub mod adapting;
pub mod average;
pub mod cache;
pub mod checkpoint;
mod curve;
pub mod degrade;
pub mod face_net_tuning;
pub mod faces;
pub mod loss;
pub mod method;
pub mod mix;
pub mod mixing;
pub mod optimizer;
pub mod schedule;
pub mod stage;
pub mod stage_one;
pub mod stage_two;
pub mod start;
pub mod target_maps;
pub mod teacher;
pub mod teachers;
pub mod views;

pub use curve::{Curve, Epoch};
