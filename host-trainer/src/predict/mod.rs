//! `host-trainer predict`: what a bundle says of pictures, by the board's own program.
//!
//! [`classify`] starts `edge-runtime classify`, so that a picture is read, its faces are found, aligned, judged and labelled as
//! the board does it, and hands on each [`Prediction`]. [`annotated`] draws one, [`gallery`] puts them on a page.

mod gallery;
mod input;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};

use expression_core::Label;
use expression_engine::line::{one_line, tell};
use serde::{Deserialize, Serialize};

pub use gallery::{annotated, gallery};
pub use input::pictures;

use crate::error::{Context, Error};

/// Most bytes of paths in one command line, far below what systems allow.
const MAX_ARGUMENTS: usize = 64 << 10;

/// What was seen in a picture: a line of `edge-runtime classify`, see `docs/records.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The picture.
    pub file: String,
    /// Width in pixels.
    pub frame_width: u32,
    /// Height in pixels.
    pub frame_height: u32,
    /// The faces, the largest first.
    pub faces: Vec<FacePrediction>,
}

/// What was seen of a face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacePrediction {
    /// Left, top, width and height in pixels; `None` if the picture was taken to be the face.
    #[serde(rename = "box")]
    pub bounds: Option<[i32; 4]>,
    /// `good`, or why the face cannot be read; `None` if it was not judged.
    pub quality: Option<String>,
    /// The expression; `None` if nothing is sure enough.
    pub label: Option<String>,
    /// Probability of the likeliest label.
    pub confidence: Option<f64>,
    /// Probabilities by label.
    pub scores: Option<BTreeMap<String, f64>>,
}

impl FacePrediction {
    /// The face in a few words: `happiness 97 %`, `unsure`, or why it cannot be read.
    pub fn caption(&self) -> String {
        match (&self.label, self.confidence, &self.quality) {
            (Some(label), Some(confidence), _) => format!("{label} {:.0} %", 100.0 * confidence),
            (None, Some(_), _) => "unsure".to_owned(),
            (_, _, quality) => quality.clone().unwrap_or_else(|| "not read".to_owned()),
        }
    }
}

/// How pictures are classified.
#[derive(Debug, Clone)]
pub struct Classifier {
    /// The program of the board.
    pub edge_runtime: PathBuf,
    /// Folder of the bundle.
    pub bundle: PathBuf,
    /// Whether faces are found and aligned first; otherwise each picture is taken to be a face.
    pub align: bool,
}

/// Classifies pictures in their order, and hands on each line with what it says. Returns how many pictures could not be read; the
/// program has named them on stderr.
///
/// # Errors
/// Returns an error if the program cannot be started or refuses the bundle, if no picture could be read, or the one of `each`.
pub fn classify(
    classifier: &Classifier,
    pictures: &[PathBuf],
    mut each: impl FnMut(&str, Prediction) -> crate::Result<()>,
) -> crate::Result<usize> {
    // The program's answers are JSON, which cannot hold such a name.
    let (named, nameless): (Vec<PathBuf>, Vec<PathBuf>) =
        pictures.iter().cloned().partition(|picture| picture.to_str().is_some());
    for picture in &nameless {
        tell(format_args!("skipped: {}: its name is not UTF-8; rename it", one_line(&picture.display().to_string())));
    }
    let mut unreadable = nameless.len();
    for part in by_length(&named) {
        crate::interrupt::check()?;
        unreadable += classify_some(classifier, part, &mut each)?;
    }
    match pictures.len() {
        total if total > 0 && unreadable == total => Err(unreadable_pictures(unreadable, total)),
        _ => Ok(unreadable),
    }
}

/// The error that pictures could not be read.
pub fn unreadable_pictures(unreadable: usize, total: usize) -> Error {
    Error::BadInput(format!("{unreadable} of {total} pictures could not be read; they are named above"))
}

fn classify_some(
    classifier: &Classifier,
    pictures: &[PathBuf],
    each: &mut impl FnMut(&str, Prediction) -> crate::Result<()>,
) -> crate::Result<usize> {
    let Classifier { edge_runtime, bundle, align } = classifier;
    let mut command = Command::new(edge_runtime);
    command.arg("classify").arg("--bundle").arg(bundle);
    if *align {
        command.arg("--align");
    }
    // A name that begins with a dash is still a file.
    command.arg("--").args(pictures).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = command.spawn().map_err(|error| {
        let advice = "install edge-runtime, or name it with --edge-runtime";
        Error::BadInput(format!("cannot start {}: {error}; {advice}", edge_runtime.display()))
    })?;
    let talk = program.stderr.take().map(|talk| std::thread::spawn(|| pass_on(talk)));
    let mut read = 0;
    let lines = program.stdout.take().map(BufReader::new);
    for line in lines.into_iter().flat_map(BufRead::lines) {
        let line = line.context("cannot read what edge-runtime says")?;
        let prediction: Prediction =
            serde_json::from_str(&line).context("edge-runtime is of another version than host-trainer")?;
        read += 1;
        each(&line, prediction)?;
    }
    let status = program.wait()?;
    let Talk { reason, skipped } = talk.and_then(|talk| talk.join().ok()).unwrap_or_default();
    let reason = reason.unwrap_or_else(|| format!("edge-runtime classify ended with {status}"));
    let whole = read + skipped == pictures.len();
    // With exit code 2 it has named the pictures that it could not read, or it refused the bundle.
    match status.code() {
        Some(0) if read < pictures.len() => {
            let program = edge_runtime.display();
            Err(Error::BadInput(format!("{program} is not edge-runtime: it says nothing about pictures")))
        }
        Some(0) => Ok(0),
        Some(2) if whole => Ok(skipped),
        Some(2) => Err(Error::BadInput(reason)),
        _ => Err(Error::Failed(reason)),
    }
}

