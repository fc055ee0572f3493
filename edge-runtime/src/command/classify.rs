//! `edge-runtime classify`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde_json::json;

use crate::exit::BadInput;
use crate::{Engine, Picture, Scores};

/// Classifies face pictures: a JSON line a file with label, scores and milliseconds.
///
/// A picture that holds just a face (aligned, or cropped loosely) is taken as it is: its centred square is resampled to
/// what the net sees.
#[derive(clap::Args)]
pub struct Cmd {
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Pictures: PNG, JPEG, BMP or PNM.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Cmd {
    /// Runs the command. A picture that cannot be read is named on stderr and the others are still classified.
    ///
    /// # Errors
    /// Where the bundle is refused, or any picture could not be read.
    pub fn run(&self) -> anyhow::Result<()> {
        let (_, engine) = super::open(&self.bundle)?;
        let mut out = std::io::stdout().lock();
        let mut unreadable = 0;
        for file in &self.files {
            match classify(&engine, file) {
                Ok(line) => match writeln!(out, "{line}") {
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                    written => written.context("cannot write to stdout")?,
                },
                Err(error) => {
                    eprintln!("skipped: {}", crate::exit::one_line(&error));
                    unreadable += 1;
                }
            }
        }
        if unreadable > 0 {
            let total = self.files.len();
            return Err(BadInput(format!("{unreadable} of {total} pictures could not be read; they are named above")).into());
        }
        Ok(())
    }
}

fn classify(engine: &Engine, file: &Path) -> anyhow::Result<serde_json::Value> {
    let picture = Picture::open(file)?;
    let started = Instant::now();
    let face = picture.aligned_face(engine.input())?;
    let scores = engine.classify(&face)?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    Ok(line(file, engine, &scores, ms))
}

fn line(file: &Path, engine: &Engine, scores: &Scores, ms: f64) -> serde_json::Value {
    let names = engine.labels().iter().map(|label| label.name().to_owned());
    let probability: serde_json::Map<_, _> =
        names.zip(&scores.probability).map(|(name, value)| (name, json!((value * 1e4).round() / 1e4))).collect();
    json!({
        "file": file.display().to_string(),
        "label": engine.labels()[scores.class].name(),
        "scores": probability,
        "integer_scores": scores.integer,
        "ms": (ms * 1e3).round() / 1e3,
    })
}
