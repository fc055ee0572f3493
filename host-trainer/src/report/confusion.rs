//! The confusion matrix as a heat map, and what it says in words.

use std::fmt::Write;

use expression_core::Label;

use super::markup::{count, percent, table};
use crate::evaluate::Metrics;

/// Size of a cell in the units of the drawing.
const WIDTH: usize = 60;
const HEIGHT: usize = 42;
/// Where the cells begin.
const LEFT: usize = 96;
const TOP: usize = 44;
/// How many of the commonest mistakes are told in words.
const TOLD: usize = 3;

/// The heat map, the commonest mistakes, and the same counts as a table.
pub fn matrix(metrics: &Metrics) -> String {
    format!(
        "<figure class=\"card\"><div class=\"scroll\">{}</div><figcaption>{}</figcaption></figure>\n\
         <details><summary>The counts as a table</summary>{}</details>",
        heat_map(metrics),
        mistakes(metrics),
        counts(metrics)
    )
}

/// How many test samples have a label.
pub fn samples(metrics: &Metrics, label: Label) -> usize {
    metrics.confusion.get(label as usize).map_or(0, |row| row.iter().sum())
}

/// Samples with a label to which an answer was given.
fn answers(metrics: &Metrics, label: Label, answer: Label) -> usize {
    metrics.confusion.get(label as usize).and_then(|row| row.get(answer as usize)).copied().unwrap_or(0)
}

fn heat_map(metrics: &Metrics) -> String {
    let side = Label::COUNT;
    let (width, height) = (LEFT + side * WIDTH + 2, TOP + side * HEIGHT + 2);
    let title = "Confusion matrix of the int8 net";
    let mut svg = format!(
        "<svg class=\"heat\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\n\
         <text class=\"quiet middle\" x=\"{}\" y=\"12\">answer of the net</text>\
         <text class=\"quiet\" x=\"0\" y=\"{}\">label</text>\n",
        LEFT + side * WIDTH / 2,
        TOP - 10,
    );
    for label in Label::ALL {
        let (column, row) = (LEFT + label as usize * WIDTH + WIDTH / 2, TOP + label as usize * HEIGHT);
        let _ = write!(svg, "<text class=\"middle\" x=\"{column}\" y=\"{}\">{}</text>", TOP - 10, label.name());
        let _ = write!(svg, "<text x=\"0\" y=\"{}\">{}</text>", row + 19, label.name());
        let of_label = samples(metrics, label);
        let _ = writeln!(svg, "<text class=\"small\" x=\"0\" y=\"{}\">{}</text>", row + 33, count(of_label as u64));
        if of_label == 0 {
            let _ =
                writeln!(svg, "<text class=\"quiet\" x=\"{}\" y=\"{}\">no test samples</text>", LEFT + 14, row + 26);
        }
        for answer in Label::ALL.into_iter().filter(|_| of_label > 0) {
            cell(&mut svg, (label, answer), answers(metrics, label, answer), of_label);
        }
    }
    svg + "</svg>\n"
}

fn cell(svg: &mut String, (label, answer): (Label, Label), number: usize, of_label: usize) {
    let share = number as f64 / of_label as f64;
    let (x, y) = (LEFT + answer as usize * WIDTH, TOP + label as usize * HEIGHT);
    let class = if label == answer { "right" } else { "wrong" };
    // The root lets rare mistakes be seen beside a strong diagonal.
    let opacity = share.sqrt();
    let _ = write!(
        svg,
        "<g class=\"{class}\"><title>{}, answered as {}: {number} of {of_label} ({})</title>\
         <rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"3\" class=\"cell\"/>\
         <rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"3\" fill-opacity=\"{opacity:.3}\"/>",
        label.name(),
        answer.name(),
        percent(share),
        WIDTH - 2,
        HEIGHT - 2,
        WIDTH - 2,
        HEIGHT - 2,
    );
    if number > 0 {
        let digits = usize::from(share < 0.0995);
        let strong = if opacity > 0.8 { " on" } else { "" };
        let middle = x + WIDTH / 2 - 1;
        let _ = write!(
            svg,
            "<text class=\"middle share{strong}\" x=\"{middle}\" y=\"{}\">{:.digits$}\u{a0}%</text>\
             <text class=\"middle small{strong}\" x=\"{middle}\" y=\"{}\">{number}</text>",
            y + 18,
            100.0 * share,
            y + 33,
        );
    }
    *svg += "</g>\n";
}

/// The commonest mistakes in words.
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
        .take(TOLD)
        .map(|(label, answer, number)| {
            let of_label = samples(metrics, *label);
            let share = percent(*number as f64 / of_label as f64);
            format!("{} taken for {} ({number} of {of_label}, {share})", label.name(), answer.name())
        })
        .collect();
    match told.is_empty() {
        true => "There are no mistakes.".into(),
        false => format!("Commonest mistakes: {}.", told.join("; ")),
    }
}

fn counts(metrics: &Metrics) -> String {
    let names = Label::ALL.map(|label| format!("#{}", label.name()));
    let head: Vec<&str> = std::iter::once("label").chain(names.iter().map(String::as_str)).collect();
    let mut rows = String::new();
    for label in Label::ALL {
        let _ = write!(rows, "<tr><th scope=\"row\">{}</th>", label.name());
        for answer in Label::ALL {
            let _ = write!(rows, "<td class=\"number\">{}</td>", answers(metrics, label, answer));
        }
        rows += "</tr>\n";
    }
    table("", "Test samples by label (rows) and answer of the int8 net (columns)", &head, &rows)
}
