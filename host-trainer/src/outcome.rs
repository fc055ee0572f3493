//! What a run gave: figures, learning curves, parity and answers. The report and the bundle are made from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::adoption::Adoption;
use crate::evaluate::Metrics;
use crate::evaluate::robustness::Robustness;
use crate::parity::Rung;
use crate::train::Curve;

/// Every figure of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the run.
    pub name: String,
    /// The command line's data source, and where its pictures come from.
    pub data: String,
    /// Where the pictures come from and under which terms.
    pub source: String,
    /// How many samples: training, calibration, test.
    pub samples: [usize; 3],
    /// Pictures that could not be read.
    pub skipped: Vec<String>,
    /// Labels with no or few samples.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Labels of the nets' outputs, in order.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Seed of the run.
    pub seed: u64,
    /// Where it was trained.
    pub device: String,
    /// The whole configuration, as TOML.
    pub config: String,
    /// Multiply-accumulates of one inference.
    pub multiply_accumulates: u64,
    /// Weights and biases.
    pub parameters: usize,
    /// Learning curves by stage, in the order they ran.
    pub curves: Vec<(String, Curve)>,
    /// The float net on the test samples.
    pub float: Metrics,
    /// The int8 net on the test samples, as the edge engine runs it.
    pub int8: Metrics,
    /// Share of test samples to which both give the same class.
    pub agreement: f64,
    /// How well the int8 net withstands disturbances of the test samples.
    #[serde(default)]
    pub robustness: Option<Robustness>,
    /// The parity ladder.
    pub parity: Vec<Rung>,
    /// Seconds by step, in the order they ran.
    pub seconds: Vec<(String, f64)>,
    /// The most memory that the program has held at once, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Bytes of the int8 graph.
    pub int8_bytes: u64,
    /// An adapted net beside the one that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
    /// Where the bundle lies, once there is one.
    pub bundle: Option<String>,
}

/// A line of `answers.jsonl`: a test sample and what the nets said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Its name.
    pub sample: String,
    /// Who it shows, where the data set tells.
    pub subject: Option<String>,
    /// Name of its label.
    pub label: String,
    /// Whether more than half of the votes are for that label.
    pub majority: bool,
    /// Name of the label that the int8 net gave.
    pub int8: String,
    /// Name of the label that the float net gave.
    pub float: String,
    /// The int8 net's scores, one per label of the bundle.
    pub integer_scores: Vec<u8>,
}

/// `metrics.json`: every figure by name, and the whole summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsFile {
    /// [`Summary::figures`].
    pub figures: BTreeMap<String, f64>,
    /// The summary.
    pub run: Summary,
}

impl Summary {
    /// The figures of the closing table by name, for `metrics.json` and the manifest.
    pub fn figures(&self) -> BTreeMap<String, f64> {
        let mut figures = BTreeMap::from([
            ("float_accuracy".to_owned(), self.float.accuracy),
            ("float_macro_recall".to_owned(), self.float.macro_recall),
            ("int8_accuracy".to_owned(), self.int8.accuracy),
            ("int8_accuracy_majority".to_owned(), self.int8.accuracy_majority),
            ("int8_macro_recall".to_owned(), self.int8.macro_recall),
            ("int8_float_agreement".to_owned(), self.agreement),
            ("test_samples".to_owned(), self.float.samples as f64),
            ("multiply_accumulates".to_owned(), self.multiply_accumulates as f64),
            ("parameters".to_owned(), self.parameters as f64),
            ("int8_bytes".to_owned(), self.int8_bytes as f64),
        ]);
        for rung in &self.parity {
            figures.insert(format!("parity_rung_{}_holds", rung.number), f64::from(u8::from(rung.holds)));
        }
        figures.extend(self.adoption.iter().flat_map(Adoption::metrics));
        if let Some(bytes) = self.peak_memory_bytes {
            figures.insert("peak_memory_bytes".into(), bytes as f64);
        }
        figures.insert("run_seconds".into(), self.seconds.iter().map(|(_, seconds)| seconds).sum());
        figures
    }

    /// The closing table.
    pub fn table(&self) -> String {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let row = |name: &str, value: &str| format!("  {name:<28} {value}\n");
        let mut text = format!("\n{} on {} test samples\n", self.name, self.float.samples);
        text += &row("float accuracy", &percent(self.float.accuracy));
        text += &row("int8 accuracy", &percent(self.int8.accuracy));
        text += &row("int8 macro recall", &percent(self.int8.macro_recall));
        text += &row("int8 and float agree", &percent(self.agreement));
        let cost = format!(
            "{:.1} MMAC, {:.2} M parameters",
            self.multiply_accumulates as f64 / 1e6,
            self.parameters as f64 / 1e6
        );
        text += &row("net", &cost);
        text += &row("run", &format!("{:.0} s", self.seconds.iter().map(|(_, seconds)| seconds).sum::<f64>()));
        if let Some(bytes) = self.peak_memory_bytes {
            text += &row("peak memory", &format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30)));
        }
        for warning in &self.warnings {
            text += &row("warning", warning);
        }
        if !self.skipped.is_empty() {
            text += &row("left out", &format!("{} pictures that could not be read", self.skipped.len()));
        }
        text += &self.adoption.as_ref().map_or(String::new(), Adoption::table);
        text += "parity\n";
        for rung in &self.parity {
            let verdict = match (rung.holds, rung.accepted) {
                (true, _) => "holds",
                (false, true) => "FAILS (accepted)",
                (false, false) => "FAILS",
            };
            text += &format!(
                "  {} {verdict}  {}: {} (tolerance {})\n",
                rung.number, rung.what, rung.figure, rung.tolerance
            );
        }
        text
    }
}
