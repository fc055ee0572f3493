//! `host-trainer predict`

use std::path::{Path, PathBuf};

use expression_engine::{Bundle, files};

use crate::assets;
use crate::error::{Context, Error};
use crate::predict::{self, Classifier};

/// Show what a bundle says about pictures: JSON lines or CSV, annotated pictures and a gallery.
///
/// Pictures are read and classified by `edge-runtime classify`, so the answers are the board's own: faces are found, aligned and
/// judged as `run` does it, and a label that is less sure than the bundle demands is left out. For a video use
/// `edge-runtime run --source FILE --print` (docs/sources.md), which also tracks faces and smooths their labels.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  host-trainer predict --bundle models/ferplus-edge holiday/*.jpg
  host-trainer predict --bundle models/ferplus-edge --format csv holiday > holiday.csv
  host-trainer predict --bundle models/ferplus-edge --out gallery holiday
  find . -name '*.jpg' | host-trainer predict --bundle models/ferplus-edge -")]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Pictures, folders of them, patterns, or - for names on stdin, one per line.
    #[arg(required = true, value_name = "PICTURES")]
    inputs: Vec<String>,
    /// Take each picture to be a face, cropped or aligned, instead of looking for faces.
    #[arg(long)]
    cropped: bool,
    /// What is written to stdout; nothing if --out is given.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Folder for index.html (the gallery), annotated pictures (SVG), predictions.csv and predictions.jsonl: a new or
    /// an empty one. It holds copies of the pictures.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Program edge-runtime, which classifies.
    /// By default the one beside host-trainer, or else the one on the PATH.
    #[arg(long, value_name = "PROGRAM")]
    edge_runtime: Option<PathBuf>,
}

/// Formats of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One JSON object per picture, as docs/records.md describes it.
    Jsonl,
    /// One row per face.
    Csv,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if an input leads to no picture, the bundle is refused, a picture cannot be read or a file cannot be
    /// written.
    pub fn run(&self) -> crate::Result<()> {
        if let Some(folder) = &self.out {
            require_empty(folder)?;
        }
        let pictures = predict::pictures(&self.inputs, std::io::stdin().lock())?;
        let edge_runtime = assets::edge_runtime(self.edge_runtime.as_deref());
        let classifier = Classifier { edge_runtime, bundle: self.bundle.clone(), align: !self.cropped };
        let unreadable = match &self.out {
            Some(folder) => {
                let was_there = folder.exists();
                self.write(&classifier, &pictures, folder).inspect_err(|_| remove(folder, was_there))?
            }
            None => self.print(&classifier, &pictures)?,
        };
        let total = pictures.len();
        match unreadable {
            0 => Ok(()),
            _ => Err(predict::unreadable_pictures(unreadable, total)),
        }
    }

    fn print(&self, classifier: &Classifier, pictures: &[PathBuf]) -> crate::Result<usize> {
        if self.format == Format::Jsonl {
            return predict::classify(classifier, pictures, |line, _| crate::error::print(line));
        }
        crate::error::print(&csv_line(predict::csv_head())?)?;
        predict::classify(classifier, pictures, |_, prediction| {
            predict::csv_rows(&prediction).into_iter().try_for_each(|row| crate::error::print(&csv_line(row)?))
        })
    }

    fn write(&self, classifier: &Classifier, pictures: &[PathBuf], folder: &Path) -> crate::Result<usize> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let (mut lines, mut table) = (String::new(), csv::Writer::from_writer(Vec::new()));
        table.write_record(predict::csv_head())?;
        let mut shown = Vec::new();
        let unreadable = predict::classify(classifier, pictures, |line, prediction| {
            let path = PathBuf::from(&prediction.file);
            let name = predict::annotated_name(shown.len() + 1, &path);
            files::write_bytes(&folder.join(&name), predict::annotated(&path, &prediction)?.as_bytes())?;
            lines.push_str(line);
            lines.push('\n');
            predict::csv_rows(&prediction).iter().try_for_each(|row| table.write_record(row))?;
            shown.push((name, prediction));
            Ok(())
        })?;
        // The folders of bundles have all the same name.
        let bundle = Bundle::open(&self.bundle)?.manifest().name.clone();
        files::write_bytes(&folder.join("predictions.jsonl"), lines.as_bytes())?;
        files::write_bytes(&folder.join("predictions.csv"), &predict::csv_bytes(table)?)?;
        files::write_bytes(&folder.join("index.html"), predict::gallery(&bundle, &shown, unreadable).as_bytes())?;
        crate::error::print(&folder.join("index.html").display().to_string())?;
        Ok(unreadable)
    }
}

/// A row of CSV without the end of its line.
fn csv_line<T: AsRef<[u8]>>(fields: Vec<T>) -> crate::Result<String> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(fields)?;
    Ok(String::from_utf8_lossy(&predict::csv_bytes(line)?).trim_end().to_owned())
}

/// Removes what was written to a folder that was empty: half a gallery would be in the way of the next try.
fn remove(folder: &Path, was_there: bool) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.for_each(|entry| drop(std::fs::remove_file(entry.path())));
    if !was_there {
        let _ = std::fs::remove_dir(folder);
    }
}

fn require_empty(folder: &Path) -> crate::Result<()> {
    if folder.exists() && !folder.is_dir() {
        return Err(Error::BadInput(format!("cannot write to {}: it is a file; name a folder", folder.display())));
    }
    let is_empty = !folder.exists() || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    let advice = "give another --out, or remove it";
    is_empty.then_some(()).ok_or_else(|| Error::BadInput(format!("{} is not empty; {advice}", folder.display())))
}
