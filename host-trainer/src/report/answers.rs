//! Pictures: what the net learnt from, and what it answered on others.

use std::fmt::Write;

use expression_core::Label;

use super::Answered;
use super::confusion;
use super::markup::{count, data_uri, escape};
use crate::evaluate::Metrics;

/// The contact sheet of training samples with the name of each of its rows.
pub fn contact_sheet(png: &[u8]) -> String {
    let names: String = Label::ALL.iter().map(|label| format!("<li>{}</li>", label.name())).collect();
    format!(
        "<figure class=\"card sheet\"><ol>{names}</ol><img alt=\"Training samples, one row for each label\" src=\"{}\"></figure>",
        data_uri(png)
    )
}

/// The answers of one kind, right or wrong, by label.
pub fn by_label(answered: &[Answered], metrics: &Metrics, right: bool) -> String {
    let mut html = String::new();
    for label in Label::ALL {
        let shown = answered.iter().filter(|a| a.label == label.name() && (a.answer == a.label) == right);
        let cells: Vec<String> = shown.map(thumbnail).collect();
        if cells.is_empty() {
            continue;
        }
        let of_label = confusion::samples(metrics, label);
        let hits = metrics.confusion[label as usize][label as usize];
        let number = if right { hits } else { of_label - hits };
        let _ = write!(
            html,
            "<h3>{} <span class=\"quiet\">{} of {} {}</span></h3>\n<div class=\"answers {}\">{}</div>\n",
            label.name(),
            cells.len(),
            count(number as u64),
            if right { "right answers" } else { "wrong answers" },
            if right { "right" } else { "wrong" },
            cells.concat()
        );
    }
    match html.is_empty() {
        true if right => "<p>There are no right answers.</p>".into(),
        true => "<p>There are no wrong answers.</p>".into(),
        false => html,
    }
}

fn thumbnail(answered: &Answered) -> String {
    let Answered { name, png, label, answer, probability } = answered;
    let (name, label, answer) = (escape(name), escape(label), escape(answer));
    let percent = 100.0 * if probability.is_finite() { *probability } else { 0.0 };
    let sign = if label == answer { "" } else { "\u{2192}\u{a0}" };
    format!(
        "<figure title=\"{name}\"><img alt=\"{name}: label {label}, answer {answer}\" width=\"64\" height=\"64\" src=\"{}\">\
         <figcaption>{sign}{answer}<br><span class=\"quiet\">{percent:.0}\u{a0}%</span></figcaption></figure>\n",
        data_uri(png)
    )
}
