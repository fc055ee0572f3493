//! The gallery of a bundle's mistakes: one page with the pictures in it, which stays where its user writes it.

use expression_core::Label;
use expression_report::{Section, count, header, percent};
use maud::html;

use super::{Answered, answers, confusion};
use crate::evaluate::Evaluation;

/// Returns the page. `wrong`: the mistakes to show, the surest first. It holds pictures of the data set.
pub fn page(evaluation: &Evaluation, wrong: &[Answered]) -> String {
    let all = evaluation.int8.samples
        - Label::ALL.iter().map(|label| confusion::answers(&evaluation.int8, *label, *label)).sum::<usize>();
    let about = format!(
        "Data: {}. {} of {} samples answered wrongly; accuracy {}. This page holds pictures of the data set: treat it as \
         you treat them.",
        evaluation.data,
        count(all as u64),
        count(evaluation.int8.samples as u64),
        percent(evaluation.int8.accuracy)
    );
    let worst = html! { div.answers.wrong { @for answered in wrong { (answers::thumbnail_of_label(answered)) } } };
    let sections = vec![
        Section::new(
            "worst",
            "Worst first",
            "The mistakes of which the int8 net is surest. Below each picture: label \u{2192} answer, and its probability.",
            worst,
        ),
        Section::new(
            "confusion",
            "Confusion matrix",
            "Each row is a label and shows how the int8 net answered its samples.",
            confusion::matrix(&evaluation.int8),
        ),
    ];
    let header = header("Mistakes of a bundle", &evaluation.bundle, about);
    super::document(&format!("{}: mistakes", evaluation.bundle), header, sections)
}
