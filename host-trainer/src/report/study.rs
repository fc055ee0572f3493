//! A study as a page: one plot, one table.

use super::markup::{Section, count, document, escape, percent, table};
use super::plot::{Line, by_category};
use crate::crossval::Spread;
use crate::study::{Method, Study};

/// The page: one file, no script, nothing to load.
pub fn page(study: &Study) -> String {
    let title = "From scratch, fine-tuned, FaceNet2ExpNet";
    let header = format!(
        "<p class=\"quiet\">Facial expression recognition, a study on {}</p>\n<h1>{title}</h1>\n",
        escape(&study.data)
    );
    let sections = [
        Section {
            id: "plot",
            title: "Accuracy by number of training samples",
            explanation:
                "Float nets on the test samples; mean over seeds, the bars are the sample deviation. With one \
                          seed, all methods see the same samples."
                    .into(),
            body: format!("<figure class=\"card\">{}</figure>\n", plot(study)),
        },
        Section {
            id: "table",
            title: "Figures",
            explanation:
                "<em>Scratch</em>: the expression net by stage two alone, with the passes of stage one added. \
                          <em>Fine-tuned</em>: the face net tuned on the same samples, which then supervises \
                          <em>FN2EN</em>."
                    .into(),
            body: rows(study),
        },
    ];
    document(title, &header, &sections)
}

fn plot(study: &Study) -> String {
    let sizes: Vec<usize> = study.sizes().into_iter().collect();
    let names: Vec<String> = sizes.iter().map(usize::to_string).collect();
    let line = |method: Method, class| {
        let spreads: Vec<Spread> =
            sizes.iter().map(|size| study.over_seeds(*size, method, |cell| cell.test.accuracy)).collect();
        Line {
            name: method.name(),
            class,
            values: spreads.iter().map(|spread| Some(100.0 * spread.mean)).collect(),
            deviations: spreads.iter().map(|spread| spread.deviation.map(|share| 100.0 * share)).collect(),
        }
    };
    let lines = [line(Method::Scratch, "train"), line(Method::FineTuned, "held-out"), line(Method::Fn2en, "accuracy")];
    by_category("accuracy by number of training samples", "accuracy (%)", "training samples", &names, &lines)
}

fn rows(study: &Study) -> String {
    let share = |spread: Spread| {
        let deviation = spread.deviation.map_or(String::new(), |share| format!(" \u{b1} {}", percent(share)));
        format!("<td class=\"number\">{}{deviation}</td>", percent(spread.mean))
    };
    let mut rows = String::new();
    for size in study.sizes() {
        for method in Method::ALL {
            let accuracy = share(study.over_seeds(size, method, |cell| cell.test.accuracy));
            let recall = share(study.over_seeds(size, method, |cell| cell.test.macro_recall));
            let (size, name) = (count(size as u64), method.name());
            rows += &format!("<tr><td class=\"number\">{size}</td><td>{name}</td>{accuracy}{recall}</tr>\n");
        }
    }
    table(
        "figures",
        "mean and sample deviation over seeds",
        &["#samples", "method", "#accuracy", "#macro recall"],
        &rows,
    )
}
