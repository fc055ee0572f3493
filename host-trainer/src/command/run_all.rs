//! `host-trainer run-all`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use expression_core::Label;
use expression_engine::{Scores, files};

use super::training::{Numbering, Training};
use crate::coverage;
use crate::dataset::{self, DataSet, Source, contact_sheet};
use crate::device;
use crate::error::{Error, ensure};
use crate::export;
use crate::measurement::Measurement;
use crate::net::FaceNet;
use crate::pipeline::{self, Prerequisites};
use crate::recipe::Recipe;
use crate::report::{Answered, html};
use crate::run::{self, Run};
use crate::train::method::Rehearsal;
use crate::train::teachers;

/// Right and wrong answers of each label on the report's sheet.
const ANSWERS_PER_LABEL: usize = 8;

/// Train a model on a data set, quantize it, check parity and export a bundle, in one run.
///
/// Writes RUNS/NAME: the configuration, checkpoints, a bundle for edge-runtime, metrics.json and report.html. Without --data it
/// trains on rendered faces. The exit code is 1 if a rung of the parity ladder fails; then there is no bundle.
#[derive(clap::Args)]
pub struct Cmd {
    #[command(flatten)]
    training: Training,
    /// Use at most N samples for training and calibration together.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..))]
    limit: Option<u32>,
    /// Export the bundle even if rung 3 fails: int8 answers other than float. The manifest records it.
    #[arg(long)]
    accept_rung3: bool,
    /// Train the recipe of the finished run in DIR once more, on its training and test part together. The card and the manifest give
    /// that run's figures on the test part, since this model has seen it.
    #[arg(long = "final", value_name = "DIR")]
    final_of: Option<PathBuf>,
    /// End training at most MINUTES after the start: stage two's learning rate falls sooner, so that its result is whole. Measuring
    /// and export come after that. If time is up before stage two, the run stops, and --resume continues it.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    max_minutes: Option<u64>,
    /// With --from: data set of the old test, whose test part (of FER+ the validation part) must not get worse. The bundle
    /// carries the comparison, and deploy reads it.
    #[arg(long, value_name = "SOURCE", default_value = "rendered", requires = "from")]
    old_test: Source,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error for bad input, after an interruption, or if a rung of the parity ladder fails.
    pub fn run(&self) -> crate::Result<()> {
        let begun = Instant::now();
        let Training { seed, resume, overwrite, .. } = &self.training;
        let data = &self.training.source()?;
        let (config, device) = self.training.configuration()?;
        if self.max_minutes.is_some() && config.adapt.is_some() {
            let what = "a preset with [adapt] stops by itself (adapt.patience, stage_two.epochs)";
            return Err(Error::BadInput(format!("{what}; leave --max-minutes out")));
        }
        let asked = run::Request {
            data: data.to_string(),
            preset: self.training.preset().to_owned(),
            limit: self.limit,
            seed: *seed,
            resume: *resume,
            overwrite: *overwrite,
            fold: None,
        };
        let folder = self.training.folder("", Numbering::Next);
        self.training.spare_inputs(&folder, self.final_of.as_deref())?;
        let unfinished = self.training.unfinished();
        let mut run = Run::open(&folder, &config, asked)?;
        if let Some(minutes) = self.max_minutes {
            run.end_by(begun + Duration::from_secs(60 * minutes));
        }
        run.say(&format!("run {} on {}", run.folder().display(), device::name(device)));
        if let Some(unfinished) = unfinished {
            let (place, name) = (unfinished.display(), unfinished.file_name().unwrap_or_default().display());
            run.say(&format!(
                "{place} was not finished; to continue it, stop this run and give --name {name} --resume"
            ));
        }
        // Whatever is wrong with the input is reported before anything is written.
        teachers::check(&config)?;
        let face_net = FaceNet::open(&config.face_net, device)?;
        let fixed = export::Fixed::new(config.face_input(), *seed)?;
        let recipe = self.final_of.as_deref().map(|folder| Recipe::read(folder, &config)).transpose()?;
        let start = Prerequisites::start(&config)?;
        let started = Instant::now();
        let mut data = dataset::load(data, self.training.request(&config, self.limit))?;
        if let Some(recipe) = &recipe {
            data = recipe.joined(data)?;
        }
        let rehearsal = Rehearsal::read(&config, *seed)?;
        let loading = started.elapsed().as_secs_f64();
        // Last, because it may be drawn, which takes half a minute.
        let old_test = self.training.from.is_some().then(|| super::study::old_test(&self.old_test)).transpose()?;
        let prerequisites = Prerequisites {
            face_net,
            fixed,
            accept_rung_3: self.accept_rung3,
            recipe,
            old_test,
            start,
            rehearsal,
            flags: self.flags(),
        };
        run.start(&data)?;
        let [train, calibration, test] = [&data.train, &data.calibration, &data.test].map(Vec::len);
        run.say(&format!("{}: {train} training, {calibration} calibration, {test} test samples", data.name));
        coverage::warnings(&data, &coverage::known(&config)?)
            .iter()
            .for_each(|warning| run.say(&format!("warning: {warning}")));
        let sheet = contact_sheet::png(&contact_sheet::sheet(&data.train))?;
        files::write_bytes(&run.path(run::SAMPLES), &sheet)?;
        publish(&run, &data, &sheet, &pipeline::run(&run, &config, &data, loading, prerequisites)?)
    }

