//! Learning curves.

use std::path::Path;

use expression_engine::files;
use serde::{Deserialize, Serialize};

/// A learning curve: one point per epoch.
pub type Curve = Vec<Epoch>;

/// The figures of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss.
    pub loss: f64,
    /// Loss on the calibration samples.
    pub held_out_loss: f64,
    /// Accuracy on the calibration samples, if the stage classifies.
    pub held_out_accuracy: Option<f64>,
    /// Training samples per second.
    pub samples_per_second: f64,
}

/// The first line of `curves.csv`.
const HEADER: &str = "stage,epoch,loss,held_out_loss,held_out_accuracy,samples_per_second\n";

/// Writes a stage's curve so far to `path`, a CSV file with the curves of all stages: one line per epoch, counted from 1. What
/// the file said of this stage before is replaced, so that a resumed stage is not told twice.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_csv(path: &Path, stage: &str, curve: &Curve) -> crate::Result<()> {
    let before = std::fs::read_to_string(path).unwrap_or_default();
    let own = format!("{stage},");
    let others = before.lines().skip(1).filter(|line| !line.starts_with(&own)).map(|line| format!("{line}\n"));
    let lines = curve.iter().enumerate().map(|(number, epoch)| {
        let Epoch { loss, held_out_loss, held_out_accuracy, samples_per_second } = epoch;
        let accuracy = held_out_accuracy.map_or(String::new(), |share| format!("{share:.6}"));
        format!("{stage},{},{loss:.6},{held_out_loss:.6},{accuracy},{samples_per_second:.1}\n", number + 1)
    });
    let text: String = std::iter::once(HEADER.to_owned()).chain(others).chain(lines).collect();
    Ok(files::write_bytes(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curves_of_all_stages_are_in_one_file_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.csv");
        let epoch =
            |loss, held_out_accuracy| Epoch { loss, held_out_loss: 0.5, held_out_accuracy, samples_per_second: 9.0 };
        write_csv(&path, "stage one", &vec![epoch(1.0, None)]).unwrap();
        write_csv(&path, "stage two", &vec![epoch(2.0, Some(0.25))]).unwrap();
        write_csv(&path, "stage two", &vec![epoch(2.0, Some(0.25)), epoch(1.5, Some(0.5))]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "stage one,1,1.000000,0.500000,,9.0\nstage two,1,2.000000,0.500000,0.250000,9.0\n\
                        stage two,2,1.500000,0.500000,0.500000,9.0\n";
        assert_eq!(text, format!("{HEADER}{expected}"));
    }
}
