//! Tests of the page.

use expression_core::Label;

use super::*;
use crate::evaluate::Metrics;
use crate::parity::Rung;

/// Eight samples of each label but contempt; one of fear is taken for surprise.
fn metrics() -> Metrics {
    let mut confusion = vec![vec![0; Label::COUNT]; Label::COUNT];
    for (index, row) in confusion.iter_mut().enumerate().take(7) {
        row[index] = 8;
    }
    confusion[Label::Fear as usize][Label::Fear as usize] = 7;
    confusion[Label::Fear as usize][Label::Surprise as usize] = 1;
    let mut recall = vec![Some(1.0); 7];
    recall[Label::Fear as usize] = Some(0.875);
    recall.push(None);
    Metrics { samples: 56, accuracy: 55.0 / 56.0, accuracy_majority: 1.0, macro_recall: 0.982, recall, confusion }
}

fn summary() -> Summary {
    let epoch = |loss: f64, held_out_accuracy| Epoch {
        loss,
        held_out_loss: loss,
        held_out_accuracy,
        samples_per_second: 812.0,
    };
    let rung = |number, holds| Rung {
        number,
        what: "a & b".into(),
        figure: format!("figure {number}"),
        tolerance: "0 LSB".into(),
        holds,
        accepted: false,
    };
    Summary {
        name: "a run".into(),
        warnings: vec!["no samples of <contempt>".into()],
        labels: Vec::new(),
        data: "folder:pictures".into(),
        source: "drawn here".into(),
        samples: [336, 64, 56],
        skipped: Vec::new(),
        seed: 7,
        device: "Cpu".into(),
        config: "[net]\nsize = 48\n".into(),
        multiply_accumulates: 66_700_000,
        parameters: 1_410_000,
        curves: vec![
            ("stage one".into(), vec![epoch(0.9, None), epoch(0.7, None)]),
            ("stage two".into(), vec![epoch(2.1, Some(0.25)), epoch(0.4, Some(0.913))]),
        ],
        float: metrics(),
        int8: metrics(),
        agreement: 0.9871,
        parity: vec![rung(1, true), rung(2, true)],
        seconds: vec![("data".into(), 5.0), ("stage two".into(), 256.0)],
        peak_memory_bytes: Some(3 << 30),
        int8_bytes: 384_194,
        adoption: None,
        bundle: Some("runs/a/bundle".into()),
    }
}

fn answer(label: &'static str, answer: &'static str, name: &str) -> Answered {
    Answered { name: name.into(), png: b"PNG".to_vec(), label, answer, probability: 0.87 }
}

#[test]
fn the_page_holds_the_figures() {
    let answered = [answer("fear", "surprise", "1.png"), answer("fear", "fear", "2.png")];
    let page = page(&summary(), &answered, b"PNG");
    for text in [
        "98.2\u{a0}%", // accuracy
        "98.7\u{a0}%", // agreement
        "Parity holds on every rung",
        "figure 2",
        "fear, answered as surprise: 1 of 8 (12.5\u{a0}%)",
        "fear taken for surprise (1 of 8, 12.5\u{a0}%)",
        "absent: no test sample has this label",
        "accuracy 91.3\u{a0}%", // the last epoch
        "4\u{a0}min 21\u{a0}s", // the run
        "3.00\u{a0}GiB",
        "66.70 million",
        "size = 48",
        "1 of 1 wrong answers",
        "1.png: label fear, answer surprise",
        "data:image/png;base64,UE5H",
        "consent",
        "Warning: no samples of &lt;contempt&gt;.",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("Skipped pictures"));
}

#[test]
fn the_page_names_the_classes_that_the_net_has() {
    let fewer = Summary { labels: vec!["neutral".into(), "happiness".into()], ..summary() };
    assert!(page(&fewer, &[], b"").contains("Classes: neutral, happiness. Measured"));
    assert!(page(&summary(), &[], b"").contains("fear, contempt. Measured"));
}

#[test]
fn the_most_confident_mistakes_come_first() {
    let with = |probability, name: &str| Answered { probability, ..answer("fear", "surprise", name) };
    let page = page(&summary(), &[with(0.4, "1.png"), with(0.99, "2.png"), with(0.7, "3.png")], &[]);
    let places = ["2.png:", "3.png:", "1.png:"].map(|name| page.find(name).unwrap());
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn figures_of_few_samples_have_error_bars() {
    let page = page(&summary(), &[], &[]);
    // 55 of 56, and 7 of 8: Wilson's intervals.
    assert!(page.contains("95 % interval 90.6\u{a0}% to 99.7\u{a0}%"));
    assert!(page.contains("95 % interval: 52.9\u{a0}% to 97.8\u{a0}%"));
}

#[test]
fn a_failing_rung_is_the_headline() {
    let mut summary = summary();
    summary.parity[1].holds = false;
    let page = page(&summary, &[], &[]);
    let header = page.split("<nav").next().unwrap();
    assert!(header.contains("Parity fails") && header.contains("Rung 2, a &amp; b: figure 2; tolerance 0 LSB."));
    assert!(header.contains("1 of 2") && !page.contains("Parity holds"));
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "<script>alert('x')</script>&\"";
    let mut summary = summary();
    for text in [
        &mut summary.name,
        &mut summary.data,
        &mut summary.source,
        &mut summary.device,
        &mut summary.config,
        summary.bundle.as_mut().unwrap(),
        &mut summary.curves[0].0,
        &mut summary.seconds[0].0,
    ] {
        *text = hostile.into();
    }
    let rung = &mut summary.parity[0];
    (rung.what, rung.figure, rung.tolerance) = (hostile.into(), hostile.into(), hostile.into());
    summary.skipped = vec![hostile.into(); SKIPPED_NAMED + 3];
    let answered = [answer("fear", "fear", hostile)];
    for holds in [true, false] {
        summary.parity[0].holds = holds;
        let page = page(&summary, &answered, b"PNG");
        assert!(!page.contains("<script") && !page.contains("&\"<") && page.contains("&lt;script&gt;"));
        assert!(page.contains("and 3 more"));
    }
}

#[test]
fn nothing_is_loaded_from_outside() {
    let page = page(&summary(), &[answer("fear", "surprise", "1.png")], b"PNG");
    for reference in ["http", "@import", "url(", "<link", "<script", "<iframe"] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert_eq!(page.matches("src=").count(), page.matches("src=\"data:image/png;base64,").count());
}

#[test]
fn an_empty_run_makes_a_page() {
    let none = Metrics {
        samples: 0,
        accuracy: 0.0,
        accuracy_majority: 0.0,
        macro_recall: 0.0,
        recall: vec![None; Label::COUNT],
        confusion: vec![vec![0; Label::COUNT]; Label::COUNT],
    };
    let mut summary = Summary { float: none.clone(), int8: none, parity: vec![], seconds: vec![], ..summary() };
    summary.peak_memory_bytes = None;
    let epoch =
        Epoch { loss: f64::NAN, held_out_loss: f64::INFINITY, held_out_accuracy: None, samples_per_second: 0.0 };
    for curves in [vec![], vec![("stage two".into(), vec![])], vec![("stage two".into(), vec![epoch])]] {
        summary.curves = curves;
        let page = page(&summary, &[], &[]);
        assert!(page.contains("There are no wrong answers.") && page.contains("Parity was not checked."));
        let drawn = page.split("<svg").skip(1).map(|rest| rest.split("</svg>").next().unwrap());
        assert!(drawn.into_iter().all(|svg| !svg.contains("NaN") && !svg.contains("inf")));
    }
}
