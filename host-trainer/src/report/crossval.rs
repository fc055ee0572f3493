//! The joined folds of a cross-validation as text and as a page.

use expression_core::Label;
use expression_report::{Column, NONE, Section, Tile, count, header, percent, tiles, verdict};
use maud::{Markup, html};

use super::{confusion, figures};
use crate::crossval::{FoldFigures, Joined, Spread};

/// Headings of the columns of figures.
const COLUMNS: [&str; 5] = ["int8 accuracy", "float accuracy", "int8 recall", "float recall", "agreement"];
/// What the figures after the plus-minus sign are.
const DEVIATION: &str = "sample deviation over folds";

/// Returns the figures of a fold in the order of [`COLUMNS`].
fn fold_figures(fold: &FoldFigures) -> [f64; 5] {
    [fold.int8_accuracy, fold.float_accuracy, fold.int8_macro_recall, fold.float_macro_recall, fold.agreement]
}

/// Returns the spreads over folds in the order of [`COLUMNS`]; the agreement has none.
fn spreads(joined: &Joined) -> [Spread; 4] {
    [joined.int8_accuracy, joined.float_accuracy, joined.int8_macro_recall, joined.float_macro_recall]
}

/// Returns the figures on the test samples of all folds together in the order of [`COLUMNS`].
fn overall_figures(joined: &Joined) -> [f64; 5] {
    let Joined { int8, float, agreement, .. } = joined;
    [int8.accuracy, float.accuracy, int8.macro_recall, float.macro_recall, *agreement]
}

/// Returns what a reader must know before the figures: missing folds, and folds whose parity fails.
fn warnings(joined: &Joined) -> Vec<String> {
    let missing = (!joined.missing.is_empty()).then(|| joined.missing_folds());
    let failing = joined.folds.iter().filter(|fold| !fold.failing_rungs.is_empty());
    let failing =
        failing.map(|fold| format!("fold {}: parity rungs {:?} do not hold", fold.number, fold.failing_rungs));
    missing.into_iter().chain(failing).collect()
}

/// Returns the closing table as text.
pub fn table(joined: &Joined) -> String {
    let share = |share: f64| format!("{:.2} %", 100.0 * share);
    let row = |name: &str, samples: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:>14}")).collect();
        format!("  {name:<28} {samples:>8}{cells}\n")
    };
    let mut text = format!("\n{}: {}, seed {}\n", joined.name, joined.data, joined.seed);
    text += &row("fold", "samples", &COLUMNS.map(String::from));
    for fold in &joined.folds {
        text += &row(&fold.number.to_string(), &fold.samples[2].to_string(), &fold_figures(fold).map(share));
    }
    text += &row("mean over folds", "", &spreads(joined).map(|spread| share(spread.mean)));
    let deviations = spreads(joined).map(|spread| spread.deviation.map_or("-".into(), share));
    text += &row(DEVIATION, "", &deviations);
    text += &row("all test samples together", &joined.int8.samples.to_string(), &overall_figures(joined).map(share));
    text += "\nconfusion of the int8 nets over all folds: one row per label, one column per answer\n";
    let cell = |text: &dyn std::fmt::Display| format!("{text:>10}");
    let heads: String = Label::ALL.iter().map(|answer| cell(&answer.name())).collect();
    text += &format!("  {:<10}{heads}{}\n", "", cell(&"recall"));
    for label in Label::ALL {
        let counts: String = joined.int8.confusion[label as usize].iter().map(|count| cell(count)).collect();
        let recall = joined.int8.recall[label as usize].map_or("-".into(), share);
        text += &format!("  {:<10}{counts}{}\n", label.name(), cell(&recall));
    }
    warnings(joined).iter().for_each(|warning| text += &format!("{warning}\n"));
    text
}

/// Returns the page.
pub fn page(joined: &Joined) -> String {
    let about = format!(
        "Data: {}. Seed {}. {} of {} folds, {} test samples.",
        joined.data,
        joined.seed,
        joined.folds.len(),
        joined.count,
        count(joined.int8.samples as u64)
    );
    let header = html! {
        (header("Facial expression recognition, cross-validation", &joined.name, about))
        @for warning in warnings(joined) { (verdict(false, &warning, "")) }
        (main_figures(joined))
    };
    let sections = vec![
        Section::new(
            "folds",
            "Folds",
            "Each fold trains on the samples of the others and is tested on its own. Recall is the mean over labels.",
            folds(joined),
        ),
        Section::new(
            "confusion",
            "Confusion matrix",
            "The test samples of all folds together, each answered by the int8 net of its fold. Each row is a label.",
            confusion::matrix(&joined.int8),
        ),
        Section::new(
            "recall",
            "Recall by label, float against int8",
            "The share of a label\u{2019}s test samples that got the right answer, over all folds.",
            figures::recall(&joined.float, &joined.int8),
        ),
        Section::new(
            "configuration",
            "Configuration",
            "Every setting of the folds; saved as a TOML file it is a preset.",
            super::configuration(&joined.config),
        ),
        Section::new(
            "terms",
            "Provenance",
            "Where the pictures come from.",
            html! { p { (joined.source) ". sha256 of the set: " code { (joined.data_sha256) } } },
        ),
    ];
    super::document(&format!("{}: {} int8", joined.name, percent(joined.int8_accuracy.mean)), header, sections)
}

fn main_figures(joined: &Joined) -> Markup {
    let spread = |spread: Spread| {
        let deviation = spread.deviation.map_or(NONE.to_owned(), |deviation| format!("{:.1}", 100.0 * deviation));
        format!("{} \u{b1} {deviation}", percent(spread.mean))
    };
    let about = format!("mean \u{b1} {DEVIATION}");
    tiles(&[
        Tile { name: "int8 accuracy", value: spread(joined.int8_accuracy), about: &about },
        Tile { name: "float accuracy", value: spread(joined.float_accuracy), about: &about },
        Tile { name: "int8 macro recall", value: spread(joined.int8_macro_recall), about: &about },
        Tile {
            name: "agreement",
            value: percent(joined.agreement),
            about: "test samples to which int8 and float give the same answer",
        },
    ])
}

fn folds(joined: &Joined) -> Markup {
    let row = |name: &str, samples: Option<usize>, shares: &[f64]| {
        html! {
            tr {
                th scope="row" { (name) }
                td.number { (samples.map_or(String::new(), |samples| count(samples as u64))) }
                @for share in shares { td.number { (percent(*share)) } }
            }
        }
    };
    let rows = html! {
        @for fold in &joined.folds { (row(&fold.number.to_string(), Some(fold.samples[2]), &fold_figures(fold))) }
        (row("mean", None, &spreads(joined).map(|spread| spread.mean)))
        (row(DEVIATION, None, &spreads(joined).map(|spread| spread.deviation.unwrap_or(f64::NAN))))
        (row("all folds together", Some(joined.int8.samples), &overall_figures(joined)))
    };
    let figures = COLUMNS.map(Column::number);
    let columns: Vec<Column> =
        [Column::text("Fold"), Column::number("Test samples")].into_iter().chain(figures).collect();
    expression_report::table("Figures of each fold", &columns, rows)
}
