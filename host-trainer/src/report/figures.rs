//! The run's figures as tables: key figures, parity, recall, seconds.

use std::fmt::Write;

use expression_core::Label;

use super::Summary;
use super::confusion;
use super::markup::{NONE, bar, bytes, count, duration, escape, percent, points, table};
use crate::evaluate::Metrics;
use crate::parity::Rung;

/// The figures that are asked for most.
pub fn tiles(summary: &Summary) -> String {
    let Summary { float, int8, parity, .. } = summary;
    let holding = parity.iter().filter(|rung| rung.holds).count();
    let tiles = [
        ("int8 accuracy", percent(int8.accuracy), "right answers of the net that runs on the board"),
        ("float accuracy", percent(float.accuracy), "right answers of the net as trained"),
        (
            "int8 \u{2212} float",
            format!("{} points", points(int8.accuracy - float.accuracy)),
            "what rounding to 8 bits changed",
        ),
        ("agreement", percent(summary.agreement), "samples to which both give the same answer"),
        ("parity", format!("{holding} of {}", parity.len()), "rungs of the ladder that hold"),
    ];
    list("tiles", &tiles)
}

/// Figures with their names and what they mean.
pub fn list(class: &str, figures: &[(&str, String, &str)]) -> String {
    let item = |(name, value, about): &(&str, String, &str)| {
        format!("<div><dt>{name}</dt><dd><strong>{value}</strong><span>{about}</span></dd></div>\n")
    };
    format!("<dl class=\"{class}\">\n{}</dl>\n", figures.iter().map(item).collect::<String>())
}

/// Data, net and run in figures.
pub fn key_figures(summary: &Summary) -> String {
    let Summary { float, int8, samples: [train, calibration, test], .. } = summary;
    let commonest = Label::ALL.map(|label| confusion::samples(int8, label)).into_iter().max().unwrap_or(0);
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
            "Commonest label",
            percent(commonest as f64 / int8.samples as f64),
            "its share: the accuracy of always answering it",
        ),
        ("int8 macro recall", percent(int8.macro_recall), "mean recall of the labels, each counting the same"),
        ("float macro recall", percent(float.macro_recall), "the same of the net as trained"),
        (
            "int8 accuracy, clear labels",
            percent(int8.accuracy_majority),
            "where more than half of the votes are for one label",
        ),
        ("Multiply-accumulates", millions(summary.multiply_accumulates as f64), "the work of one answer"),
        ("Parameters", millions(summary.parameters as f64), "weights and biases"),
        ("Size of the int8 graph", bytes(summary.int8_bytes), "what the board loads"),
        ("Time of the run", duration(total(summary)), "all steps below together"),
        ("Peak memory", memory, "the most that the program held at once"),
        ("Trained on", escape(&summary.device), "where the nets were trained"),
        ("Seed", summary.seed.to_string(), "the same seed gives the same result on one machine"),
    ];
    list("tiles small", &rows)
}

/// The parity ladder.
pub fn parity(rungs: &[Rung]) -> String {
    let row = |rung: &Rung| {
        let [what, figure, tolerance] = [&rung.what, &rung.figure, &rung.tolerance].map(|text| escape(text));
        let (row, class, verdict) = match rung.holds {
            true => ("", "good", "\u{2713} holds"),
            false => (" class=\"failing\"", "bad", "\u{2717} fails"),
        };
        format!(
            "<tr{row}><th scope=\"row\">{}</th><td><span class=\"{class}\">{verdict}</span></td><td>{what}</td>\
             <td>{figure}</td><td>{tolerance}</td></tr>\n",
            rung.number
        )
    };
    let rows: String = rungs.iter().map(row).collect();
    table("", "", &["Rung", "Verdict", "What is compared", "Found", "Tolerance"], &rows)
}

/// Recall of each label, float against int8.
pub fn recall(float: &Metrics, int8: &Metrics) -> String {
    let mut rows = String::new();
    for label in Label::ALL {
        let of_label = confusion::samples(int8, label);
        let [float, int8] = [float, int8].map(|of| of.recall.get(label as usize).copied().flatten());
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>",
            label.name(),
            count(of_label as u64)
        );
        let _ = match (float, int8) {
            (Some(float), Some(int8)) => writeln!(
                rows,
                "<td class=\"bars\">{}{}</td><td class=\"number\">{}</td></tr>",
                named_bar("float", float),
                named_bar("int8", int8),
                points(int8 - float)
            ),
            _ => writeln!(
                rows,
                "<td class=\"quiet\">absent: no test sample has this label</td><td class=\"number\">{NONE}</td></tr>"
            ),
        };
    }
    table("recall", "", &["Label", "#Samples", "Recall", "#Points"], &rows)
}

/// A bar with its name and its share in percent.
pub fn named_bar(name: &str, share: f64) -> String {
    format!(
        "<div><span class=\"quiet\">{name}</span>{}<span class=\"number\">{}</span></div>",
        bar(name, share),
        percent(share)
    )
}

/// Seconds by step.
pub fn seconds(summary: &Summary) -> String {
    let total = total(summary);
    let row = |(step, seconds): &(String, f64)| {
        let share = seconds / total;
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"bars\"><div class=\"unnamed\">{}\
             <span class=\"number\">{}</span></div></td></tr>\n",
            escape(step),
            duration(*seconds),
            bar("int8", share),
            percent(share)
        )
    };
    let rows: String = summary.seconds.iter().map(row).collect();
    let together = format!(
        "<tr class=\"total\"><th scope=\"row\">together</th><td class=\"number\">{}</td><td></td></tr>\n",
        duration(total)
    );
    table("", "", &["Step", "#Time", "Share of the run"], &(rows + &together))
}

fn total(summary: &Summary) -> f64 {
    summary.seconds.iter().map(|(_, seconds)| seconds).sum()
}
