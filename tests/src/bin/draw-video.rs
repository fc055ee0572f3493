//! `draw-video`: writes the rendered test video and what is to be seen in it.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use expression_engine::error::Context;
use system_tests::video::{HEIGHT, RATE, Scene, WIDTH, write};

/// Draws a video of two rendered heads (640x480, 30 frames a second) that move, cross, leave and come back.
///
/// Beside it, a JSON line for each face in each frame: frame, face, box (left, top, width, height in pixels), label, strength
/// of the expression and visible share of the face.
#[derive(Parser)]
struct Cli {
    /// The video, in the format y4m.
    #[arg(long, value_name = "FILE")]
    video: PathBuf,
    /// The JSON lines; by default the video's name, ending in .jsonl.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Length in seconds; the movements repeat every 20 s.
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Number of heads: 0, 1 or 2. A head that is not there has the visible share 0.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    faces: u8,
    /// The same seed gives the same video.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write luma alone (Cmono) instead of 4:2:0 with grey chroma.
    #[arg(long)]
    mono: bool,
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    expression_engine::error::finish(|| {
        let scene = Scene::new(cli.seed)?.with_faces(cli.faces.into());
        let truth = cli.truth.clone().unwrap_or_else(|| cli.video.with_extension("jsonl"));
        let create = |path: &PathBuf| {
            File::create(path).map(BufWriter::new).with_context(|| format!("cannot write {}", path.display()))
        };
        let (mut video, mut lines) = (create(&cli.video)?, create(&truth)?);
        let (started, frames) = (Instant::now(), cli.seconds * RATE);
        write(&scene, frames, cli.mono, &mut video, &mut lines).context("cannot write the video")?;
        let rate = frames as f64 / started.elapsed().as_secs_f64();
        eprintln!("{frames} frames of {WIDTH}x{HEIGHT}, {rate:.1} a second: {}", cli.video.display());
        Ok(())
    })
}
