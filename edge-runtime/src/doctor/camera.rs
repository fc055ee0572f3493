//! The source of frames.

use std::path::Path;

use super::{Finding, Machine, Outcome, access};
use crate::camera::{DeviceInfo, Sizes, Spec};

/// Whether frames can be had from `source`, as `--source` takes it.
pub fn camera_checks(machine: &Machine, source: &str) -> Vec<Finding> {
    let spec = match source.parse::<Spec>() {
        Ok(spec) => spec,
        Err(error) => return vec![Finding::refused("camera", error.to_string())],
    };
    match spec {
        Spec::V4l2 { device, .. } => v4l2(machine, &device),
        Spec::Command { words } => vec![command(machine, &words)],
        // GStreamer serves if ffmpeg is absent.
        Spec::Media { .. } => {
            let found = ["ffmpeg", "gst-launch-1.0"].map(|program| command(machine, &[program.to_owned()]));
            let [ffmpeg, gstreamer] = found;
            vec![if gstreamer.outcome == Outcome::Ok && ffmpeg.outcome != Outcome::Ok { gstreamer } else { ffmpeg }]
        }
        Spec::Y4m { file: Some(path) } | Spec::Dir { folder: path } => vec![file(machine, source, &path)],
        Spec::Images { pattern } => vec![images(machine, source, &pattern)],
        _ => vec![Finding::ok("camera", format!("{source}: not tried"))],
    }
}

/// Whether a video or a folder is there and may be read.
fn file(machine: &Machine, source: &str, path: &Path) -> Finding {
    match std::fs::metadata(machine.path(path)) {
        Err(error) => Finding::fail("camera", format!("{source}: {error}"), "give a path that exists"),
        Ok(file) if !machine.user.may(0o4, &file) => {
            Finding::fail("camera", format!("{source} is not yours to read"), "give this user the right to read it")
        }
        Ok(_) => Finding::ok("camera", format!("{source}: pictures, no camera")),
    }
}

/// Whether a pattern names any file.
fn images(machine: &Machine, source: &str, pattern: &str) -> Finding {
    let below_root = machine.path(pattern);
    match glob::glob(&below_root.to_string_lossy()).map(|mut paths| paths.find_map(Result::ok)) {
        Ok(Some(_)) => Finding::ok("camera", format!("{source}: pictures, no camera")),
        Ok(None) => Finding::fail("camera", format!("{source} names no file"), "try the pattern with ls"),
        Err(error) => Finding::fail("camera", format!("{source}: {error}"), "write a pattern such as /faces/*.png"),
    }
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
        None if file.exists() => format!("{} is no camera", device.display()),
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

/// Whether the program of a command is there.
fn command(machine: &Machine, words: &[String]) -> Finding {
    let program = words.first().map(String::as_str).unwrap_or_default();
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = if program.contains('/') {
        machine.path(program).is_file()
    } else {
        std::env::split_paths(&search).any(|folder| machine.path(folder).join(program).is_file())
    };
    if found {
        return Finding::ok("camera", format!("by the program {program}, not tried"));
    }
    Finding::fail("camera", format!("the program {program} is not installed"), "install it, or give its path")
}
