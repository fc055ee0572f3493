//! The report of a run as one page.

use expression_core::Label;
use expression_report::plot::{Series, by_epoch};
use expression_report::{Section, count, header, percent, verdict};
use maud::{Markup, html};

use super::{Answered, Summary, answers, confusion, figures};
use crate::train::{Curve, Epoch};

/// How many of the pictures that could not be read are named.
const SKIPPED_NAMED: usize = 50;

/// Returns the page. `answered` holds right and wrong answers, `samples_png` a PNG file of training samples in rows by
/// label; either may be empty.
pub fn page(summary: &Summary, answered: &[Answered], samples_png: &[u8]) -> String {
    let about = format!(
        "Data: {}. Classes: {}. Measured on {} test samples.",
        summary.data,
        classes(summary),
        count(summary.int8.samples as u64)
    );
    let header = html! {
        (header("Facial expression recognition, report of a run", &summary.name, about))
        (parity_verdict(summary))
        (warnings(summary))
        (figures::tiles(summary))
        (adoption(summary))
    };
    let title = format!("{}: {} int8", summary.name, percent(summary.int8.accuracy));
    super::document(&title, header, sections(summary, answered, samples_png))
}

/// The labels that the net knows. Runs of before they were noted have all.
fn classes(summary: &Summary) -> String {
    match summary.labels.as_slice() {
        [] => Label::ALL.map(Label::name).join(", "),
        labels => labels.join(", "),
    }
}

/// Says whether an adapted net is better than the one that it came from.
fn adoption(summary: &Summary) -> Markup {
    let Some(adoption) = &summary.adoption else { return html! {} };
    let details = html! {
        @for (name, comparison) in [&adoption.own, &adoption.old] {
            br;
            (name) ", " (count(comparison.samples as u64)) " samples: " (comparison.sentence()) "."
        }
    };
    match adoption.verdict() {
        Ok(()) => verdict(true, &format!("\u{2713} The new bundle is {}.", adoption.praise()), details),
        Err(reason) => verdict(false, "\u{2717} Do not adopt it.", html! { (reason) "." (details) }),
    }
}

/// Labels with no or few samples.
fn warnings(summary: &Summary) -> Markup {
    html! {
        @for warning in &summary.warnings {
            p.verdict { "Warning: " (warning) "." }
        }
    }
}

/// Says whether the bundle answers as the trained net does.
fn parity_verdict(summary: &Summary) -> Markup {
    let failing: Vec<_> = summary.parity.iter().filter(|rung| !rung.holds).collect();
    if summary.parity.is_empty() {
        return verdict(false, "Parity was not checked.", "");
    }
    if failing.is_empty() {
        let bundle = summary.bundle.as_deref().unwrap_or("bundle");
        let details = html! {
            "The board\u{2019}s engine, run here on the bundle " code { (bundle) } ", gives the answers that this page shows."
        };
        return verdict(true, "\u{2713} Parity holds on every rung.", details);
    }
    let details = html! {
        @for rung in failing {
            br;
            "Rung " (rung.number) ", " (rung.what) ": " (rung.figure) "; tolerance " (rung.tolerance) "."
        }
    };
    verdict(false, "\u{2717} Parity fails: do not deploy this run.", details)
}

