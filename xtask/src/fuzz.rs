//! What the fuzz targets have run so far: `fuzz/runs.toml`, and the table in `fuzz/README.md` that is made of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use indicatif::HumanCount;
use toml::{Table, Value};

/// What stands around the table.
const BEGIN: &str = "<!-- The table is written by `cargo xtask fuzz`. -->\n";
const END: &str = "<!-- End of the table. -->\n";

/// What one target has run.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Runs {
    /// Processor time, in seconds.
    pub cpu_seconds: u64,
    /// Inputs that were tried.
    pub executions: u64,
    /// What was found, and which test holds it: written by hand.
    pub findings: Vec<String>,
}

/// The runs of all targets, by name.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Record(pub BTreeMap<String, Runs>);

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// Returns an error if it is not TOML, or lacks a number.
    pub fn parse(text: &str) -> Result<Record> {
        let mut record = BTreeMap::new();
        for (name, runs) in text.parse::<Table>()? {
            let number = |key: &str| {
                let number = runs.get(key).and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok());
                number.with_context(|| format!("{name}: {key} is not a number"))
            };
            let findings = runs.get("findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let findings = findings.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let runs = Runs { cpu_seconds: number("cpu_seconds")?, executions: number("executions")?, findings };
            record.insert(name, runs);
        }
        Ok(Record(record))
    }

    /// Adds what a target ran.
    pub fn add(&mut self, name: &str, cpu_seconds: u64, executions: u64) {
        let runs = self.0.entry(name.to_owned()).or_default();
        runs.cpu_seconds += cpu_seconds;
        runs.executions += executions;
    }

    /// The record as it is stored.
    pub fn text(&self) -> String {
        let mut table = Table::new();
        for (name, runs) in &self.0 {
            let mut values = Table::new();
            values.insert("cpu_seconds".into(), Value::Integer(runs.cpu_seconds as i64));
            values.insert("executions".into(), Value::Integer(runs.executions as i64));
            values.insert("findings".into(), runs.findings.clone().into());
            table.insert(name.clone(), values.into());
        }
        format!(
            "# What each target has run so far. `cargo xtask fuzz` adds to the numbers; findings are written by hand.\n\n{table}"
        )
    }

    /// The table of the README.
    pub fn table(&self) -> String {
        let mut table = String::from("| target | CPU hours | executions | findings |\n| --- | ---: | ---: | --- |\n");
        let mut row = |name: &str, cpu: u64, executions: u64, findings: &str| {
            let _ =
                writeln!(table, "| {name} | {:.2} | {} | {findings} |", cpu as f64 / 3600.0, HumanCount(executions));
        };
        for (name, runs) in &self.0 {
            let findings = if runs.findings.is_empty() { "none".to_owned() } else { runs.findings.join("; ") };
            row(&format!("`{name}`"), runs.cpu_seconds, runs.executions, &findings);
        }
        let sum = |of: fn(&Runs) -> u64| self.0.values().map(of).sum();
        let found = self.0.values().map(|runs| runs.findings.len()).sum::<usize>();
        row("all", sum(|runs| runs.cpu_seconds), sum(|runs| runs.executions), &found.to_string());
        table
    }

    /// A README with this record's table in the place of the one that it has.
    ///
    /// # Errors
    /// Returns an error if the comments around the table are missing.
    pub fn in_readme(&self, readme: &str) -> Result<String> {
        let missing = "fuzz/README.md has lost the comments around its table";
        let (before, rest) = readme.split_once(BEGIN).context(missing)?;
        let (_, after) = rest.split_once(END).context(missing)?;
        Ok(format!("{before}{BEGIN}{}{END}{after}", self.table()))
    }
}

/// Reads the record of a fuzz folder.
///
/// # Errors
/// Returns an error if it cannot be read.
pub fn read(folder: &Path) -> Result<Record> {
    let path = folder.join("runs.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Record::parse(&text).with_context(|| path.display().to_string())
}

/// Writes the record of a fuzz folder, and its table into the README.
///
/// # Errors
/// Returns an error if a file cannot be written.
pub fn write(folder: &Path, record: &Record) -> Result<()> {
    let readme = folder.join("README.md");
    let page = record.in_readme(&fs::read_to_string(&readme)?)?;
    fs::write(folder.join("runs.toml"), record.text())?;
    Ok(fs::write(&readme, page)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        crate::cargo::workspace_root().join("fuzz")
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let runs = Runs { cpu_seconds: 5400, executions: 1_234_567, findings: vec!["one \"find\"; test `a`".into()] };
        let record = Record([("y4m".to_owned(), runs), ("mjpeg".to_owned(), Runs::default())].into());
        assert_eq!(Record::parse(&record.text()).unwrap(), record);
        let table = record.table();
        assert!(table.contains("| `y4m` | 1.50 | 1,234,567 | one \"find\"; test `a` |\n"), "{table}");
        assert!(
            table.contains("| `mjpeg` | 0.00 | 0 | none |\n") && table.ends_with("| all | 1.50 | 1,234,567 | 1 |\n")
        );
        assert!(record.in_readme("no table").is_err() && Record::parse("[a]\ncpu_seconds = -1").is_err());
    }

    #[test]
    fn the_readme_shows_the_record_of_every_target() {
        let record = read(&folder()).unwrap();
        let readme = fs::read_to_string(folder().join("README.md")).unwrap();
        assert_eq!(record.in_readme(&readme).unwrap(), readme, "run `cargo xtask fuzz --minutes 0` to write the table");
        let targets = fs::read_to_string(folder().join("src/lib.rs")).unwrap();
        let names: Vec<&str> = targets.lines().filter_map(|line| line.trim().strip_prefix("target(\"")).collect();
        let names: Vec<&str> = names.iter().filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
        assert_eq!(names.iter().filter(|name| record.0.contains_key(**name)).count(), record.0.len());
        assert_eq!(names.len(), record.0.len(), "a target is missing in fuzz/runs.toml: {names:?}");
        for name in names {
            assert!(readme.matches(&format!("`{name}`")).count() >= 2, "README.md does not say what `{name}` is");
        }
    }
}
