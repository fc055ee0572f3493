//! The report as one self-contained HTML page: no script, nothing to load.

use super::markup::{Section, count, document, escape, percent};
use super::plot::{Line, by_epoch};
use super::{Answered, Summary, answers, confusion, figures};
use crate::train::{Curve, Epoch};

/// Of the pictures that could not be read, so many are named.
const SKIPPED_NAMED: usize = 50;

/// The page. `answered` is the sheet of right and wrong answers, `samples_png` a PNG file of training samples in rows by
/// label; either may be empty.
pub fn page(summary: &Summary, answered: &[Answered], samples_png: &[u8]) -> String {
    let [name, data] = [&summary.name, &summary.data].map(|text| escape(text));
    let header = format!(
        "<p class=\"quiet\">Facial expression recognition, report of a run</p>\n<h1>{name}</h1>\n\
         <p class=\"quiet\">Data: {data}. Classes: eight expressions. Measured on {} test samples.</p>\n{}{}{}",
        count(summary.int8.samples as u64),
        verdict(summary),
        warnings(summary),
        figures::tiles(summary),
    );
    let title = format!("{name}: {} int8", percent(summary.int8.accuracy));
    document(&title, &header, &sections(summary, answered, samples_png))
}

/// Labels with no or few samples.
fn warnings(summary: &Summary) -> String {
    summary.warnings.iter().map(|warning| format!("<p class=\"verdict\">Warning: {}.</p>\n", escape(warning))).collect()
}

/// Whether the bundle answers as the trained net does.
fn verdict(summary: &Summary) -> String {
    let failing: Vec<_> = summary.parity.iter().filter(|rung| !rung.holds).collect();
    if summary.parity.is_empty() {
        return "<p class=\"verdict bad\"><strong>Parity was not checked.</strong></p>\n".into();
    }
    if failing.is_empty() {
        return format!(
            "<p class=\"verdict good\"><strong>\u{2713} Parity holds on every rung.</strong> \
             The board\u{2019}s engine, run here on the bundle <code>{}</code>, gives the answers that this page shows.</p>\n",
            escape(summary.bundle.as_deref().unwrap_or("bundle"))
        );
    }
    let told: String = failing
        .iter()
        .map(|rung| {
            let [what, figure, tolerance] = [&rung.what, &rung.figure, &rung.tolerance].map(|text| escape(text));
            format!("<br>Rung {}, {what}: {figure}; tolerance {tolerance}.", rung.number)
        })
        .collect();
    format!("<p class=\"verdict bad\"><strong>\u{2717} Parity fails: do not deploy this run.</strong>{told}</p>\n")
}

fn sections(summary: &Summary, answered: &[Answered], samples_png: &[u8]) -> Vec<Section> {
    let section = |id, title, explanation: &str, body| Section { id, title, explanation: explanation.to_owned(), body };
    let mut sections = vec![
        section(
            "figures",
            "Key figures",
            "How much data, how large a net, how long a run.",
            figures::key_figures(summary),
        ),
        section(
            "parity",
            "Parity",
            "The same faces go through the training library, our integer reference and the board\u{2019}s engine; each rung \
             compares two of them. Rung 4 compares kinds of processors and is no part of a run.",
            figures::parity(&summary.parity),
        ),
        section(
            "confusion",
            "Confusion matrix",
            "Each row is a label and shows how its test samples were answered by the int8 net: blue on the diagonal is \
             right, orange is wrong, a stronger colour is more often, and the percentages of a row add up to 100.",
            confusion::matrix(&summary.int8),
        ),
        section(
            "recall",
            "Recall by label, float against int8",
            "Recall is the share of a label\u{2019}s test samples that got the right answer; a label far below the others is \
             the weakness of this net.",
            figures::recall(&summary.float, &summary.int8),
        ),
        section(
            "curves",
            "Learning curves",
            "An epoch is one pass over the training samples; where the loss on held-out samples rises while the training \
             loss still falls, the net learns by heart.",
            curves(&summary.curves),
        ),
        section("seconds", "Time by step", "Where the run\u{2019}s time went.", figures::seconds(summary)),
    ];
    if !samples_png.is_empty() {
        let explanation = "A few training samples of each label, as they came from the data set.";
        sections.push(section("samples", "Training samples", explanation, answers::contact_sheet(samples_png)));
    }
    sections.extend([
        section(
            "wrong",
            "Wrong answers",
            "The first mistakes on the test samples, by the label that was expected; below each picture stand the int8 \
             net\u{2019}s answer and the probability it gave to it.",
            answers::by_label(answered, &summary.int8, false),
        ),
        section(
            "right",
            "Right answers",
            "The first right answers by label, with the probability that the int8 net gave.",
            answers::by_label(answered, &summary.int8, true),
        ),
        section(
            "configuration",
            "Configuration",
            "Every setting of the run; saved as a TOML file it is a preset.",
            format!("<pre class=\"card\">{}</pre>", escape(&summary.config)),
        ),
    ]);
    if !summary.skipped.is_empty() {
        let explanation = "These pictures could not be read and took no part.";
        sections.push(section("skipped", "Skipped pictures", explanation, skipped(&summary.skipped)));
    }
    sections.push(section(
        "terms",
        "Provenance and responsible use",
        "Where the pictures come from, and what to mind when the net is used.",
        terms(summary),
    ));
    sections
}

