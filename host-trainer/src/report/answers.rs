//! Pictures: what the net learned from, and what it answered on others.

use expression_core::Label;
use expression_report::count;
use maud::{Markup, html};

use super::Answered;
use super::confusion;
use super::picture::data_uri;
use crate::evaluate::Metrics;

/// Returns the contact sheet of training samples with the name of each of its rows.
pub fn contact_sheet(png: &[u8]) -> Markup {
    html! {
        figure.card.sheet {
            ol { @for label in Label::ALL { li { (label.name()) } } }
            img alt="Training samples, one row per label" src=(data_uri(png));
        }
    }
}

/// Returns the right or the wrong answers by label, those of the highest probability first: a confident mistake teaches
/// more about a net than a narrow one.
pub fn by_label(answered: &[Answered], metrics: &Metrics, right: bool) -> Markup {
    let (class, kind) = if right { ("right", "right answers") } else { ("wrong", "wrong answers") };
    let by_label = Label::ALL.map(|label| (label, of_label(answered, label, right)));
    if by_label.iter().all(|(_, shown)| shown.is_empty()) {
        return html! { p { "There are no " (kind) "." } };
    }
    html! {
        @for (label, shown) in by_label.iter().filter(|(_, shown)| !shown.is_empty()) {
            @let hits = metrics.confusion[*label as usize][*label as usize];
            @let number = if right { hits } else { confusion::samples(metrics, *label) - hits };
            h3 { (label.name()) " " span.quiet { (shown.len()) " of " (count(number as u64)) " " (kind) } }
            div class={ "answers " (class) } { @for answered in shown { (thumbnail(answered)) } }
        }
    }
}

fn of_label(answered: &[Answered], label: Label, right: bool) -> Vec<&Answered> {
    let is_of_kind =
        |answered: &&Answered| answered.label == label.name() && (answered.answer == answered.label) == right;
    let mut shown: Vec<&Answered> = answered.iter().filter(is_of_kind).collect();
    shown.sort_by(|one, other| other.probability.total_cmp(&one.probability));
    shown
}

fn thumbnail(answered: &Answered) -> Markup {
    let Answered { label, answer, .. } = answered;
    figure(answered, html! { @if label != answer { "\u{2192}\u{a0}" } (answer) })
}

/// A picture with its label, the answer and its probability.
pub fn thumbnail_of_label(answered: &Answered) -> Markup {
    let Answered { label, answer, .. } = answered;
    figure(answered, html! { (label) br; "\u{2192}\u{a0}" (answer) })
}

/// A picture with a caption, under which is the probability of the answer.
fn figure(answered: &Answered, caption: Markup) -> Markup {
    let Answered { name, png, label, answer, probability } = answered;
    let percent = 100.0 * if probability.is_finite() { *probability } else { 0.0 };
    html! {
        figure title=(name) {
            img alt={ (name) ": label " (label) ", answer " (answer) } width="64" height="64" src=(data_uri(png));
            figcaption {
                (caption) br;
                span.quiet { (format_args!("{percent:.0}\u{a0}%")) }
            }
        }
    }
}
