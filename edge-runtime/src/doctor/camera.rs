//! The source of frames.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Finding, Machine, Outcome, access};
use crate::camera::{self, CameraOptions, DeviceInfo, Next, Sizes, Spec};
use crate::frame::Frame;

/// How long a video or a folder of pictures may take for its first frame.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether frames can be had from `source`, as `--source` takes it.
pub fn camera_checks(machine: &Machine, source: &str) -> Vec<Finding> {
    let spec = match source.parse::<Spec>() {
        Ok(spec) => spec,
        Err(error) => return vec![Finding::refused("camera", error.to_string())],
    };
    match spec {
        Spec::V4l2 { device, .. } => v4l2(machine, &device),
        Spec::Command { words } => vec![command(machine, &words)],
        Spec::Media { address } => {
            // GStreamer serves if ffmpeg is absent.
            let found = ["ffmpeg", "gst-launch-1.0"].map(|program| command(machine, &[program.to_owned()]));
            let [ffmpeg, gstreamer] = found;
            let program =
                if gstreamer.outcome == Outcome::Ok && ffmpeg.outcome != Outcome::Ok { gstreamer } else { ffmpeg };
            vec![match program.outcome == Outcome::Ok && !address.contains("://") {
                true => files(machine, source, &Spec::Media { address }),
                false => program,
            }]
        }
        Spec::Y4m { file: Some(_) } | Spec::Dir { .. } | Spec::Images { .. } => vec![files(machine, source, &spec)],
        _ => vec![Finding::ok("camera", format!("{source}: not tried"))],
    }
}

/// Whether there is a frame in a video, a folder or the files that a pattern names: the first is read, as `run` does.
fn files(machine: &Machine, source: &str, spec: &Spec) -> Finding {
    let below_root = |text: &str| machine.path(text).to_string_lossy().into_owned();
    let (spec, path) = match spec {
        Spec::Y4m { file: Some(path) } => (Spec::Y4m { file: Some(machine.path(path)) }, Some(machine.path(path))),
        Spec::Dir { folder } => (Spec::Dir { folder: machine.path(folder) }, Some(machine.path(folder))),
        Spec::Images { pattern } => (Spec::Images { pattern: below_root(pattern) }, None),
        Spec::Media { address } => (Spec::Media { address: below_root(address) }, Some(machine.path(address))),
        other => (other.clone(), None),
    };
    match path.map(std::fs::metadata) {
        Some(Err(error)) => return Finding::fail("camera", format!("{source}: {error}"), "give a path that exists"),
        Some(Ok(file)) if !machine.user.may(0o4, &file) => {
            let found = format!("{source} is not yours to read");
            return Finding::fail("camera", found, "give this user the right to read it");
        }
        // What is read from a pipe is lost to `run`.
        Some(Ok(file)) if !file.is_file() && !file.is_dir() => {
            return Finding::ok("camera", format!("{source}: a pipe or a device, not tried"));
        }
        _ => {}
    }
    match first_frame(&spec) {
        Ok(Some(())) => Finding::ok("camera", format!("{source}: the first frame can be read")),
        Ok(None) => {
            let found = format!("{source}: no frame within {} s", PATIENCE.as_secs());
            Finding::warn("camera", found, "start a run and check that frames arrive")
        }
        Err(reason) => {
            let found = format!("{source}: {reason}");
            match spec {
                Spec::Dir { .. } | Spec::Images { .. } => Finding::refused("camera", found),
                _ => Finding::fail("camera", found, "give a video that can be played"),
            }
        }
    }
}

