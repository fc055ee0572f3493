//! The joined folds of a cross-validation as text and as a page.

use std::fmt::Write;

use expression_core::Label;

use super::markup::{NONE, Section, count, document, escape, percent};
use super::{confusion, figures, markup};
use crate::crossval::{FoldFigures, Joined, Spread};

/// Heads of the columns of figures.
const COLUMNS: [&str; 5] = ["int8 accuracy", "float accuracy", "int8 recall", "float recall", "agreement"];
/// What the deviation is.
const DEVIATION: &str = "sample deviation over folds";

/// The figures of a fold in the order of [`COLUMNS`].
fn of_fold(fold: &FoldFigures) -> [f64; 5] {
    [fold.int8_accuracy, fold.float_accuracy, fold.int8_macro_recall, fold.float_macro_recall, fold.agreement]
}

/// The spreads that [`COLUMNS`] have; the agreement has none.
fn spreads(joined: &Joined) -> [Spread; 4] {
    [joined.int8_accuracy, joined.float_accuracy, joined.int8_macro_recall, joined.float_macro_recall]
}

/// The figures on the test samples of all folds together, in the order of [`COLUMNS`].
fn of_all(joined: &Joined) -> [f64; 5] {
    let Joined { int8, float, agreement, .. } = joined;
    [int8.accuracy, float.accuracy, int8.macro_recall, float.macro_recall, *agreement]
}

/// What a reader must know before the figures: missing folds, and folds where parity fails.
fn warnings(joined: &Joined) -> Vec<String> {
    let missing = (!joined.missing.is_empty()).then(|| joined.missing_folds());
    let failing = joined.folds.iter().filter(|fold| !fold.failing_rungs.is_empty());
    let failing =
        failing.map(|fold| format!("fold {}: parity rungs {:?} do not hold", fold.number, fold.failing_rungs));
    missing.into_iter().chain(failing).collect()
}

/// The closing table.
pub fn table(joined: &Joined) -> String {
    let share = |share: f64| format!("{:.2} %", 100.0 * share);
    let row = |name: &str, samples: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:>14}")).collect();
        format!("  {name:<28} {samples:>8}{cells}\n")
    };
    let mut text = format!("\n{}: {}, seed {}\n", joined.name, joined.data, joined.seed);
    text += &row("fold", "samples", &COLUMNS.map(String::from));
    for fold in &joined.folds {
        text += &row(&fold.number.to_string(), &fold.samples[2].to_string(), &of_fold(fold).map(share));
    }
    text += &row("mean over folds", "", &spreads(joined).map(|spread| share(spread.mean)));
    let deviations = spreads(joined).map(|spread| spread.deviation.map_or("-".into(), share));
    text += &row(DEVIATION, "", &deviations);
    text += &row("all test samples together", &joined.int8.samples.to_string(), &of_all(joined).map(share));
    text += "\nconfusion of the int8 nets, all folds: a row a label, a column an answer\n";
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

/// The page: one file, no script, nothing to load.
pub fn page(joined: &Joined) -> String {
    let name = escape(&joined.name);
    let warned: String = warnings(joined)
        .iter()
        .map(|warning| format!("<p class=\"verdict bad\"><strong>{}</strong></p>\n", escape(warning)))
        .collect();
    let header = format!(
        "<p class=\"quiet\">Facial expression recognition, cross-validation</p>\n<h1>{name}</h1>\n\
         <p class=\"quiet\">Data: {}. Seed {}. {} of {} folds, {} test samples.</p>\n{warned}{}",
        escape(&joined.data),
        joined.seed,
        joined.folds.len(),
        joined.count,
        count(joined.int8.samples as u64),
        tiles(joined),
    );
    let section = |id, title, explanation: &str, body| Section { id, title, explanation: explanation.into(), body };
    let sections = [
        section(
            "folds",
            "Folds",
            "Each fold trains on the others\u{2019} samples and is tested on its own; recall is the mean of the labels\u{2019}.",
            folds(joined),
        ),
        section(
            "confusion",
            "Confusion matrix",
            "The test samples of all folds together, as the int8 net of their fold answered them: each row is a label.",
            confusion::matrix(&joined.int8),
        ),
        section(
            "recall",
            "Recall by label, float against int8",
            "The share of a label\u{2019}s test samples that got the right answer, over all folds.",
            figures::recall(&joined.float, &joined.int8),
        ),
        section(
            "configuration",
            "Configuration",
            "Every setting of the folds; saved as a TOML file it is a preset.",
            format!("<pre class=\"card\">{}</pre>", escape(&joined.config)),
        ),
        section(
            "terms",
            "Provenance",
            "Where the pictures come from.",
            format!(
                "<p>{}. sha256 of the set: <code>{}</code></p>",
                escape(&joined.source),
                escape(&joined.data_sha256)
            ),
        ),
    ];
    document(&format!("{name}: {} int8", percent(joined.int8_accuracy.mean)), &header, &sections)
}

fn tiles(joined: &Joined) -> String {
    let spread = |spread: Spread| {
        let deviation = spread.deviation.map_or(NONE.to_owned(), |deviation| format!("{:.1}", 100.0 * deviation));
        format!("{} \u{b1} {deviation}", percent(spread.mean))
    };
    let about = format!("mean \u{b1} {DEVIATION}");
    figures::list(
        "tiles",
        &[
            ("int8 accuracy", spread(joined.int8_accuracy), &about),
            ("float accuracy", spread(joined.float_accuracy), &about),
            ("int8 macro recall", spread(joined.int8_macro_recall), &about),
            ("agreement", percent(joined.agreement), "test samples to which int8 and float give the same answer"),
        ],
    )
}

fn folds(joined: &Joined) -> String {
    let mut rows = String::new();
    let numbers = |shares: &[f64]| -> String {
        shares.iter().map(|share| format!("<td class=\"number\">{}</td>", percent(*share))).collect()
    };
    for fold in &joined.folds {
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>{}</tr>",
            fold.number,
            count(fold.samples[2] as u64),
            numbers(&of_fold(fold))
        );
    }
    let [means, deviations] = [|spread: Spread| spread.mean, |spread: Spread| spread.deviation.unwrap_or(f64::NAN)]
        .map(|of| numbers(&spreads(joined).map(of)));
    let closing = [("mean", String::new(), means), (DEVIATION, String::new(), deviations)];
    let together = ("together", count(joined.int8.samples as u64), numbers(&of_all(joined)));
    for (name, samples, figures) in closing.into_iter().chain([together]) {
        let _ = writeln!(rows, "<tr><th scope=\"row\">{name}</th><td class=\"number\">{samples}</td>{figures}</tr>");
    }
    let heads = COLUMNS.map(|column| format!("#{column}"));
    let head: Vec<&str> = ["Fold", "#Test samples"].into_iter().chain(heads.iter().map(String::as_str)).collect();
    markup::table("", "", &head, &rows)
}
