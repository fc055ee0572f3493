//! Frames for the boards, of the rendered video.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Lab, succeed};
use crate::cargo;

/// Width and height of a frame in pixels.
pub const SIZE: (usize, usize) = (640, 480);

/// The video's first `seconds`, a y4m file of luma at 30 frames a second.
pub fn video(work: &Path, seconds: u32) -> Result<PathBuf> {
    let video = work.join(format!("video-{seconds}.y4m"));
    if !video.exists() {
        let making = work.join("making.y4m");
        succeed(
            Command::new(cargo::sibling("draw-video")?)
                .args(["--mono", "--seconds", &seconds.to_string(), "--video"])
                .arg(&making),
        )?;
        fs::rename(making, &video)?;
    }
    Ok(video)
}

/// The video's frames alone, luma, one byte a pixel.
pub fn luma(work: &Path, seconds: u32) -> Result<Vec<Vec<u8>>> {
    let mut video = BufReader::new(File::open(video(work, seconds)?)?);
    let mut line = String::new();
    video.read_line(&mut line)?;
    ensure!(line.starts_with("YUV4MPEG2 W640 H480 ") && line.contains("Cmono"), "draw-video wrote {line}");
    let mut frames = Vec::new();
    loop {
        line.clear();
        if video.read_line(&mut line)? == 0 {
            return Ok(frames);
        }
        ensure!(line.starts_with("FRAME"), "draw-video wrote {line}");
        let mut frame = vec![0; SIZE.0 * SIZE.1];
        video.read_exact(&mut frame).context("a frame that is cut off")?;
        frames.push(frame);
    }
}

/// A file of the video's frames, one after the other, one byte a pixel.
pub fn grey(work: &Path, seconds: u32) -> Result<PathBuf> {
    let path = work.join("frames.grey");
    fs::write(&path, luma(work, seconds)?.concat())?;
    Ok(path)
}

/// What the host's `run --print` says of a picture that stands still for `count` frames: a line a frame.
pub fn host_says(lab: &Lab, work: &Path, frame: &[u8], count: usize) -> Result<String> {
    let path = work.join("still.y4m");
    write_y4m(&path, &vec![frame.to_vec(); count], "10:1")?;
    let source = format!("y4m:{}", path.display());
    let mut run = lab.host();
    run.args(["run", "--board", "generic-x86-64", "--print", "--source", &source, "--bundle"]);
    succeed(run.arg(&lab.bundle))
}

/// A y4m file of `frames` at `rate`, such as `1:2` for one in two seconds.
pub fn write_y4m(path: &Path, frames: &[Vec<u8>], rate: &str) -> Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "YUV4MPEG2 W{} H{} F{rate} Ip A1:1 Cmono", SIZE.0, SIZE.1)?;
    for frame in frames {
        file.write_all(b"FRAME\n")?;
        file.write_all(frame)?;
    }
    Ok(())
}
