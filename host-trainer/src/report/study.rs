//! A study as a page: one plot, one table.

use expression_report::plot::{Series, by_category};
use expression_report::{Column, Section, count, header, percent, table};
use maud::{Markup, html};

use crate::crossval::Spread;
use crate::study::{Method, Study};

/// Returns the page.
pub fn page(study: &Study) -> String {
    let title = "From scratch, fine-tuned, FaceNet2ExpNet";
    let header = header(&format!("Facial expression recognition, a study on {}", study.data), title, "");
    let sections = vec![
        Section::new(
            "plot",
            "Accuracy by number of training samples",
            "Float nets on the test samples: the mean over seeds; the error bars are the sample standard deviation. Per \
             seed, all methods see the same samples.",
            html! { figure.card { (plot(study)) } },
        ),
        Section::new(
            "table",
            "Figures",
            html! {
                em { "Scratch" } ": the expression net by stage two alone, with the epochs of stage one added. "
                em { "Fine-tuned" } ": the face net tuned on the same samples, which then supervises " em { "FN2EN" } "."
            },
            rows(study),
        ),
    ];
    super::document(title, header, sections)
}

fn plot(study: &Study) -> Markup {
    let sizes: Vec<usize> = study.sizes().into_iter().collect();
    let names: Vec<String> = sizes.iter().map(usize::to_string).collect();
    let line = |method: Method, class| {
        let spreads: Vec<Spread> =
            sizes.iter().map(|size| study.over_seeds(*size, method, |cell| cell.test.accuracy)).collect();
        Series {
            name: method.name(),
            class,
            values: spreads.iter().map(|spread| Some(100.0 * spread.mean)).collect(),
            deviations: spreads.iter().map(|spread| spread.deviation.map(|share| 100.0 * share)).collect(),
        }
    };
    let lines = [line(Method::Scratch, "blue"), line(Method::FineTuned, "orange"), line(Method::Fn2en, "green")];
    by_category("Accuracy by number of training samples", "accuracy (%)", "training samples", &names, &lines)
}

fn rows(study: &Study) -> Markup {
    let share = |spread: Spread| {
        let deviation = spread.deviation.map_or(String::new(), |share| format!(" \u{b1} {}", percent(share)));
        html! { td.number { (percent(spread.mean)) (deviation) } }
    };
    let rows = html! {
        @for size in study.sizes() {
            @for method in Method::ALL {
                tr {
                    td.number { (count(size as u64)) }
                    td { (method.name()) }
                    (share(study.over_seeds(size, method, |cell| cell.test.accuracy)))
                    (share(study.over_seeds(size, method, |cell| cell.test.macro_recall)))
                }
            }
        }
    };
    let columns =
        [Column::number("samples"), Column::text("method"), Column::number("accuracy"), Column::number("macro recall")];
    table("Mean and sample standard deviation over seeds", &columns, rows)
}
