//! The promises of docs/promises.md: which test measures each, and the table of what was found.

use anyhow::{Context, Result};

/// A promise, and how it is measured.
pub struct Promise {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is promised, for the table.
    pub says: &'static str,
    /// The test that measures it.
    pub test: Test,
    /// The file of that test.
    pub file: &'static str,
    /// How often or how long is tried at full count.
    pub times: u64,
    /// What `times` counts.
    pub unit: &'static str,
}

/// What measures a promise.
#[derive(Clone, Copy)]
pub enum Test {
    /// Tests of the workspace: the name of the program, and what the tests' names contain.
    Cargo(&'static str, &'static str),
    /// A suite on emulated boards.
    Boards(&'static str),
}

/// All promises, in the table's order.
pub const ALL: &[Promise] = &[
    Promise {
        name: "power",
        says: "A power cut loses nothing that was reported as committed, and leaves the journal intact",
        test: Test::Boards("power"),
        file: "tests/boards/src/suites/power.rs",
        times: 1000,
        unit: "power cuts",
    },
    Promise {
        name: "kills",
        says: "Killing `run` (SIGKILL) loses nothing that was reported as committed, and leaves the journal intact",
        test: Test::Cargo("promises", "kills::"),
        file: "edge-runtime/tests/promises/kills.rs",
        times: 1000,
        unit: "kills",
    },
    Promise {
        name: "disk",
        says: "A disk that is full, read-only or fails (EIO) stops no recording; what was committed stays",
        test: Test::Boards("disk"),
        file: "tests/boards/src/suites/disk.rs",
        times: 10,
        unit: "failures of each kind",
    },
    Promise {
        name: "clock",
        says: "Jumps of the wall clock leave the journal's order and numbers as they were",
        test: Test::Cargo("promises", "clock::"),
        file: "edge-runtime/tests/promises/clock.rs",
        times: 10_000,
        unit: "jumps",
    },
    Promise {
        name: "broker",
        says: "A broker that never acknowledges stops no recording, and memory stays bounded",
        test: Test::Cargo("promises", "broker::"),
        file: "edge-runtime/tests/promises/broker.rs",
        times: 10_000,
        unit: "frames",
    },
    Promise {
        name: "clients",
        says: "Slow, silent, rude and many HTTP clients stop no recording, and memory stays bounded",
        test: Test::Cargo("promises", "clients::"),
        file: "edge-runtime/tests/promises/clients.rs",
        times: 5000,
        unit: "clients",
    },
    Promise {
        name: "fleet",
        says: "A fleet deployment that is killed leaves a working version on every board",
        test: Test::Cargo("deploy", "kills_leave_all_working"),
        file: "host-trainer/tests/deploy/fleet.rs",
        times: 100,
        unit: "kills",
    },
    Promise {
        name: "day",
        says: "A day of frames leaves memory, descriptors and threads as they were",
        test: Test::Cargo("promises", "day::"),
        file: "edge-runtime/tests/promises/day.rs",
        times: 24 * 3600 * 15,
        unit: "frames",
    },
    Promise {
        name: "soak",
        says: "A day of a board's own time leaves memory, descriptors and threads as they were",
        test: Test::Boards("soak"),
        file: "tests/boards/src/suites/soak.rs",
        times: 24 * 60,
        unit: "minutes of the board's time",
    },
    Promise {
        name: "pictures",
        says: "Pictures that claim or unpack too much are refused in less than 32 MiB",
        test: Test::Cargo("picture_bombs", ""),
        file: "edge-runtime/engine/tests/picture_bombs.rs",
        times: 5,
        unit: "rounds",
    },
    Promise {
        name: "data",
        says: "Files of data sets, presets and checkpoints that claim or unpack too much are refused in less than 32 MiB",
        test: Test::Cargo("bombs", "bombs_are_refused"),
        file: "host-trainer/tests/bombs.rs",
        times: 1,
        unit: "rounds",
    },
];

/// What a test reported about a promise.
#[derive(Debug, Default, PartialEq)]
pub struct Finding {
    /// What was tried and what was lost: the table's columns of that name.
    pub measured: Option<(String, String)>,
    /// The rows of a table of its own.
    pub rows: Vec<String>,
}

impl Finding {
    /// Takes in a line of a test's output (`test_support::promise` writes them).
    pub fn read(&mut self, line: &str) {
        if let Some(cells) = line.strip_prefix("promise measured: ") {
            self.measured = cells.split_once(" | ").map(|(tried, lost)| (tried.to_owned(), lost.to_owned()));
        } else if let Some(cells) = line.strip_prefix("promise row: ") {
            self.rows.push(cells.to_owned());
        }
    }
}

/// Returns `page` with the row of `promise`, and its own table if it has one, as they were found on `date`.
///
/// # Errors
/// Returns an error if the page lacks the row or the table.
pub fn with_finding(page: &str, promise: &Promise, finding: &Finding, date: &str) -> Result<String> {
    let (tried, lost) = finding.measured.as_ref().context("the test reported nothing; was it skipped?")?;
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    let beginning = row_beginning(promise);
    let row = lines.iter_mut().find(|line| line.starts_with(&beginning));
    *row.with_context(|| format!("docs/promises.md has no row that begins with {beginning:?}"))? = format!(
        "{beginning} {} | {tried} | {lost} | [{2}](../{1}) | {date} |",
        promise.says,
        promise.file,
        name(promise.file)
    );
    if !finding.rows.is_empty() {
        let marker = format!("<!-- rows of {} -->", promise.name);
        let at = lines.iter().position(|line| *line == marker);
        let at = at.with_context(|| format!("docs/promises.md has no line {marker}"))? + 1;
        // The table's head and the line below it stay.
        let first = at + 2;
        let end =
            lines[first..].iter().position(|line| !line.starts_with('|')).map_or(lines.len(), |rows| first + rows);
        lines.splice(first..end, finding.rows.iter().map(|cells| format!("| {cells} |")));
    }
    Ok(lines.join("\n") + "\n")
}

fn row_beginning(promise: &Promise) -> String {
    format!("| `{}` |", promise.name)
}

fn name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo;
    use std::fs;