/// What the program said on stderr.
#[derive(Default)]
struct Talk {
    /// Its error.
    reason: Option<String>,
    /// Pictures that it could not read.
    skipped: usize,
}

/// Writes what a program says to stderr, except its error, which is returned: this program's own error takes its place.
fn pass_on(talk: ChildStderr) -> Talk {
    let mut said = Talk::default();
    for line in BufReader::new(talk).lines().map_while(Result::ok) {
        said.skipped += usize::from(line.starts_with("skipped: "));
        match line.strip_prefix("error: ") {
            Some(error) => said.reason = Some(error.to_owned()),
            None => tell(&line),
        }
    }
    said
}

/// Pictures in parts whose paths fit into a command line.
fn by_length(pictures: &[PathBuf]) -> impl Iterator<Item = &[PathBuf]> {
    let mut rest = pictures;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |path: &&PathBuf| {
            bytes += path.as_os_str().len() + 1;
            bytes <= MAX_ARGUMENTS
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (part, after) = rest.split_at(count);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// The heading of the table.
pub fn csv_head() -> Vec<&'static str> {
    let own = ["file", "face", "left", "top", "width", "height", "quality", "label", "confidence"];
    own.into_iter().chain(Label::ALL.map(Label::name)).collect()
}

/// The rows of the table: one per face, or one without a face.
pub fn csv_rows(prediction: &Prediction) -> Vec<Vec<String>> {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let row = |(place, face): (usize, &FacePrediction)| {
        let bounds = face.bounds.map_or([const { String::new() }; 4], |bounds| bounds.map(|side| side.to_string()));
        let score = |label: Label| number(face.scores.as_ref().and_then(|scores| scores.get(label.name()).copied()));
        let mut row = vec![prediction.file.clone(), (place + 1).to_string()];
        row.extend(bounds);
        row.push(face.quality.clone().unwrap_or_default());
        row.push(face.label.clone().unwrap_or_default());
        row.push(number(face.confidence));
        row.extend(Label::ALL.map(score));
        row
    };
    if prediction.faces.is_empty() {
        let mut row = vec![String::new(); csv_head().len()];
        row[0].clone_from(&prediction.file);
        return vec![row];
    }
    prediction.faces.iter().enumerate().map(row).collect()
}

/// The bytes of a table that has been written.
///
/// # Errors
/// Returns an error if the table is not whole.
pub fn csv_bytes(table: csv::Writer<Vec<u8>>) -> crate::Result<Vec<u8>> {
    table.into_inner().map_err(|error| Error::Failed(error.to_string()))
}

/// The name of a picture's file in the gallery: its number, so that pictures of the same name do not collide, and its own name.
pub fn annotated_name(number: usize, picture: &Path) -> String {
    let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
    // File names have at most 255 bytes.
    let plain: String =
        stem.chars().take(50).map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    format!("{number:05}-{plain}.svg")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction() -> Prediction {
        let line = r#"{"file":"a b.png","time":null,"frame":null,"frame_width":640,"frame_height":480,"latency_ms":1.5,
            "celsius":null,"faces":[{"track":null,"box":[10,20,30,40],"quality":"good","label":"happiness","confidence":0.97,
            "scores":{"neutral":0.03,"happiness":0.97},"integer_scores":[1,9]},{"track":null,"box":[1,2,3,4],
            "quality":"small","label":null,"confidence":null,"scores":null,"integer_scores":null}]}"#;
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn a_line_of_the_board_becomes_rows_and_captions() {
        let prediction = prediction();
        let rows = csv_rows(&prediction);
        assert!(rows.iter().all(|row| row.len() == csv_head().len()));
        assert_eq!(rows[0][..11].join(","), "a b.png,1,10,20,30,40,good,happiness,0.97,0.03,0.97");
        assert_eq!(rows[1].join(","), "a b.png,2,1,2,3,4,small,,,,,,,,,,");
        let captions: Vec<String> = prediction.faces.iter().map(FacePrediction::caption).collect();
        assert_eq!(captions, ["happiness 97 %", "small"]);
        let empty = csv_rows(&Prediction { faces: Vec::new(), ..prediction });
        assert_eq!((empty.len(), empty[0][0].as_str()), (1, "a b.png"));
    }

    #[test]
    fn command_lines_stay_short_and_lose_nothing() {
        let pictures: Vec<PathBuf> = (0..5000).map(|number| format!("{number:040}.png").into()).collect();
        let parts: Vec<&[PathBuf]> = by_length(&pictures).collect();
        assert!(parts.len() > 2 && parts.concat() == pictures);
        let long = [PathBuf::from("x".repeat(2 * MAX_ARGUMENTS)), "y".into()];
        assert_eq!(by_length(&long).map(<[PathBuf]>::len).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(by_length(&[]).count(), 0);
    }

    #[test]
    fn a_page_escapes_names_and_embeds_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("<b>.png");
        image::RgbImage::new(64, 48).save(&path).unwrap();
        let prediction = Prediction { file: path.display().to_string(), ..prediction() };
        let svg = annotated(&path, &prediction).unwrap();
        assert!(svg.contains("happiness 97 %") && svg.contains("data:image/png;base64,"));
        assert!(svg.starts_with("<svg") && svg.contains("viewBox=\"0 0 640 480\""));
        let page = gallery("bundle <x>", &[(annotated_name(3, &path), prediction)], 1);
        assert!(page.contains("00003--b-.svg") && page.contains("&lt;b&gt;.png") && !page.contains("<b>.png"));
    }
}
