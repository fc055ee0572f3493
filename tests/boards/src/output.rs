//! What `edge-runtime` prints: JSON lines and CSV, as far as the suites compare it.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The command that prints a journal's events, one JSON object per line; the journal's path follows.
pub const EXPORT_EVENTS: &str = "edge-runtime log export --events --format jsonl --journal";

/// The command that prints a journal's records as CSV; the journal's path follows.
pub const EXPORT_RECORDS: &str = "edge-runtime log export --format csv --journal";

/// A frame, as `run --print` reports it.
#[derive(Deserialize)]
pub struct Frame {
    /// The faces in it.
    pub faces: Vec<Face>,
}

/// A face in a frame, without its track, time and confidence.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Face {
    /// Left, top, width and height in pixels.
    #[serde(rename = "box")]
    pub bounds: [i32; 4],
    /// Why it is classified or not.
    pub quality: String,
    /// The label, if one is sure enough.
    pub label: Option<String>,
    /// The net's outputs, if it was classified.
    pub integer_scores: Option<Vec<i32>>,
}

/// A picture, as `classify` reports it.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Classification {
    /// The picture's path.
    pub file: String,
    /// The faces in it: one, the whole picture, unless faces are looked for.
    pub faces: Vec<ClassifiedFace>,
}

/// A face, as `classify` reports it.
#[derive(Debug, Deserialize, PartialEq)]
pub struct ClassifiedFace {
    /// The net's outputs.
    pub integer_scores: Vec<i32>,
}

/// The report of `selftest`.
#[derive(Deserialize)]
pub struct SelfTest {
    /// Vectors that were replayed.
    pub vectors: u32,
}

/// The report of `bench --json`.
#[derive(Deserialize)]
pub struct Bench {
    /// The kernels that were used.
    pub kernels: Vec<String>,
}

/// An event of a journal.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// The event's name.
    pub event: String,
    /// When it happened, by the monotonic clock in microseconds.
    pub monotonic_us: u64,
    #[serde(default)]
    detail: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Event {
    /// Returns a field of the details.
    pub fn detail(&self, field: &str) -> Option<serde_json::Value> {
        self.detail.as_ref()?.get(field).cloned()
    }
}

/// A record of a journal, by its place and time only.
#[derive(Deserialize)]
pub struct RecordStamp {
    /// The record's id.
    pub id: u64,
    /// When its frame was captured, by the monotonic clock in microseconds.
    pub monotonic_us: u64,
}

/// Reads the JSON objects among the lines of an output. Other lines are ignored: a console shows the kernel's messages too.
///
/// # Errors
/// Returns an error if a line that begins an object is not what it should be.
pub fn json_lines<T: DeserializeOwned>(output: &str) -> Result<Vec<T>> {
    let objects = output.lines().filter(|line| line.starts_with('{'));
    objects.map(|line| serde_json::from_str(line).with_context(|| format!("unexpected JSON: {line}"))).collect()
}

/// Reads the only JSON object of an output.
///
/// # Errors
/// Returns an error if there is none or more than one.
pub fn json<T: DeserializeOwned>(output: &str) -> Result<T> {
    let mut objects = json_lines(output)?;
    let object = objects.pop().with_context(|| format!("no JSON object in {output:?}"))?;
    ensure!(objects.is_empty(), "more than one JSON object in {output:?}");
    Ok(object)
}

/// Reads CSV with a header.
///
/// # Errors
/// Returns an error if a row is not what it should be.
pub fn csv_rows<T: DeserializeOwned>(output: &str) -> Result<Vec<T>> {
    let rows = csv::Reader::from_reader(output.as_bytes()).into_deserialize().collect::<Result<_, _>>();
    rows.with_context(|| format!("unexpected CSV: {output:?}"))
}

