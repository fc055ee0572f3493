//! Rungs 4 and 5 of the parity ladder: the bundle's vectors and 200 rendered faces, equal to the last bit; and the whole pipeline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{BOARDS, Fault, Figures, LIMIT, Lab, comparable, frames, succeed};
use crate::cargo;
use crate::guest::console::Board;

/// Rendered faces that the net classifies on each board.
const FACES: usize = 200;
/// Frames that go through the whole pipeline, one after the other. An emulated board takes seconds to look for faces in one.
const FRAMES: usize = 20;

pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("parity");
    fs::create_dir_all(&work)?;
    let faces = faces(&work)?;
    let luma = frames::luma(&work, 1)?;
    let video = work.join("chosen.y4m");
    frames::write_y4m(&video, &luma[..FRAMES], "30:1")?;
    let expected = expected(lab, &work, &faces, &video)?;
    ensure!(expected.scores.len() == FACES, "the host classified {} of {FACES} faces", expected.scores.len());
    ensure!(expected.rows.len() >= FRAMES, "the host found {} faces in {FRAMES} frames", expected.rows.len());
    BOARDS.iter().map(|board| on(lab, *board, &faces, &video, &expected)).collect()
}

/// What the host says of the pictures.
struct Expected {
    /// Name and integer scores of each face.
    scores: Vec<String>,
    /// Records of the video.
    rows: Vec<String>,
    /// Hash of the aligned faces that were kept with these.
    aligned: String,
}

/// Name and integer scores, from the lines of `classify`.
fn scores(said: &str) -> Vec<String> {
    let lines = said.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| {
            let name = line.split('"').nth(3).unwrap_or_default().rsplit('/').next().unwrap_or_default();
            let scores = line.split("\"integer_scores\":[").nth(1).and_then(|behind| behind.split(']').next());
            format!("{name} {}", scores.unwrap_or_default())
        })
        .collect()
}

