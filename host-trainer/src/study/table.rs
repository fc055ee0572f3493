//! The study's cells as one table and one plot.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Cell, Method};
use crate::crossval::Spread;

/// A finished study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// `--data`.
    pub data: String,
    /// Every method with every number of samples and every seed.
    pub cells: Vec<Cell>,
}

impl Study {
    /// Numbers of training samples, ascending.
    pub fn sizes(&self) -> BTreeSet<usize> {
        self.cells.iter().map(|cell| cell.samples).collect()
    }

    /// Returns mean and sample deviation over seeds of a figure of one method with `size` samples.
    pub fn over_seeds(&self, size: usize, method: Method, figure: fn(&Cell) -> f64) -> Spread {
        let cells = self.cells.iter().filter(|cell| (cell.samples, cell.method) == (size, method));
        Spread::of(&cells.map(figure).collect::<Vec<_>>())
    }

    /// Returns the table for people: one row for each number of samples and method.
    pub fn table(&self) -> String {
        let seeds = self.cells.iter().map(|cell| cell.seed).collect::<BTreeSet<_>>().len();
        let share = |spread: Spread| {
            let deviation = spread.deviation.map_or(String::new(), |share| format!(" +- {:.2}", 100.0 * share));
            format!("{:.2}{deviation} %", 100.0 * spread.mean)
        };
        let mut text = format!("{}: mean and sample deviation over {seeds} seeds\n", self.data);
        text += &format!("  {:>8}  {:<12} {:>18} {:>18}\n", "samples", "method", "accuracy", "macro recall");
        for size in self.sizes() {
            for method in Method::ALL {
                let accuracy = share(self.over_seeds(size, method, |cell| cell.test.accuracy));
                let recall = share(self.over_seeds(size, method, |cell| cell.test.macro_recall));
                text += &format!("  {size:>8}  {:<12} {accuracy:>18} {recall:>18}\n", method.name());
            }
        }
        text
    }
}