fn sections(summary: &Summary, answered: &[Answered], samples_png: &[u8]) -> Vec<Section> {
    let mut sections = vec![
        Section::new(
            "figures",
            "Key figures",
            "How much data, how large a net, how long a run.",
            figures::key_figures(summary),
        ),
        Section::new(
            "parity",
            "Parity",
            "The same faces go through the training library, our integer reference and the board\u{2019}s engine; each rung \
             compares two of them. Rung 4 compares processor types and is not part of a run.",
            figures::parity(&summary.parity),
        ),
        Section::new(
            "confusion",
            "Confusion matrix",
            "Each row is a label and shows how the int8 net answered its test samples. Blue, on the diagonal, is right; \
             orange is wrong. The stronger the colour, the more samples; the percentages of a row add up to 100.",
            confusion::matrix(&summary.int8),
        ),
        Section::new(
            "recall",
            "Recall by label, float against int8",
            "Recall is the share of a label\u{2019}s test samples that got the right answer; a label far below the others is \
             the weakness of this net. Where the error bars are wide, the test part has few samples of the label.",
            figures::recall(&summary.float, &summary.int8),
        ),
        Section::new(
            "robustness",
            "Robustness",
            "The same faces, blurred, darkened, compressed or moved; lengths are in pixels of the aligned face. The shares of \
             other labels and of lost ones are of the faces that are confident untouched. A face that is not sure enough gets \
             no label on the board.",
            figures::robustness(summary.robustness.as_ref()),
        ),
        Section::new(
            "classes",
            "Precision, recall and F1",
            "Precision is the share of a label\u{2019}s answers that are right, recall the share of its samples that were found, \
             and F1 their harmonic mean.",
            figures::classes(&summary.int8),
        ),
        Section::new(
            "curves",
            "Learning curves",
            "An epoch is one pass over the training samples. If the loss on held-out samples rises while the training loss \
             still falls, the net is overfitting.",
            curves(&summary.curves),
        ),
        Section::new("seconds", "Time by step", "How long each step of the run took.", figures::seconds(summary)),
    ];
    if !samples_png.is_empty() {
        let explanation = "A few training samples of each label, as they came from the data set.";
        sections.push(Section::new("samples", "Training samples", explanation, answers::contact_sheet(samples_png)));
    }
    sections.extend([
        Section::new(
            "wrong",
            "Wrong answers",
            "Examples of mistakes by the label that was expected, the most confident first. Below each picture: the \
             int8 net\u{2019}s answer and the probability that it gave.",
            answers::by_label(answered, &summary.int8, false),
        ),
        Section::new(
            "right",
            "Right answers",
            "Examples of right answers by label, the most confident first, with the probability that the int8 net gave.",
            answers::by_label(answered, &summary.int8, true),
        ),
        Section::new(
            "configuration",
            "Configuration",
            "Every setting of the run; saved as a TOML file it is a preset.",
            super::configuration(&summary.config),
        ),
    ]);
    if !summary.skipped.is_empty() {
        let explanation = "These pictures could not be read and were left out.";
        sections.push(Section::new("skipped", "Skipped pictures", explanation, skipped(&summary.skipped)));
    }
    sections.push(Section::new(
        "terms",
        "Provenance and responsible use",
        "Where the pictures come from, and what to consider before the net is used.",
        terms(summary),
    ));
    sections
}

/// One figure per stage, with the values of its last epoch.
fn curves(curves: &[(String, Curve)]) -> Markup {
    html! {
        @if curves.is_empty() {
            p { "No stage was trained." }
        } @else {
            div.stages { @for (stage, curve) in curves { (self::curve(stage, curve)) } }
        }
    }
}

fn curve(stage: &str, curve: &Curve) -> Markup {
    let Some(last) = curve.last() else {
        return html! { figure.card { h3 { (stage) } p { "No epoch was trained." } } };
    };
    let series = |name, class, value: &dyn Fn(&Epoch) -> Option<f64>| Series {
        name,
        class,
        values: curve.iter().map(value).collect(),
        deviations: Vec::new(),
    };
    let losses = [
        series("training", "blue", &|epoch| Some(epoch.loss)),
        series("held out", "orange", &|epoch| Some(epoch.held_out_loss)),
    ];
    let has_accuracy = curve.iter().any(|epoch| epoch.held_out_accuracy.is_some());
    let accuracy = [series("held out", "green", &|epoch| epoch.held_out_accuracy.map(|share| 100.0 * share))];
    html! {
        figure.card {
            h3 { (stage) }
            div.plots {
                (by_epoch(&format!("{stage}: loss by epoch"), "loss (mean over samples)", &losses))
                @if has_accuracy { (by_epoch(&format!("{stage}: accuracy by epoch"), "accuracy (%)", &accuracy)) }
            }
            figcaption {
                "Epoch " (curve.len()) ": loss " (format_args!("{:.4}", last.loss))
                ", held out " (format_args!("{:.4}", last.held_out_loss))
                @if has_accuracy { ", accuracy " (percent(last.held_out_accuracy.unwrap_or(f64::NAN))) }
                "; " (format_args!("{:.0}", last.samples_per_second)) " samples per second."
            }
        }
    }
}

fn skipped(names: &[String]) -> Markup {
    html! {
        ul.names { @for name in names.iter().take(SKIPPED_NAMED) { li { (name) } } }
        @if names.len() > SKIPPED_NAMED { p.quiet { "and " (names.len() - SKIPPED_NAMED) " more" } }
    }
}

fn terms(summary: &Summary) -> Markup {
    html! {
        p {
            strong { "Data:" } " " (summary.data) "." br;
            strong { "Source and terms:" } " " (summary.source.trim_end_matches('.')) "."
        }
        p { "The bundle\u{2019}s " code { "MODEL_CARD.md" } " names the face net that taught this net, and its terms." }
        p {
            "The net classifies what a face shows, which is not what a person feels. Ask for consent, store no pictures \
             without need, and follow the law: the EU restricts inferring the emotions of people at work and in education."
        }
    }
}

#[cfg(test)]
#[path = "html_tests.rs"]
pub(crate) mod tests;