    /// The flags that say how the data is read and what the old test is, as they would be written.
    fn flags(&self) -> String {
        let classes = self.training.classes.as_ref().map(|classes| format!(" --classes '{classes}'"));
        let old_test = || format!(" --old-test {}", run::named(&self.old_test.to_string()));
        [classes, self.training.from.as_ref().map(|_| old_test())].into_iter().flatten().collect()
    }
}

/// Writes the report and the figures, and prints the closing table.
fn publish(run: &Run, data: &DataSet, sheet: &[u8], measurement: &Measurement) -> crate::Result<()> {
    let (summary, report) = (&measurement.summary, run.path(run::REPORT));
    let page = html::page(summary, &answered(data, measurement)?, sheet);
    files::write_bytes(&report, page.as_bytes())?;
    measurement.write(run, &data.test)?;

    let failing: Vec<_> = summary.parity.iter().filter(|rung| !rung.allows_export()).map(|rung| rung.number).collect();
    let bundle = summary.bundle.as_deref().unwrap_or("not written: a parity rung fails");
    crate::error::print(&format!("{}bundle  {bundle}\nreport  {}", summary.table(), report.display()))?;
    ensure!(failing.is_empty(), "{}", not_exported(&failing));
    Ok(())
}

/// Why there is no bundle, and what to do.
fn not_exported(failing: &[u32]) -> String {
    let advice = match failing {
        // The one that depends on few samples. Nothing is trained again.
        [3] => "; to export the bundle all the same, add --resume --accept-rung3, or give more pictures",
        _ => "",
    };
    format!("parity rungs {failing:?} do not hold; the report tells by how much{advice}")
}

/// The first right and wrong answers of each label.
fn answered(data: &DataSet, measurement: &Measurement) -> crate::Result<Vec<Answered>> {
    let answer = |scores: &Scores| measurement.labels[scores.class];
    let mut chosen = Vec::new();
    for label in Label::ALL {
        for right in [true, false] {
            let of_kind = data
                .test
                .iter()
                .zip(&measurement.int8_answers)
                .filter(|(sample, scores)| sample.label == label && (answer(scores) == label) == right);
            for (sample, scores) in of_kind.take(ANSWERS_PER_LABEL) {
                chosen.push(Answered {
                    name: sample.name.clone(),
                    png: contact_sheet::png(&contact_sheet::thumbnail(&sample.picture, 64))?,
                    label: label.name(),
                    answer: answer(scores).name(),
                    probability: scores.probability[scores.class],
                });
            }
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::not_exported;

    #[test]
    fn what_may_be_accepted_is_told() {
        assert!(not_exported(&[3]).ends_with("add --resume --accept-rung3, or give more pictures"));
        for failing in [&[2][..], &[2, 3]] {
            assert!(not_exported(failing).ends_with("the report tells by how much"), "{failing:?}");
        }
    }
}
