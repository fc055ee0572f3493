//! The run's figures as tables: key figures, parity, recall, seconds.

use expression_core::Label;
use expression_report::{Bar, Column, NONE, Tile, bytes, count, duration, percent, points, small_tiles, table};
use maud::{Markup, html};

use super::Summary;
use super::confusion;
use super::interval::wilson;
use crate::evaluate::Metrics;
use crate::evaluate::by_class::{Share, by_class};
use crate::parity::Rung;

/// Returns the figures that are asked for most.
pub fn tiles(summary: &Summary) -> Markup {
    let Summary { float, int8, parity, .. } = summary;
    let holding = parity.iter().filter(|rung| rung.holds).count();
    let [int8_about, float_about] =
        [(int8, "right answers of the net that runs on the board"), (float, "right answers of the net as trained")]
            .map(|(metrics, about)| with_interval(metrics, about));
    expression_report::tiles(&[
        Tile { name: "int8 accuracy", value: percent(int8.accuracy), about: &int8_about },
        Tile { name: "float accuracy", value: percent(float.accuracy), about: &float_about },
        Tile {
            name: "int8 \u{2212} float",
            value: points(int8.accuracy - float.accuracy),
            about: "percentage points that rounding to 8 bits changed",
        },
        Tile {
            name: "agreement",
            value: percent(summary.agreement),
            about: "samples to which both give the same answer",
        },
        Tile {
            name: "parity",
            value: format!("{holding} of {}", parity.len()),
            about: "rungs of the ladder that hold",
        },
    ])
}

/// What an accuracy is of, and how far another test part of this size could lie from it.
fn with_interval(metrics: &Metrics, about: &str) -> String {
    let hits = Label::ALL.iter().map(|label| confusion::answers(metrics, *label, *label)).sum();
    match wilson(hits, metrics.samples) {
        Some([low, high]) => format!("{about}; 95 % interval {} to {}", percent(low), percent(high)),
        None => about.to_owned(),
    }
}

/// Returns data, net and run in figures.
pub fn key_figures(summary: &Summary) -> Markup {
    let Summary { float, int8, samples: [train, calibration, test], .. } = summary;
    let most_frequent = Label::ALL.map(|label| confusion::samples(int8, label)).into_iter().max().unwrap_or(0);
    let memory = summary.peak_memory_bytes.map_or_else(|| NONE.to_owned(), bytes);
    let millions = |number: f64| format!("{:.2} million", number / 1e6);
    let rows = [
        ("Samples for training", count(*train as u64), "the net learns from these"),
        (
            "Samples for calibration",
            count(*calibration as u64),
            "held out to watch training and to choose the int8 scales",
        ),
        ("Samples for the test", count(*test as u64), "all accuracies on this page are measured on these"),
        (
            "Most frequent label",
            percent(most_frequent as f64 / int8.samples as f64),
            "its share: the accuracy of always answering it",
        ),
        ("int8 macro recall", percent(int8.macro_recall), "mean recall of the labels, each counting the same"),
        ("float macro recall", percent(float.macro_recall), "the same for the net as trained"),
        (
            "int8 accuracy, clear labels",
            percent(int8.accuracy_majority),
            "on samples for which more than half of the votes agree",
        ),
        ("Multiply-accumulates", millions(summary.multiply_accumulates as f64), "the work of one answer"),
        ("Parameters", millions(summary.parameters as f64), "weights and biases"),
        ("Size of the int8 graph", bytes(summary.int8_bytes), "what the board loads"),
        ("Time of the run", duration(total(summary)), "all steps below together"),
        ("Peak memory", memory, "the most that the program held at once"),
        ("Trained on", summary.device.clone(), "the device of the nets"),
        ("Seed", summary.seed.to_string(), "the same seed gives the same result on one machine"),
    ];
    small_tiles(&rows.map(|(name, value, about)| Tile { name, value, about }))
}

/// Returns the parity ladder.
pub fn parity(rungs: &[Rung]) -> Markup {
    let columns = ["Rung", "Verdict", "What is compared", "Found", "Tolerance"].map(Column::text);
    let rows = html! {
        @for rung in rungs {
            tr.failing[!rung.holds] {
                th scope="row" { (rung.number) }
                td { @if rung.holds { span.good { "\u{2713} holds" } } @else { span.bad { "\u{2717} fails" } } }
                td { (rung.what) }
                td { (rung.figure) }
                td { (rung.tolerance) }
            }
        }
    };
    table("The parity ladder", &columns, rows)
}

/// Returns the recall of each label, float against int8, with error bars.
pub fn recall(float: &Metrics, int8: &Metrics) -> Markup {
    let bar = |name, metrics: &Metrics, label: Label| {
        let interval = wilson(confusion::answers(metrics, label, label), confusion::samples(metrics, label));
        let share = metrics.recall.get(label as usize).copied().flatten()?;
        Some(Bar { name, class: name, share, interval })
    };
    let rows = html! {
        @for label in Label::ALL {
            tr {
                th scope="row" { (label.name()) }
                td.number { (count(confusion::samples(int8, label) as u64)) }
                @if let (Some(float), Some(int8)) = (bar("float", float, label), bar("int8", int8, label)) {
                    td.bars { (float) (int8) }
                    td.number { (points(int8.share - float.share)) }
                } @else {
                    td.quiet { "absent: no test sample has this label" }
                    td.number { (NONE) }
                }
            }
        }
    };
    let columns = [Column::text("Label"), Column::number("Samples"), Column::text("Recall"), Column::number("Points")];
    table("Recall of each label; the error bars are 95 % intervals", &columns, rows)
}

/// Returns precision, recall and F1 of each label with 95 % intervals, of the int8 net.
pub fn classes(int8: &Metrics) -> Markup {
    let share = |share: Option<Share>| share.map_or_else(|| NONE.to_owned(), |share| share.to_string());
    let rows = by_class(int8).into_iter().map(|of| {
        let f1 = of.f1.map_or_else(|| NONE.to_owned(), percent);
        vec![
            of.label.to_owned(),
            count(of.samples as u64),
            count(of.answers as u64),
            share(of.precision),
            share(of.recall),
            f1,
        ]
    });
    let head = ["Label", "Samples", "Answers", "Precision", "Recall", "F1"];
    expression_report::text_table("Precision, recall and F1 of the int8 net; in brackets 95 % intervals", &head, rows)
}

/// Returns the seconds of each step.
pub fn seconds(summary: &Summary) -> Markup {
    let total = total(summary);
    let rows = html! {
        @for (step, seconds) in &summary.seconds {
            tr {
                th scope="row" { (step) }
                td.number { (duration(*seconds)) }
                td.bars { (Bar { name: "", class: "int8", share: seconds / total, interval: None }) }
            }
        }
        tr.total { th scope="row" { "total" } td.number { (duration(total)) } td {} }
    };
    table("Time of each step", &[Column::text("Step"), Column::number("Time"), Column::text("Share of the run")], rows)
}

fn total(summary: &Summary) -> f64 {
    summary.seconds.iter().map(|(_, seconds)| seconds).sum()
}