/// Returns the name and scores of each picture from the output of `classify`.
///
/// # Errors
/// Returns an error if the output is not what it should be.
pub fn classifications(output: &str) -> Result<Vec<Classification>> {
    let mut pictures: Vec<Classification> = json_lines(output)?;
    for picture in &mut pictures {
        picture.file = file_name(&picture.file);
    }
    Ok(pictures)
}

/// Returns the rows of a journal's CSV without the columns that depend on the machine and the time, and with files without their
/// folders. These rows are equal on each machine that saw the same frames.
///
/// # Errors
/// Returns an error if the columns are not those that are known.
pub fn comparable_rows(csv: &str) -> Result<Vec<Vec<String>>> {
    const MACHINE: [&str; 8] =
        ["id", "time", "clock_synchronised", "monotonic_us", "boot_id", "session", "latency_ms", "celsius"];
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers()?.clone();
    let compared: Vec<usize> = (0..header.len()).filter(|column| !MACHINE.contains(&&header[*column])).collect();
    ensure!(compared.len() + MACHINE.len() == header.len(), "unexpected columns: {header:?}");
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row?;
        let value = |column: &usize| match &header[*column] {
            "file" => file_name(&row[*column]),
            _ => row[*column].to_owned(),
        };
        rows.push(compared.iter().map(value).collect());
    }
    Ok(rows)
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_among_the_lines_of_a_console() {
        let output = "[    1.2] a message of the kernel\n\
                      {\"frame\":1,\"faces\":[{\"track\":1,\"box\":[1,-2,3,4],\"quality\":\"good\",\"label\":null,\
                      \"confidence\":0.5,\"integer_scores\":[152,114]}]}\n";
        let frames: Vec<Frame> = json_lines(output).unwrap();
        let face = &frames[0].faces[0];
        assert_eq!((face.bounds, face.quality.as_str(), &face.label), ([1, -2, 3, 4], "good", &None));
        assert_eq!(face.integer_scores, Some(vec![152, 114]));
        assert!(json_lines::<Frame>("{\"faces\":[").is_err());
        assert_eq!(json::<SelfTest>("a note\n{\"vectors\":32,\"differences\":0}\n").unwrap().vectors, 32);
        assert!(json::<SelfTest>("a note\n").is_err());
        assert!(json::<SelfTest>("{\"vectors\":1}\n{\"vectors\":2}\n").is_err());
    }

    #[test]
    fn pictures_are_named_without_their_folders() {
        let line =
            r#"{"file":"/a/b/000.png","faces":[{"label":"neutral","scores":{"neutral":0.7},"integer_scores":[152]}]}"#;
        let faces = vec![ClassifiedFace { integer_scores: vec![152] }];
        let picture = Classification { file: "000.png".into(), faces };
        assert_eq!(classifications(line).unwrap(), [picture]);
    }

    #[test]
    fn details_of_events_are_objects() {
        let line = r#"{"id":3,"time":"x","monotonic_us":7,"event":"camera_back","detail":{"gap_ms":1200}}"#;
        let event: Event = json(line).unwrap();
        assert_eq!((event.event.as_str(), event.monotonic_us), ("camera_back", 7));
        assert_eq!(event.detail("gap_ms").unwrap().as_u64(), Some(1200));
        assert_eq!(event.detail("other"), None);
    }

    #[test]
    fn rows_are_compared_without_what_belongs_to_the_machine() {
        let header = "id,time,clock_synchronised,monotonic_us,boot_id,session,frame,file,latency_ms,celsius";
        let csv = format!("{header}\n1,now,true,5,b,1,17,\"/here/a, b.png\",1.5,\n2,now,true,6,b,1,18,,1.5,40\n");
        assert_eq!(comparable_rows(&csv).unwrap(), [["17", "a, b.png"], ["18", ""]]);
        assert_eq!(csv_rows::<RecordStamp>(&csv).unwrap()[1].monotonic_us, 6);
        assert!(comparable_rows("id,frame\n1,2\n").is_err());
        assert!(comparable_rows(&format!("{header}\n1,2\n")).is_err());
    }
}
