//! Damaged journals.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fs, io};

use arbitrary::{Arbitrary, Unstructured};
use clap::Parser;
use edge_runtime::command::log;
use edge_runtime::frame::Observation;
use edge_runtime::journal::{Config, Face, JournalError, Range, Reader, Session, Writer};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

#[allow(missing_docs, reason = "it is a module of tests")]
#[path = "../../edge-runtime/tests/journal_common/mod.rs"]
pub mod common;

use crate::BETWEEN;

/// Where journals are written for a moment.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| whole().expect("a journal can be written"));

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    log: log::Cmd,
}

fn path() -> PathBuf {
    FOLDER.path().join("journal")
}

fn put(journal: &[u8], log: &[u8]) -> io::Result<PathBuf> {
    let path = path();
    for suffix in ["-shm", "-wal", "-journal"] {
        let _ = fs::remove_file(path.with_file_name(format!("journal{suffix}")));
    }
    fs::write(&path, journal)?;
    if !log.is_empty() {
        fs::write(path.with_file_name("journal-wal"), log)?;
    }
    Ok(path)
}

/// A small journal that is right: records, events of each kind that there is, and a kept face.
///
/// # Errors
/// Of the file system.
pub fn whole() -> io::Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal");
    let session = Session { boot_id: "boot".into(), program: "0".into(), ..common::session() };
    let config = Config { keep_faces: true, ..common::config() };
    let writer = Writer::open(&path, config, session).map_err(io::Error::other)?;
    for frame in 0..6 {
        let face = Face { size: 4, channels: 1, pixels: &[frame as u8; 16] };
        let observation = Observation { name: (frame == 5).then(|| "a.png".into()), ..common::observation(frame, 1) };
        writer.observe_with_faces(&observation, &[Some(face)]);
    }
    for (kind, detail) in common_events() {
        let event = edge_runtime::event::Event::from_parts(kind, Some(detail));
        event.into_iter().for_each(|event| writer.event(event));
    }
    writer.set_cursor("mqtt", 3);
    writer.close("the end").map_err(io::Error::other)?;
    fs::read(&path)
}

