//! Rungs 4 and 5 of the parity ladder: the bundle's vectors, 200 rendered faces and a video through the whole pipeline give the
//! host's results to the last bit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use xtask::{cargo, process};

use crate::fault::Fault;
use crate::files::empty_folder;
use crate::frames;
use crate::lab::Lab;
use crate::machine::Board;
use crate::output::{self, Bench, Classification, EXPORT_RECORDS, SelfTest};
use crate::suite::Figures;

/// The emulated processors, and a Raspberry Pi.
const BOARDS: [Board; 4] =
    [Board::Pi3, Board::Virt("cortex-a53"), Board::Virt("cortex-a72"), Board::Virt("cortex-a76")];
/// How many rendered faces each board classifies.
const FACES: usize = 200;
/// How many frames go through the whole pipeline. An emulated board takes seconds to detect faces in one.
const FRAMES: usize = 20;

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("parity");
    fs::create_dir_all(&work)?;
    let faces = render_faces(&work)?;
    let luma = frames::luma(&work, 1)?;
    let video = work.join("chosen.y4m");
    frames::write_y4m(&video, &luma[..FRAMES], "30:1")?;
    let expected = results_on_host(lab, &work, &faces, &video)?;
    ensure!(expected.scores.len() == FACES, "the host classified {} of {FACES} faces", expected.scores.len());
    ensure!(expected.rows.len() >= FRAMES, "the host found {} faces in {FRAMES} frames", expected.rows.len());
    BOARDS.iter().map(|board| test_board(lab, *board, &faces, &video, &expected)).collect()
}

/// The host's results.
struct Expected {
    /// Scores of the faces.
    scores: Vec<Classification>,
    /// Records of the video.
    rows: Vec<Vec<String>>,
    /// Hashes of the records' aligned faces, sorted, one per line.
    aligned: String,
}

/// Renders faces of all classes, and returns their folder.
fn render_faces(work: &Path) -> Result<PathBuf> {
    let (drawn, faces) = (work.join("drawn"), work.join("faces"));
    let _ = fs::remove_dir_all(&drawn);
    empty_folder(&faces)?;
    process::run(
        Command::new(cargo::sibling("host-trainer")?)
            .args(["draw", "--layout", "folder", "--subjects", "2", "--out"])
            .arg(&drawn),
    )?;
    let mut pictures = Vec::new();
    for class in fs::read_dir(&drawn)? {
        let class = class?.path();
        if class.is_dir() {
            for picture in fs::read_dir(class)? {
                pictures.push(picture?.path());
            }
        }
    }
    pictures.sort();
    // Evenly spaced, so that every class is among them.
    for number in 0..FACES {
        fs::copy(&pictures[number * pictures.len() / FACES], faces.join(format!("{number:03}.png")))?;
    }
    Ok(faces)
}

fn results_on_host(lab: &Lab, work: &Path, faces: &Path, video: &Path) -> Result<Expected> {
    let mut pictures = fs::read_dir(faces)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    pictures.sort();
    let output = process::run(lab.host().args(["classify", "--bundle"]).arg(&lab.bundle).args(pictures))?;
    let journal = work.join("host.sqlite");
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(work.join(format!("host.sqlite{ending}")));
    }
    let source = format!("y4m:{}", video.display());
    let mut run = lab.host();
    run.args(["run", "--board", "generic-x86-64", "--records-per-second", "1000", "--keep-faces", "--source", &source]);
    process::run(run.arg("--bundle").arg(&lab.bundle).arg("--journal").arg(&journal))?;
    let csv = process::run(lab.host().args(["log", "export", "--format", "csv", "--journal"]).arg(&journal))?;
    let aligned = work.join("aligned");
    let _ = fs::remove_dir_all(&aligned);
    process::run(lab.host().args(["log", "faces", "--journal"]).arg(&journal).arg("--output").arg(&aligned))?;
    let mut sums = Vec::new();
    for entry in fs::read_dir(&aligned)? {
        let path = entry?.path();
        // Beside the faces lies a table, which tells when they were seen.
        if path.extension().is_none_or(|extension| extension != "png") {
            continue;
        }
        let sum = Sha256::digest(fs::read(path)?);
        sums.push(sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    sums.sort();
    Ok(Expected {
        scores: output::classifications(&output)?,
        rows: output::comparable_rows(&csv)?,
        aligned: sums.join("\n"),
    })
}

/// Compares a board with the host.
fn test_board(lab: &Lab, board: Board, faces: &Path, video: &Path, expected: &Expected) -> Result<Figures> {
    let mut payload = lab.payload()?;
    payload.tree("payload/faces", faces)?;
    payload.copy("payload/video.y4m", video)?;
    let mut guest = lab.machine(board, "parity", &payload).boot()?;
    if lab.has(Fault::Weight) {
        guest.run("flip-weight")?;
    }
    let selftest: SelfTest = output::json(&guest.run("edge-runtime selftest --bundle /payload/bundle")?)?;
    let classified = guest.run("edge-runtime classify --bundle /payload/bundle /payload/faces/*.png")?;
    require_equal(board, "faces", &output::classifications(&classified)?, &expected.scores)?;
    guest.run("watch-video")?;
    let csv = guest.run(&format!("{EXPORT_RECORDS} /tmp/j.sqlite"))?;
    require_equal(board, "records", &output::comparable_rows(&csv)?, &expected.rows)?;
    let hashes = guest.run("hash-faces")?;
    ensure!(hashes.trim() == expected.aligned, "{}: aligned faces differ from the host's", board.name());
    let bench: Bench = output::json(&guest.run("edge-runtime bench --bundle /payload/bundle --iterations 1 --json")?)?;
    let text = format!(
        "kernel {}: {} vectors, {} faces, {} records of a video: 0 LSB from the host; {} aligned faces are the same bytes",
        bench.kernels.first().context("the board used no kernel")?,
        selftest.vectors,
        expected.scores.len(),
        expected.rows.len(),
        expected.aligned.lines().count()
    );
    Ok(Figures { board: board.name(), text })
}

fn require_equal<T: PartialEq>(board: Board, kind: &str, on_board: &[T], on_host: &[T]) -> Result<()> {
    let (ours, theirs) = (on_board.len(), on_host.len());
    ensure!(ours == theirs, "{}: {ours} {kind}, but {theirs} on the host", board.name());
    let differing = on_board.iter().zip(on_host).filter(|(board, host)| board != host).count();
    ensure!(differing == 0, "{}: {differing} of {ours} {kind} differ from the host's", board.name());
    Ok(())
}
