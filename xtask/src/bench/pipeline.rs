//! Instructions that the whole program takes for a frame on emulated boards: read, detect, track, align, classify, log.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use xtask::{arm, cargo, program};

use super::counter::{Counter, PROCESSORS, Processor, counts};
use super::{page, succeed};

/// Boards in the order of [`PROCESSORS`]: name, board file, and million instructions per second on one core.
///
/// Published: the rating by 7-Zip's benchmark, in MIPS, of four cores in sbc-bench's results (github.com/ThomasKaiser/sbc-bench:
/// Results.md for the Raspberry Pi 3 B+ with a fan, 3670, and the 4 B at 1.8 GHz, 5760; results/reviews/RPi-5B-Rev1.0.md for the
/// 5 B, 10340 on average), divided by four.
const BOARDS: [(&str, &str, f64); 3] = [
    ("Raspberry Pi 3", "raspberry-pi-3b", 3670.0 / 4.0),
    ("Raspberry Pi 4", "raspberry-pi-4b", 5760.0 / 4.0),
    ("Raspberry Pi 5", "raspberry-pi-5", 10340.0 / 4.0),
];
/// Lengths of the two runs whose counts are subtracted, so that the start does not count. The difference is a multiple of the
/// boards' detector strides.
const FRAMES: [u64; 2] = [15, 45];
/// Heads in the frames.
const FACES: [usize; 3] = [0, 1, 2];
/// Length of the videos: heads neither cross nor leave before 5 s.
const SECONDS: &str = "3";

/// Counts and writes the page's section. `build` cross-builds the program first.
///
/// # Errors
/// Returns an error if a tool is missing, or a program fails.
pub fn run(build: bool) -> Result<()> {
    let folder = super::folder();
    fs::create_dir_all(&folder)?;
    let counter = Counter::open(&folder)?;
    let program = if build { program::build(arm::TARGET)? } else { program::path(arm::TARGET) };
    let bundle = bundle(&folder)?;
    let mut rows = String::new();
    for faces in FACES {
        let video = folder.join(format!("faces-{faces}.y4m"));
        let mut draw = Command::new(cargo::sibling("draw-video")?);
        draw.args(["--mono", "--seconds", SECONDS, "--faces", &faces.to_string(), "--video"]).arg(&video);
        succeed(&mut draw)?;
        for (processor, (name, board, rate)) in PROCESSORS.iter().zip(BOARDS) {
            let count = |frames| count(&counter, processor, &program, &bundle, &video, board, frames);
            let [short, long] = [count(FRAMES[0])?, count(FRAMES[1])?];
            let frame = (long - short) as f64 / (FRAMES[1] - FRAMES[0]) as f64 / 1e6;
            let row = row(name, processor.name, faces, frame, short as f64 / 1e6, rate);
            eprint!("{row}");
            rows += &row;
        }
    }
    page::write(&section(&rows))
}

/// Returns a copy of the shipped bundle with its detector.
fn bundle(folder: &Path) -> Result<std::path::PathBuf> {
    let copy = folder.join("bundle");
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir_all(&copy)?;
    for entry in fs::read_dir(cargo::workspace_root().join("models/ferplus-edge"))? {
        let path = entry?.path();
        let name = path.file_name().context("a file's name")?.to_owned();
        if name != "detector.onnx" {
            fs::copy(path, copy.join(name))?;
        }
    }
    succeed(Command::new(cargo::sibling("host-trainer")?).arg("detector").arg(&copy).stdout(Stdio::null()))?;
    Ok(copy)
}

/// Counts all instructions of a run.
fn count(
    counter: &Counter,
    processor: &Processor,
    program: &Path,
    bundle: &Path,
    video: &Path,
    board: &str,
    frames: u64,
) -> Result<u64> {
    let folder = super::folder();
    let (stderr, journal) = (folder.join("stderr.txt"), folder.join("journal"));
    let _ = fs::remove_dir_all(&journal);
    fs::create_dir_all(&journal)?;
    let mut command = counter.command(processor, program, &stderr)?;
    command.args(["run", "--board", board, "--threads", "1", "--frames", &frames.to_string()]);
    // Commits are due by the clock, which runs slowly here.
    command.args(["--commit-every", "60"]);
    command.arg("--bundle").arg(bundle).arg("--journal").arg(journal.join("journal.sqlite"));
    command.arg("--source").arg(format!("y4m:{}", video.display())).stdout(Stdio::null());
    succeed(&mut command)?;
    let text = fs::read_to_string(&stderr)?;
    ensure!(text.contains(&format!("done: {frames} frames")), "the run did not end well: {text}");
    counts(&stderr)?.last().copied().context("the emulator's plugin has written no count")
}

fn row(board: &str, processor: &str, faces: usize, frame: f64, start: f64, rate: f64) -> String {
    format!("| {board} | {processor} | {faces} | {frame:.1} | **{:.0}** | {start:.0} |\n", rate / frame)
}

fn section(rows: &str) -> String {
    let mut text = String::from("## Emulated boards, end to end\n\n");
    let rates: Vec<_> = BOARDS.iter().map(|(name, _, rate)| format!("{name} {rate:.0}")).collect();
    let _ = write!(
        text,
        "Millions of instructions that `edge-runtime run` takes for a frame of 640x480 from a video file, on one thread, with the \
         board's own detector stride: read, detect, track, align, classify and log: `cargo xtask bench --emulated`, or \
         `--emulated-pipeline` for this table alone. It is the difference of runs of {} and {} frames; the last column is all of the \
         shorter run, with the start.\n\nFrames per second on one core are an estimate, since instructions are not cycles: the rate at \
         which 7-Zip's benchmark executes instructions on one of four busy cores, a quarter of the MIPS in the results of sbc-bench \
         ({}).\n\n\
         | board | processor | faces | million instructions per frame | frames/s, estimated | start and {} frames |\n\
         | --- | --- | --- | --- | --- | --- |\n{rows}",
        FRAMES[0],
        FRAMES[1],
        rates.join(", "),
        FRAMES[0]
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_per_second_follow_from_instructions() {
        assert_eq!(row("Pi", "cortex-a53", 2, 45.0, 1300.0, 900.0), "| Pi | cortex-a53 | 2 | 45.0 | **20** | 1300 |\n");
        assert!(section("| x |\n").ends_with("| --- |\n| x |\n"));
    }

    #[test]
    fn every_board_has_a_file_and_a_stride_that_divides_the_frames() {
        for (_, board, _) in BOARDS {
            let path = cargo::workspace_root().join("boards").join(format!("{board}.toml"));
            let file: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
            let stride = file["camera"]["detect_every"].as_integer().unwrap() as u64;
            assert_eq!((FRAMES[1] - FRAMES[0]) % stride, 0, "{board}");
        }
    }
}