/// Reads the first frame of a source that is not live; `None` if it takes too long.
fn first_frame(spec: &Spec) -> Result<Option<()>, String> {
    let options = CameraOptions { fail_without_frame: true, ..CameraOptions::default() };
    let mut source = camera::open(spec, &options).map_err(|error| error.to_string())?;
    let (mut frame, start) = (Frame::default(), Instant::now());
    while start.elapsed() < PATIENCE {
        match source.next(&mut frame).map_err(|error| error.to_string())? {
            Next::Frame => return Ok(Some(())),
            Next::Waiting | Next::Back { .. } => {}
            Next::Lost { reason } => return Err(reason),
            Next::End => return Err("no frame can be read".into()),
        }
    }
    Ok(None)
}

/// The device that is asked for; and the others if it is missing or not a camera.
fn v4l2(machine: &Machine, device: &Path) -> Vec<Finding> {
    let path = machine.path(device);
    if path.exists()
        && let Some((found, advice)) = access::problem(machine, &path)
    {
        return vec![Finding::fail("camera", found, advice)];
    }
    // What stands below /dev/v4l is a link.
    let file = path.canonicalize().unwrap_or(path);
    let why = match machine.cameras.iter().find(|camera| machine.path(&camera.path) == file) {
        Some(camera) => match &camera.problem {
            None => return vec![Finding::ok("camera", described(camera))],
            Some(problem) => format!("{}: {problem}", device.display()),
        },
        None if file.exists() => format!("{} is not a camera", device.display()),
        None => format!("there is no {}", device.display()),
    };
    let others: Vec<_> = machine.cameras.iter().filter(|camera| camera.problem.is_none()).collect();
    let advice = match others.first() {
        Some(first) => format!("give --source v4l2:{}, or another of those below", first.path.display()),
        None => "plug one in; one on the ribbon cable wants the board file's csi line as its source".into(),
    };
    let mut findings = vec![Finding::fail("camera", why, advice)];
    findings.extend(others.into_iter().map(|other| Finding::ok("camera", described(other))));
    findings
}

/// A camera with its name, and the formats and sizes that it offers.
fn described(camera: &DeviceInfo) -> String {
    let DeviceInfo { path, name, driver, formats, .. } = camera;
    let formats: Vec<_> = formats.iter().map(|format| format!("{} {}", format.code(), sizes(&format.sizes))).collect();
    format!("{} ({name}, {driver}): {}", path.display(), formats.join("; "))
}

/// Sizes in words, each with its most frames per second if that is known.
fn sizes(sizes: &Sizes) -> String {
    let pixels = |[width, height]: [u32; 2]| format!("{width}x{height}");
    match sizes {
        Sizes::Listed(sizes) => {
            let rate = |rate: Option<f32>| rate.map(|rate| format!("@{rate:.0}")).unwrap_or_default();
            let words: Vec<_> = sizes.iter().map(|size| format!("{}{}", pixels(size.size), rate(size.rate))).collect();
            words.join(" ")
        }
        Sizes::Stepped { least, most, .. } => format!("{} to {}", pixels(*least), pixels(*most)),
        Sizes::Unknown => "in sizes that it does not tell".into(),
    }
}

/// Whether the program of a command is there and can be started.
fn command(machine: &Machine, words: &[String]) -> Finding {
    let program = words.first().map(String::as_str).unwrap_or_default();
    let search = std::env::var_os("PATH").unwrap_or_default();
    let candidates: Vec<_> = match program.contains('/') {
        true => vec![machine.path(program)],
        false => std::env::split_paths(&search).map(|folder| machine.path(folder).join(program)).collect(),
    };
    let found: Vec<_> =
        candidates.iter().filter_map(|path| path.metadata().ok()).filter(|file| file.is_file()).collect();
    if found.iter().any(|file| file.mode() & 0o111 != 0 && machine.user.may(0o1, file)) {
        return Finding::ok("camera", format!("by the program {program}, not tried"));
    }
    match found.is_empty() {
        true => {
            Finding::fail("camera", format!("the program {program} is not installed"), "install it, or give its path")
        }
        false => {
            let found = format!("the program {program} may not be started by this user");
            Finding::fail("camera", found, format!("chmod +x {program}, or give another program"))
        }
    }
}
