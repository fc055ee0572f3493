//! Which labels a data set covers, and how well.

use std::path::Path;

use expression_core::Label;
use expression_engine::Bundle;

use crate::config::Config;
use crate::dataset::{DataSet, Sample};
use crate::error::Error;

/// Fewer training samples of a label than this are worth a warning.
const FEW: usize = 20;

/// Returns the labels that occur in training samples, in their order: the outputs of the exported nets.
///
/// # Errors
/// Returns [`Error::BadInput`] if there are fewer than two.
pub fn labels(samples: &[Sample]) -> crate::Result<Vec<Label>> {
    let labels: Vec<Label> = Label::ALL.into_iter().filter(|label| count(samples, *label) > 0).collect();
    if labels.len() < 2 {
        let found = labels.first().map_or("none", |label| label.name());
        return Err(Error::BadInput(format!("training samples of at least two labels are needed; there are: {found}")));
    }
    Ok(labels)
}

/// Returns the labels of the bundle that a net starts from; none if it starts from nothing.
///
/// # Errors
/// Returns an error if the bundle cannot be read.
pub fn known(config: &Config) -> crate::Result<Vec<Label>> {
    let Some(start) = &config.start else { return Ok(Vec::new()) };
    let labels = Bundle::open(Path::new(&start.bundle))?.manifest().label_set();
    Ok(labels.map(|set| set.to_vec()).unwrap_or_default())
}

/// Returns a sentence for each label with no or few training samples, or with none to test on. `known`: the labels of the bundle
/// that the net starts from, which it keeps.
pub fn warnings(data: &DataSet, known: &[Label]) -> Vec<String> {
    let mut warnings = Vec::new();
    for label in Label::ALL {
        let (train, test) = (count(&data.train, label), count(&data.test, label));
        let name = label.name();
        match (train, test) {
            (..FEW, _) if known.contains(&label) => {}
            // Of a bundle that is adapted nobody expects labels that neither it nor the pictures have.
            (0, 0) if !known.is_empty() => {}
            (0, 0) => warnings.push(format!("no samples of {name}: the bundle's labels lack it")),
            (0, _) => warnings.push(format!(
                "no training samples of {name}: the bundle's labels lack it, and all {test} test samples count as wrong"
            )),
            (..FEW, _) => warnings.push(format!("only {train} training samples of {name}: expect low recall")),
            (_, 0) => warnings.push(format!("no test samples of {name}: its recall is unknown")),
            _ => {}
        }
    }
    warnings
}

/// Returns a sentence if samples have labels that are not among `labels`, those that a net can answer.
pub fn lacking(labels: &[Label], samples: &[Sample]) -> Option<String> {
    let lacking = Label::ALL.into_iter().filter(|label| !labels.contains(label));
    let counts = lacking.map(|label| (label, count(samples, label))).filter(|(_, count)| *count > 0);
    let (names, counts): (Vec<&str>, Vec<usize>) = counts.map(|(label, count)| (label.name(), count)).unzip();
    let all: usize = counts.iter().sum();
    let sentence = || format!("its labels lack {}: their {all} samples count as wrong", names.join(", "));
    (all > 0).then(sentence)
}

fn count(samples: &[Sample], label: Label) -> usize {
    samples.iter().filter(|sample| sample.label == label).count()
}

#[cfg(test)]
mod tests {
    use expression_engine::Picture;

    use super::*;

    fn samples(counts: &[(Label, usize)]) -> Vec<Sample> {
        let picture = Picture { width: 1, height: 1, channels: 1, data: vec![0] };
        let sample = |label: Label| Sample::labelled(String::new(), None, picture.clone(), label);
        counts.iter().flat_map(|(label, count)| std::iter::repeat_n(*label, *count)).map(sample).collect()
    }

    #[test]
    fn labels_without_samples_are_left_out_and_told() {
        let seven: Vec<(Label, usize)> = Label::ALL[..7].iter().map(|label| (*label, 30)).collect();
        let train = samples(&seven);
        assert_eq!(labels(&train).unwrap(), Label::ALL[..7]);
        assert!(labels(&train[..30]).unwrap_err().to_string().contains("neutral"));
        let data = |train: Vec<Sample>, test| DataSet {
            name: String::new(),
            source: String::new(),
            train,
            calibration: Vec::new(),
            test,
            skipped: Vec::new(),
        };
        let told = warnings(&data(train.clone(), train.clone()), &[]);
        assert_eq!(told, ["no samples of contempt: the bundle's labels lack it"]);
        let told = warnings(&data(train[15..].to_vec(), samples(&[(Label::Contempt, 2)])), &[]);
        assert!(told[0].contains("only 15") && told[7].contains("all 2 test"), "{told:?}");
        assert!(told[1..7].iter().all(|warning| warning.contains("no test samples")), "{told:?}");

        // What the bundle knows it keeps; what it does not know it has to learn.
        let few = || samples(&[(Label::Neutral, 3), (Label::Fear, 3)]);
        let told = warnings(&data(few(), few()), &[Label::Neutral, Label::Anger]);
        assert_eq!(told, ["only 3 training samples of fear: expect low recall"]);
        let told = warnings(&data(few(), samples(&[(Label::Contempt, 2)])), &[Label::Neutral, Label::Fear]);
        assert!(told.len() == 1 && told[0].contains("lack it, and all 2 test samples count as wrong"), "{told:?}");
    }

    #[test]
    fn samples_that_a_bundle_cannot_get_right_are_told() {
        let samples = samples(&[(Label::Neutral, 2), (Label::Fear, 3), (Label::Contempt, 4)]);
        assert_eq!(lacking(&Label::ALL, &samples), None);
        assert_eq!(lacking(&[Label::Neutral, Label::Fear, Label::Contempt], &samples), None);
        let told = lacking(&[Label::Neutral, Label::Anger], &samples);
        assert_eq!(told.as_deref(), Some("its labels lack fear, contempt: their 7 samples count as wrong"));
    }
}