fn common_events() -> [(&'static str, &'static str); 4] {
    [
        ("camera_lost", r#"{"reason":"gone"}"#),
        ("camera_back", r#"{"gap_ms":1200}"#),
        ("records_lost", r#"{"records":3,"events":1,"seconds":0.5}"#),
        ("clock_changed", r#"{"synchronised":true,"step_ms":-70000}"#),
    ]
}

/// Runs one of the subcommands that read a journal, with what they leave out: faces, pieces, cursors.
fn read(path: &Path, how: u8) {
    let name = |name: &str| path.with_file_name(name).to_str().expect("a name").to_owned();
    let (journal, out, faces) = (&*name("journal"), &*name("out"), &*name("faces"));
    let commands = [
        &["verify"][..],
        &["stats", "--json"],
        &["stats", "--since", "2026-11-25", "--until", "2026-11-26"],
        &["export", "-o", out],
        &["export", "-o", out, "--format", "jsonl", "--since", "2026-11-25"],
        &["export", "-o", out, "--format", "parquet"],
        &["export", "-o", out, "--format", "parquet", "--events"],
        &["report", "-o", out],
        &["tail"],
        &["faces", "-o", faces],
    ];
    let Some(command) = commands.get(usize::from(how) % (commands.len() + 1)) else {
        let Ok(reader) = Reader::open(path) else { return };
        let _ = reader.set_cursor("mqtt", 5);
        let _ = reader.cursor("mqtt");
        let _ = reader.each_record(&Range::default(), |row| reader.face(row.id).map(|_| ()));
        let _ = reader.entries_after(0, 5).map_err(|error: JournalError| error.to_string());
        return;
    };
    let line = [&["log"], *command, &["--journal", journal]].concat();
    let cli = Cli::try_parse_from(line).expect("flags that are right");
    if let Err(error) = cli.log.run() {
        _ = error.to_string();
    }
    let _ = fs::remove_dir_all(faces);
}

/// Reads a file as a journal; its last byte says how, and what stands behind a line of dashes is its write-ahead log.
pub fn file(bytes: &[u8]) {
    let Some((how, bytes)) = bytes.split_last() else { return };
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN).unwrap_or(bytes.len());
    if let Ok(path) = put(&bytes[..at], bytes.get(at + BETWEEN.len()..).unwrap_or_default()) {
        read(&path, *how);
    }
}

/// A value in a row where the schema would not have it.
#[derive(Debug, Arbitrary)]
pub struct Edit {
    table: u8,
    row: u8,
    column: u8,
    value: Kind,
}

/// What it is.
#[derive(Debug, Arbitrary)]
enum Kind {
    Null,
    Small(i8),
    Integer(i64),
    Extreme(u8),
    Real(f64),
    Text(String),
    Detail(u8, u64),
    Blob(Vec<u8>),
    /// The row goes.
    Gone,
}

/// Numbers that chance does not find.
const EXTREMES: [i64; 7] = [i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, u32::MAX as i64, i64::MAX / 60_000_000, -1];
const TABLES: [&str; 7] = ["record", "event", "session", "minute", "face", "cursor", "record"];

/// Makes edits of the bytes, and reads a journal with these edits.
pub fn edited(bytes: &[u8]) {
    if let Ok((how, edits)) = <(u8, Vec<Edit>)>::arbitrary_take_rest(Unstructured::new(bytes)) {
        rows(&edits, how);
    }
}

/// Writes values into the rows of a journal whatever the schema says, and reads it.
pub fn rows(edits: &[Edit], how: u8) {
    let Ok(path) = put(&WHOLE, b"") else { return };
    if let Ok(conn) = Connection::open(&path) {
        let _ = change(&conn, edits);
    }
    read(&path, how);
}

/// SQLite holds to a table's declaration, so it is loosened first, and in the end put back as it was.
fn change(conn: &Connection, edits: &[Edit]) -> rusqlite::Result<()> {
    conn.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
         PRAGMA writable_schema = ON; CREATE TEMP TABLE kept AS SELECT name, sql FROM main.sqlite_schema;
         UPDATE main.sqlite_schema SET sql = replace(replace(sql, ' STRICT, WITHOUT', ' WITHOUT'), ' STRICT', '');
         UPDATE main.sqlite_schema SET sql = replace(sql, ' NOT NULL', '');
         PRAGMA writable_schema = RESET;",
    )?;
    for edit in edits.iter().take(12) {
        let table = TABLES[usize::from(edit.table) % TABLES.len()];
        let key = match table {
            "minute" => "minute",
            "cursor" => "name",
            _ => "rowid",
        };
        let count: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        let names: Vec<String> = {
            let statement = conn.prepare(&format!("SELECT * FROM {table}"))?;
            statement.column_names().map(str::to_owned).collect()
        };
        let (row, column) = (i64::from(edit.row) % count.max(1), &names[usize::from(edit.column) % names.len()]);
        let place = format!("{key} = (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {row})");
        let value = match &edit.value {
            Kind::Gone => {
                conn.execute(&format!("DELETE FROM {table} WHERE {place}"), [])?;
                continue;
            }
            Kind::Null => Value::Null,
            Kind::Small(number) => Value::Integer((*number).into()),
            Kind::Integer(number) => Value::Integer(*number),
            Kind::Extreme(which) => Value::Integer(EXTREMES[usize::from(*which) % EXTREMES.len()]),
            Kind::Real(number) => Value::Real(*number),
            Kind::Text(text) => Value::Text(text.clone()),
            Kind::Blob(bytes) => Value::Blob(bytes.clone()),
            Kind::Detail(key, number) => {
                let keys = ["gap_ms", "records", "events", "step_ms", "frames", "millicelsius"];
                Value::Text(format!("{{\"{}\":{number}}}", keys[usize::from(*key) % keys.len()]))
            }
        };
        // Some places take a value of one type only, such as the numbers of rows.
        let _ = conn.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE {place}"), params_from_iter([value]));
    }
    conn.execute_batch(
        "PRAGMA writable_schema = ON;
         UPDATE main.sqlite_schema SET sql = (SELECT kept.sql FROM kept WHERE kept.name = sqlite_schema.name);",
    )
}
