//! The confusion matrix as a heat map, and what it says in words.

use expression_core::Label;
use expression_report::{Column, count, percent, table};
use maud::{Markup, html};

use crate::evaluate::Metrics;

/// Size of a cell in the units of the drawing.
const WIDTH: usize = 60;
const HEIGHT: usize = 42;
/// Where the cells begin.
const LEFT: usize = 96;
const TOP: usize = 44;
/// How many of the most frequent mistakes are told in words.
const MISTAKES: usize = 3;
/// The opacity of a cell from which on white text reads better than the page's own.
const DARK_CELL: f64 = 0.75;

/// Returns the heat map, the most frequent mistakes, and the same counts as a table.
pub fn matrix(metrics: &Metrics) -> Markup {
    let title = "Confusion matrix of the int8 net";
    html! {
        figure.card {
            div.scroll tabindex="0" role="group" aria-label=(title) { (heat_map(metrics, title)) }
            figcaption { (mistakes(metrics)) }
        }
        details { summary { "The counts as a table" } (counts(metrics)) }
    }
}

/// Returns how many test samples have a label.
pub fn samples(metrics: &Metrics, label: Label) -> usize {
    metrics.confusion.get(label as usize).map_or(0, |row| row.iter().sum())
}

/// Returns how many samples of a label got an answer.
pub fn answers(metrics: &Metrics, label: Label, answer: Label) -> usize {
    metrics.confusion.get(label as usize).and_then(|row| row.get(answer as usize)).copied().unwrap_or(0)
}

fn heat_map(metrics: &Metrics, title: &str) -> Markup {
    let side = Label::COUNT;
    let (width, height) = (LEFT + side * WIDTH + 2, TOP + side * HEIGHT + 2);
    html! {
        svg.heat viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(title) {
            text.quiet.middle x=(LEFT + side * WIDTH / 2) y="12" { "answer of the net" }
            text.quiet x="0" y=(TOP - 10) { "label" }
            @for label in Label::ALL {
                @let (column, row) = (LEFT + label as usize * WIDTH + WIDTH / 2, TOP + label as usize * HEIGHT);
                @let of_label = samples(metrics, label);
                text.middle x=(column) y=(TOP - 10) { (label.name()) }
                text x="0" y=(row + 19) { (label.name()) }
                text.small x="0" y=(row + 33) { (count(of_label as u64)) }
                @if of_label == 0 {
                    text.quiet x=(LEFT + 14) y=(row + 26) { "no test samples" }
                } @else {
                    @for answer in Label::ALL { (cell(label, answer, answers(metrics, label, answer), of_label)) }
                }
            }
        }
    }
}

fn cell(label: Label, answer: Label, number: usize, of_label: usize) -> Markup {
    let share = number as f64 / of_label as f64;
    let (x, y) = (LEFT + answer as usize * WIDTH, TOP + label as usize * HEIGHT);
    let (width, height, middle) = (WIDTH - 2, HEIGHT - 2, x + WIDTH / 2 - 1);
    // The root lets rare mistakes be seen beside a strong diagonal.
    let opacity = share.sqrt();
    let on = opacity > DARK_CELL;
    let digits = usize::from(share < 0.0995);
    html! {
        g class=(if label == answer { "right" } else { "wrong" }) {
            title { (label.name()) ", answered as " (answer.name()) ": " (number) " of " (of_label) " (" (percent(share)) ")" }
            rect.cell x=(x) y=(y) width=(width) height=(height) rx="3" {}
            rect x=(x) y=(y) width=(width) height=(height) rx="3" fill-opacity=(format_args!("{opacity:.3}")) {}
            @if number > 0 {
                text.middle.share.on[on] x=(middle) y=(y + 18) { (format_args!("{:.digits$}\u{a0}%", 100.0 * share)) }
                text.middle.small.on[on] x=(middle) y=(y + 33) { (number) }
            }
        }
    }
}

/// Returns the most frequent mistakes in words.
fn mistakes(metrics: &Metrics) -> String {
    let pairs = Label::ALL.into_iter().flat_map(|label| Label::ALL.map(|answer| (label, answer)));
    let mut wrong: Vec<(Label, Label, usize)> = pairs
        .filter(|(label, answer)| label != answer)
        .map(|(label, answer)| (label, answer, answers(metrics, label, answer)))
        .filter(|(.., number)| *number > 0)
        .collect();
    wrong.sort_by_key(|(.., number)| std::cmp::Reverse(*number));
    let told: Vec<String> = wrong
        .iter()
        .take(MISTAKES)
        .map(|(label, answer, number)| {
            let of_label = samples(metrics, *label);
            let share = percent(*number as f64 / of_label as f64);
            format!("{} taken for {} ({number} of {of_label}, {share})", label.name(), answer.name())
        })
        .collect();
    if told.is_empty() {
        "There are no mistakes.".into()
    } else {
        format!("Most frequent mistakes: {}.", told.join("; "))
    }
}

fn counts(metrics: &Metrics) -> Markup {
    let names = Label::ALL.iter().map(|label| Column::number(label.name()));
    let columns: Vec<Column> = std::iter::once(Column::text("label")).chain(names).collect();
    let rows = html! {
        @for label in Label::ALL {
            tr {
                th scope="row" { (label.name()) }
                @for answer in Label::ALL { td.number { (answers(metrics, label, answer)) } }
            }
        }
    };
    table("Test samples by label (rows) and answer of the int8 net (columns)", &columns, rows)
}
