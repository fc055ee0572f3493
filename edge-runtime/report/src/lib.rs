//! Self-contained HTML reports: the page frame, the style sheet, tables, figures and SVG plots.
//!
//! `host-trainer` and `edge-runtime` build their pages from these parts, so all of them look alike, in light, in dark and
//! on paper. A page holds no script and loads nothing. All text passes through [`maud`], which escapes it.
//!
//! ```
//! use expression_report::{Page, Section, Tile, percent, tiles};
//! use maud::html;
//!
//! let page = Page {
//!     title: "A run",
//!     header: expression_report::header("Report of a run", "A run", "On 1 < 2 samples."),
//!     sections: vec![Section::new(
//!         "figures",
//!         "Key figures",
//!         "Measured on the test samples.",
//!         tiles(&[Tile { name: "accuracy", value: percent(0.913), about: "share of right answers" }]),
//!     )],
//!     program: "example",
//!     version: "1.0",
//! };
//! let page = page.render();
//! assert!(page.contains("On 1 &lt; 2 samples.") && page.contains("91.3\u{a0}%"));
//! ```
#![forbid(unsafe_code)]

mod format;
mod page;
mod parts;
pub mod plot;

pub use format::{NONE, bytes, count, duration, percent, points};
pub use page::{PALETTE, Page, Section, header};
pub use parts::{Bar, Column, Tile, legend, small_tiles, table, text_table, tiles, verdict};
