//! The board's program as a library: cameras, the pipeline from a frame to its records, the journal, the board's own hardware,
//! telemetry and the commands. What it shares with the workstation is [`expression_engine`].

pub mod board;
pub mod camera;
pub mod clock;
pub mod command;
pub mod doctor;
pub mod event;
pub mod frame;
pub mod journal;
mod number;
pub mod pipeline;
pub mod record;
pub mod run;
pub mod sandbox;
pub mod score;
pub mod service;
pub mod telemetry;
pub mod trust;

pub use expression_core as core;
pub use expression_engine as engine;