/// Renders the pictures.
fn faces(work: &Path) -> Result<PathBuf> {
    let (drawn, faces) = (work.join("drawn"), work.join("faces"));
    for folder in [&drawn, &faces] {
        let _ = fs::remove_dir_all(folder);
    }
    succeed(
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
    // Of every class alike.
    fs::create_dir_all(&faces)?;
    for (number, index) in (0..FACES).map(|number| (number, number * pictures.len() / FACES)) {
        fs::copy(&pictures[index], faces.join(format!("{number:03}.png")))?;
    }
    Ok(faces)
}

fn expected(lab: &Lab, work: &Path, faces: &Path, video: &Path) -> Result<Expected> {
    let mut pictures = fs::read_dir(faces)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    pictures.sort();
    let said = succeed(lab.host().args(["classify", "--bundle"]).arg(&lab.bundle).args(pictures))?;
    let journal = work.join("host.sqlite");
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(work.join(format!("host.sqlite{ending}")));
    }
    let source = format!("y4m:{}", video.display());
    let mut run = lab.host();
    run.args(["run", "--board", "generic-x86-64", "--records-per-second", "1000", "--keep-faces", "--source", &source]);
    succeed(run.arg("--bundle").arg(&lab.bundle).arg("--journal").arg(&journal))?;
    let csv = succeed(lab.host().args(["log", "export", "--format", "csv", "--journal"]).arg(&journal))?;
    let aligned = work.join("aligned");
    let _ = fs::remove_dir_all(&aligned);
    succeed(lab.host().args(["log", "faces", "--journal"]).arg(&journal).arg("--output").arg(&aligned))?;
    let mut sums = Vec::new();
    for entry in fs::read_dir(&aligned)? {
        let sum = Sha256::digest(fs::read(entry?.path())?);
        sums.push(sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    sums.sort();
    Ok(Expected { scores: scores(&said), rows: comparable(&csv)?, aligned: sums.join("\n") })
}

fn on(lab: &Lab, board: Board, faces: &Path, video: &Path, expected: &Expected) -> Result<Figures> {
    let mut payload = lab.payload()?;
    payload.tree("payload/faces", faces)?;
    payload.copy("payload/video.y4m", video)?;
    let mut guest = lab.machine(board, "parity", &payload).boot()?;
    if lab.has(Fault::Weight) {
        // In the middle of the weights; the manifest's hash goes with it, or the bundle would be refused before.
        guest.run(
            "cd /payload/bundle && old=$(sha256sum expression.onnx | cut -d' ' -f1) && \
             byte=$(od -An -tu1 -j 900000 -N 1 expression.onnx) && \
             printf \"\\\\$(printf %o $((byte ^ 64)))\" | dd of=expression.onnx bs=1 seek=900000 conv=notrunc status=none && \
             new=$(sha256sum expression.onnx | cut -d' ' -f1) && sed -i s/$old/$new/ manifest.toml",
            LIMIT,
        )?;
    }
    let said = guest.run("edge-runtime selftest --bundle /payload/bundle", LIMIT)?;
    let vectors = number(&said, "\"vectors\":").with_context(|| format!("the self-test said {said}"))?;
    let said = guest.run("edge-runtime classify --bundle /payload/bundle /payload/faces/*.png", LIMIT)?;
    equal(board, "faces", &scores(&said), &expected.scores)?;
    guest.run(
        "edge-runtime run --board generic-x86-64 --records-per-second 1000 --keep-faces --bundle /payload/bundle \
         --source y4m:/payload/video.y4m --journal /tmp/j.sqlite 2>/tmp/said || { cat /tmp/said; false; }",
        LIMIT,
    )?;
    let csv = guest.run("edge-runtime log export --format csv --journal /tmp/j.sqlite", LIMIT)?;
    equal(board, "records", &comparable(csv.trim())?, &expected.rows)?;
    let sums = guest.run(
        "edge-runtime log faces --journal /tmp/j.sqlite --output /tmp/aligned >/dev/null && \
         sha256sum /tmp/aligned/* | cut -d' ' -f1 | sort",
        LIMIT,
    )?;
    ensure!(sums.trim() == expected.aligned, "{}: aligned faces differ from the host's", board.name());
    let kernels = guest.run("edge-runtime bench --bundle /payload/bundle --iterations 1 --json", LIMIT)?;
    let kernel =
        kernels.split("\"kernels\":[\"").nth(1).and_then(|behind| behind.split('"').next()).context("no kernel")?;
    let text = format!(
        "kernel {kernel}: {vectors} vectors, {} faces, {} records of a video: 0 LSB from the host; {} aligned faces equal, byte by byte",
        expected.scores.len(),
        expected.rows.len(),
        expected.aligned.lines().count()
    );
    Ok(Figures { board: board.name(), text })
}

fn equal(board: Board, what: &str, board_says: &[String], host_says: &[String]) -> Result<()> {
    let (ours, theirs) = (board_says.len(), host_says.len());
    ensure!(ours == theirs, "{}: {ours} {what}, the host has {theirs}", board.name());
    let differing = board_says.iter().zip(host_says).filter(|(board, host)| board != host).count();
    ensure!(differing == 0, "{}: {differing} of {ours} {what} differ from the host's", board.name());
    Ok(())
}

/// The number behind a key.
fn number(text: &str, key: &str) -> Option<u64> {
    let (_, behind) = text.split_once(key)?;
    behind.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_taken_from_lines() {
        let line =
            r#"{"file":"/a/b/000.png","label":"neutral","scores":{"neutral":0.7},"integer_scores":[152,114],"ms":1.0}"#;
        assert_eq!(scores(&format!("note\n{line}\n")), ["000.png 152,114"]);
        assert_eq!(number(r#"{"vectors":32,"differences":0}"#, "\"vectors\":"), Some(32));
    }
}