/// One figure a stage, with what its last epoch gave.
fn curves(curves: &[(String, Curve)]) -> String {
    let figures: String = curves.iter().map(|(stage, curve)| self::curve(stage, curve)).collect();
    if figures.is_empty() {
        "<p>No stage was trained.</p>".into()
    } else {
        format!("<div class=\"stages\">{figures}</div>")
    }
}

fn curve(stage: &str, curve: &Curve) -> String {
    let of = |value: &dyn Fn(&Epoch) -> Option<f64>| curve.iter().map(value).collect::<Vec<_>>();
    let stage_name = escape(stage);
    let Some(last) = curve.last() else {
        return format!("<figure class=\"card\"><h3>{stage_name}</h3><p>No epoch was trained.</p></figure>\n");
    };
    let losses = [
        Line { name: "training", class: "train", values: of(&|epoch| Some(epoch.loss)), deviations: Vec::new() },
        Line {
            name: "held out",
            class: "held-out",
            values: of(&|epoch| Some(epoch.held_out_loss)),
            deviations: Vec::new(),
        },
    ];
    let mut plots = by_epoch(&format!("{stage}: loss by epoch"), "loss (mean of samples)", &losses);
    let mut told = format!("loss {:.4}, held out {:.4}", last.loss, last.held_out_loss);
    if curve.iter().any(|epoch| epoch.held_out_accuracy.is_some()) {
        let values = of(&|epoch| epoch.held_out_accuracy.map(|share| 100.0 * share));
        let line = Line { name: "held out", class: "accuracy", values, deviations: Vec::new() };
        plots += &by_epoch(&format!("{stage}: accuracy by epoch"), "accuracy (%)", &[line]);
        told += &format!(", accuracy {}", percent(last.held_out_accuracy.unwrap_or(f64::NAN)));
    }
    format!(
        "<figure class=\"card\"><h3>{stage_name}</h3><div class=\"plots\">{plots}</div>\
         <figcaption>Epoch {}: {told}; {:.0} samples a second.</figcaption></figure>\n",
        curve.len(),
        last.samples_per_second
    )
}

fn skipped(names: &[String]) -> String {
    let named: String = names.iter().take(SKIPPED_NAMED).map(|name| format!("<li>{}</li>\n", escape(name))).collect();
    let more = match names.len().saturating_sub(SKIPPED_NAMED) {
        0 => String::new(),
        more => format!("<p class=\"quiet\">and {more} more</p>"),
    };
    format!("<ul class=\"names\">{named}</ul>{more}")
}

fn terms(summary: &Summary) -> String {
    format!(
        "<p><strong>Data:</strong> {}.<br><strong>Source and terms:</strong> {}.</p>\n\
         <p>The bundle\u{2019}s <code>MODEL_CARD.md</code> says which face net taught this net and under which terms.</p>\n\
         <p>The net guesses what a face shows, which is not what a person feels. Ask for consent, store no pictures \
         without need, and mind the law: the EU restricts inferring the emotions of people at work and in education.</p>",
        escape(&summary.data),
        escape(summary.source.trim_end_matches('.'))
    )
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
