//! What a run found: `metrics.json` for programs, `report.html` for people.

mod answers;
mod confusion;
pub mod crossval;
mod figures;
pub mod html;
pub mod inspection;
mod interval;
pub mod mistakes;
mod picture;
pub mod study;

use expression_report::{Page, Section};
use maud::{Markup, html};

pub use crate::outcome::Summary;

/// Returns a page of this program.
fn document(title: &str, header: Markup, sections: Vec<Section>) -> String {
    Page { title, header, sections, program: "host-trainer", version: env!("CARGO_PKG_VERSION") }.render()
}

/// Returns a configuration file as it stands.
fn configuration(text: &str) -> Markup {
    html! { pre.card tabindex="0" { (text) } }
}

/// A test sample with the answer of the int8 net, for the sections of right and wrong answers.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The sample's name.
    pub name: String,
    /// The picture as a PNG file of 64x64 pixels.
    pub png: Vec<u8>,
    /// Name of its label.
    pub label: &'static str,
    /// Name of the class that the net answered.
    pub answer: &'static str,
    /// Probability that the int8 net gave to its answer.
    pub probability: f32,
}
