//! Frames of the rendered video.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask::guest::Archive;
use xtask::{cargo, process};

use crate::lab::Lab;
use crate::output::{self, Frame};

/// Width and height of a frame in pixels.
pub const SIZE: (usize, usize) = (640, 480);

/// Returns a Y4M file with the first `seconds` of the video: luma, 30 frames per second.
fn video(work: &Path, seconds: u32) -> Result<PathBuf> {
    let video = work.join(format!("video-{seconds}.y4m"));
    if !video.exists() {
        let making = work.join("making.y4m");
        process::run(
            Command::new(cargo::sibling("draw-video")?)
                .args(["--mono", "--seconds", &seconds.to_string(), "--video"])
                .arg(&making),
        )?;
        fs::rename(making, &video)?;
    }
    Ok(video)
}

/// Returns the frames of the first `seconds` of the video: luma, one byte per pixel.
///
/// # Errors
/// Returns an error if the video cannot be drawn.
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
        video.read_exact(&mut frame).context("the last frame is incomplete")?;
        frames.push(frame);
    }
}

/// The source that [`add_endless_camera`] makes, with frames in the format `grey` of [`SIZE`].
pub const ENDLESS_CAMERA: &str = "command:\"/payload/bin/endless\"";

/// Adds to a payload the frames of [`ENDLESS_CAMERA`]: the first second of the video, again and again.
///
/// # Errors
/// Returns an error if the video cannot be drawn.
pub fn add_endless_camera(payload: &mut Archive, work: &Path) -> Result<()> {
    payload.file("payload/frames.grey", &grey(work)?, false);
    Ok(())
}

/// Returns the frames of the first second of the video, one after the other: luma, one byte per pixel.
///
/// # Errors
/// Returns an error if the video cannot be drawn.
pub fn grey(work: &Path) -> Result<Vec<u8>> {
    Ok(luma(work, 1)?.concat())
}

/// Returns what `run --print` on the host reports for a picture that stands still for `count` frames.
///
/// # Errors
/// Returns an error if the program fails or prints something unexpected.
pub fn seen_by_host(lab: &Lab, work: &Path, frame: &[u8], count: usize) -> Result<Vec<Frame>> {
    let path = work.join("still.y4m");
    write_y4m(&path, &vec![frame.to_vec(); count], "10:1")?;
    let source = format!("y4m:{}", path.display());
    let mut run = lab.host();
    run.args(["run", "--board", "generic-x86-64", "--print", "--source", &source, "--bundle"]);
    output::json_lines(&process::run(run.arg(&lab.bundle))?)
}

/// Writes a Y4M file of `frames` at `rate`, such as `1:2` for one frame every two seconds.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_y4m(path: &Path, frames: &[Vec<u8>], rate: &str) -> Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "YUV4MPEG2 W{} H{} F{rate} Ip A1:1 Cmono", SIZE.0, SIZE.1)?;
    for frame in frames {
        file.write_all(b"FRAME\n")?;
        file.write_all(frame)?;
    }
    Ok(())
}