    fn page() -> String {
        fs::read_to_string(cargo::workspace_root().join("docs/promises.md")).unwrap()
    }

    #[test]
    fn every_promise_has_a_test_and_a_row_and_every_row_a_promise() {
        let (page, root) = (page(), cargo::workspace_root());
        for promise in ALL {
            assert!(root.join(promise.file).is_file(), "{}", promise.file);
            let row = page.lines().find(|line| line.starts_with(&row_beginning(promise)));
            let row = row.unwrap_or_else(|| panic!("docs/promises.md has no row for {}", promise.name));
            assert!(row.contains(promise.says) && row.contains(promise.file), "{row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `") && line.contains("](../")).count();
        assert_eq!(rows, ALL.len(), "a row belongs to no promise");
    }

    #[test]
    fn findings_replace_their_row_and_table_alone() {
        let promise = Promise { name: "x", says: "Holds", test: Test::Boards("x"), file: "a/b.rs", times: 1, unit: "" };
        let mut finding = Finding::default();
        for line in
            ["noise", "promise row: PNG | 1 MiB", "promise measured: 3 tries | 0 of 4", "promise row: GIF | 2 MiB"]
        {
            finding.read(line);
        }
        let page = "| `w` | old |\n| `x` | old |\n\n<!-- rows of x -->\n| what | memory |\n| --- | --- |\n| old | 0 |\n\nend\n";
        let expected = "| `w` | old |\n| `x` | Holds | 3 tries | 0 of 4 | [b.rs](../a/b.rs) | today |\n\n\
                        <!-- rows of x -->\n| what | memory |\n| --- | --- |\n| PNG | 1 MiB |\n| GIF | 2 MiB |\n\nend\n";
        assert_eq!(with_finding(page, &promise, &finding, "today").unwrap(), expected);
        assert_eq!(with_finding(expected, &promise, &finding, "today").unwrap(), expected);
        let error = with_finding(page, &promise, &Finding::default(), "today").unwrap_err().to_string();
        assert!(error.contains("skipped"), "{error}");
        assert!(with_finding("", &promise, &finding, "today").is_err());
    }
}
