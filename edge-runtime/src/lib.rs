//! The board's side: reads and verifies a bundle, makes aligned faces, runs the expression net, replays the self-test.
//!
//! `host-trainer` uses this library too, so that preprocessing, bundle reading and quantisation exist once.

pub mod board;
pub mod bundle;
pub mod camera;
pub mod clock;
pub mod command;
pub mod detect;
pub mod doctor;
pub mod engine;
pub mod exit;
pub mod files;
pub mod frame;
pub mod graph;
pub mod journal;
pub mod picture;
pub mod pipeline;
pub mod selftest;
pub mod service;
pub mod telemetry;

pub use bundle::{Bundle, BundleError, Manifest};
pub use engine::{Engine, EngineError, Scores};
pub use picture::{Picture, PictureError};
