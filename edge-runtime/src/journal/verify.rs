//! Whether a journal is whole.

use std::collections::{BTreeSet, HashMap};

use rusqlite::Connection;

use super::{JournalError, Reader, columns};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Something is not as it was written.
    Damage(String),
    /// Worth knowing, and no damage: a session that a power cut or a kill ended.
    Note(String),
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Events.
    pub events: u64,
    /// Sessions.
    pub sessions: u64,
    /// Findings that are damage.
    pub damage: u64,
}

/// Most lines that one check gives.
const LINES: usize = 100;
/// Rows that are read at a time.
const PIECE: usize = 4096;

/// Looks at everything: SQLite's integrity check, with the constraints of the schema; references; time and numbers that
/// rise together within a session; sessions without an end. Each finding is told as it is found.
///
/// # Errors
/// Returns an error if the file cannot be read for a reason other than damage.
pub fn verify(reader: &Reader, mut tell: impl FnMut(Finding)) -> Result<Verified, JournalError> {
    let mut verified = Verified::default();
    let mut told = |finding: Finding, verified: &mut Verified| {
        verified.damage += u64::from(matches!(finding, Finding::Damage(_)));
        tell(finding);
    };
    for check in [integrity, references, order] {
        match check(reader, &mut verified) {
            Ok(findings) => findings.into_iter().for_each(|finding| told(finding, &mut verified)),
            Err(JournalError::Damaged { reason, .. }) => told(Finding::Damage(reason), &mut verified),
            Err(error) => return Err(error),
        }
    }
    Ok(verified)
}

fn integrity(reader: &Reader, _: &mut Verified) -> Result<Vec<Finding>, JournalError> {
    let lines = |conn: &Connection| -> rusqlite::Result<Vec<String>> {
        let mut check = conn.prepare(&format!("PRAGMA integrity_check({LINES})"))?;
        check.query_map([], |row| row.get(0))?.collect()
    };
    let lines = match reader.for_checks() {
        Ok(conn) => lines(&conn),
        // Without the constraints, if nobody may write.
        Err(_) => lines(reader.conn()),
    };
    let lines = lines.map_err(|error| reader.error(error))?;
    let lines = lines.iter().flat_map(|text| text.lines()).filter(|line| *line != "ok");
    Ok(lines.map(|line| Finding::Damage(line.to_owned())).collect())
}

fn references(reader: &Reader, _: &mut Verified) -> Result<Vec<Finding>, JournalError> {
    let lines = || -> rusqlite::Result<Vec<String>> {
        let mut check = reader.conn().prepare("PRAGMA foreign_key_check")?;
        let line = |row: &rusqlite::Row| {
            let (table, id, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!("{table} {} refers to a {parent} that is not there", id.unwrap_or_default()))
        };
        check.query_map([], line)?.take(LINES).collect()
    };
    Ok(lines().map_err(|error| reader.error(error))?.into_iter().map(Finding::Damage).collect())
}

fn order(reader: &Reader, verified: &mut Verified) -> Result<Vec<Finding>, JournalError> {
    let mut findings = Vec::new();
    let mut ended = BTreeSet::new();
    let mut clocks: HashMap<(&str, i64), Clock> = HashMap::new();
    each_row(reader, "record", columns::RECORD, columns::record, &mut findings, |row| {
        verified.records += 1;
        clocks.entry(("records", row.session)).or_default().see(row.id, row.stamp.monotonic_ns);
    })?;
    each_row(reader, "event", columns::EVENT, columns::event, &mut findings, |row| {
        verified.events += 1;
        clocks.entry(("events", row.session)).or_default().see(row.id, row.stamp.monotonic_ns);
        if row.kind == "stop" {
            ended.insert(row.session);
        }
    })?;
    let mut backward: Vec<_> = clocks.into_iter().filter_map(|(key, clock)| Some((key, clock.backward?))).collect();
    backward.sort_unstable();
    for ((what, session), (first, times)) in backward {
        findings.push(Finding::Damage(format!(
            "session {session}: the monotonic time of its {what} goes back {times} times, first at number {first}"
        )));
    }
    for session in reader.sessions()? {
        verified.sessions += 1;
        if !ended.contains(&session.id) {
            findings.push(Finding::Note(format!(
                "session {} has no stop: it runs still, or a power cut or a kill ended it",
                session.id
            )));
        }
    }
    Ok(findings)
}

/// Reads a whole table, in short pieces as all readers do. A row with a value that the schema does not allow is a finding, and the
/// rows after it are read too; beyond [`LINES`] such rows are only counted.
fn each_row<T>(
    reader: &Reader,
    table: &str,
    columns: &str,
    read: fn(&rusqlite::Row) -> rusqlite::Result<T>,
    findings: &mut Vec<Finding>,
    mut see: impl FnMut(T),
) -> Result<(), JournalError> {
    let statement = format!("SELECT {columns} FROM {table} WHERE id > ?1 ORDER BY id LIMIT {PIECE}");
    let (mut after, mut bad) = (i64::MIN, 0);
    let mut piece = |findings: &mut Vec<Finding>| -> rusqlite::Result<u64> {
        let mut select = reader.conn().prepare_cached(&statement)?;
        let (mut rows, mut found) = (select.query([after])?, 0);
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            if id <= after {
                // Reading on from here would never come to an end.
                findings.push(Finding::Damage(format!("{table} {id} comes after {table} {after}")));
                return Ok(0);
            }
            after = id;
            found += 1;
            match read(row) {
                Ok(value) => see(value),
                Err(error) => {
                    bad += 1;
                    if bad <= LINES {
                        findings.push(Finding::Damage(format!("{table} {id}: {error}")));
                    }
                }
            }
        }
        Ok(found)
    };
    while piece(findings).map_err(|error| reader.error(error))? > 0 {}
    if bad > LINES {
        findings.push(Finding::Damage(format!("{} more rows of {table} cannot be read", bad - LINES)));
    }
    Ok(())
}

/// Watches one clock.
#[derive(Debug, Default)]
struct Clock {
    last_ns: u64,
    /// The first number whose time is earlier than the one before, and how often that came.
    backward: Option<(i64, u64)>,
}

impl Clock {
    fn see(&mut self, id: i64, time_ns: u64) {
        if time_ns < self.last_ns {
            let (first, times) = self.backward.unwrap_or((id, 0));
            self.backward = Some((first, times + 1));
        }
        self.last_ns = time_ns;
    }
}
