//! Runs suites side by side and prints the table of their results.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};

use xtask::error::bad_input;
use xtask::{emulation, guest, setup};

use crate::fault::Fault;
use crate::lab::Lab;
use crate::suite::{Figures, Suite};
use crate::suites;

/// How many suites run at a time. An emulated machine takes one core.
const LANES: usize = 2;

/// Runs the suites named, or all if none is, and prints a table.
///
/// # Errors
/// Returns an error if a tool is missing, a build fails, or a suite fails.
pub fn run(names: &[String], fault: Option<Fault>, times: Option<u64>, build: bool) -> Result<()> {
    if let Some(fault) = fault
        && names != [fault.suite()]
    {
        return Err(bad_input(format!(
            "this fault is for the suite {0} alone; run `cargo xtask boards {0} --fault ...`",
            fault.suite()
        )));
    }
    emulation::require_tools()?;
    setup::install()?;
    let _lock = guest::lock()?;
    let lab = Lab::open(fault, times, build)?;
    let begun = Instant::now();
    let chosen: Vec<&Suite> =
        suites::ALL.iter().filter(|suite| names.is_empty() || names.iter().any(|name| name == suite.name)).collect();
    let results = run_in_lanes(&lab, &chosen);
    let rows: Vec<_> = chosen.iter().map(|suite| suite.name).zip(results).collect();
    print!("{}", table(&rows));
    println!("\n{} s after the builds", begun.elapsed().as_secs());
    let failed: Vec<_> = rows.iter().filter(|(_, result)| result.is_err()).map(|(name, _)| *name).collect();
    if !failed.is_empty() {
        bail!("failed: {}; the boards' consoles are logged in {}", failed.join(", "), lab.folder.display());
    }
    Ok(())
}

/// Returns the table of results. `.ci/run` counts its rows.
fn table(results: &[(&str, Result<Vec<Figures>>)]) -> String {
    let mut text = String::from("| suite | board | result | figures |\n| --- | --- | --- | --- |\n");
    for (suite, result) in results {
        match result {
            Ok(rows) => {
                for row in rows {
                    text += &format!("| {suite} | {} | ok | {} |\n", row.board, row.text);
                }
            }
            Err(error) => {
                text += &format!("| {suite} |  | FAILED | {} |\n", format!("{error:#}").trim().replace('\n', "; "));
            }
        }
    }
    text
}

/// Runs suites, [`LANES`] at a time, and returns their results in the suites' order.
fn run_in_lanes(lab: &Lab, suites: &[&Suite]) -> Vec<Result<Vec<Figures>>> {
    let next = AtomicUsize::new(0);
    let results: Vec<_> = suites.iter().map(|_| Mutex::new(None)).collect();
    let lane = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(suite) = suites.get(index) else { return };
            eprintln!("boards: {}: {}", suite.name, suite.shows);
            let started = Instant::now();
            let result = (suite.run)(lab);
            let seconds = started.elapsed().as_secs();
            match &result {
                Ok(_) => eprintln!("boards: {}: ok after {seconds} s", suite.name),
                Err(error) => eprintln!("boards: {}: failed after {seconds} s: {error:#}", suite.name),
            }
            *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(lane);
        }
    });
    let results = results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
    results.map(|result| result.unwrap_or_else(|| Err(anyhow!("the suite did not run")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_is_a_row_that_continuous_integration_counts() {
        let figures = |board| Figures { board, text: "equal".to_owned() };
        let results = [
            ("parity", Ok(vec![figures("raspi3b"), figures("cortex-a53")])),
            ("camera", Err(anyhow!("no picture\non the screen"))),
        ];
        let table = table(&results);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| parity | raspi3b | ok | equal |",
                "| parity | cortex-a53 | ok | equal |",
                "| camera |  | FAILED | no picture; on the screen |"
            ]
        );
    }
}
