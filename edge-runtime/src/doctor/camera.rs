//! The source of pictures.

use std::path::Path;

use super::{Finding, Machine, access};

/// Whether frames can be had from `source`, as `--source` takes it.
pub fn camera_checks(machine: &Machine, source: &str) -> Vec<Finding> {
    let Some((kind, rest)) = source.split_once(':') else {
        return vec![Finding::fail(
            "camera",
            format!("{source:?} is no source"),
            "write v4l2:/dev/video0, for instance",
        )];
    };
    match kind {
        "v4l2" => v4l2(machine, rest.split('?').next().unwrap_or(rest)),
        "command" => vec![command(machine, rest)],
        "y4m" | "dir" if rest != "-" && !Path::new(rest).exists() => {
            vec![Finding::fail("camera", format!("{source}: there is no such path"), "give one that exists")]
        }
        "y4m" | "dir" | "images" => vec![Finding::ok("camera", format!("{source}: pictures, no camera"))],
        _ => vec![Finding::fail("camera", format!("{source:?} is no source"), "write v4l2:/dev/video0, for instance")],
    }
}

/// The device that is asked for; and the others, where it is not there.
fn v4l2(machine: &Machine, device: &str) -> Vec<Finding> {
    let path = machine.path(device);
    if path.exists() {
        return vec![match access::problem(machine, &path) {
            Some((found, advice)) => Finding::fail("camera", found, advice),
            None => Finding::ok("camera", described(machine, &path)),
        }];
    }
    let others = machine.devices("video");
    let advice = match others.first() {
        Some(first) => format!("give --source v4l2:{}, or another of those below", machine.name(first)),
        None => "plug one in; one on the ribbon cable wants the board file's csi line as its source".into(),
    };
    let mut findings = vec![Finding::fail("camera", format!("there is no {device}"), advice)];
    findings.extend(others.iter().map(|other| Finding::ok("camera", described(machine, other))));
    findings
}

/// A device with the name that its driver gives it.
fn described(machine: &Machine, device: &Path) -> String {
    let name = device.file_name().map(|file| machine.path("/sys/class/video4linux").join(file).join("name"));
    let name = name.and_then(|path| std::fs::read_to_string(path).ok());
    let name = name.map(|name| format!(" ({})", name.trim())).unwrap_or_default();
    format!("{}{name}", machine.name(device))
}

/// Whether the program of a command is there.
fn command(machine: &Machine, words: &str) -> Finding {
    let program = words.trim_start_matches(['"', '\'']).split_whitespace().next().unwrap_or_default();
    let program = program.trim_end_matches(['"', '\'']);
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = match program.contains('/') {
        true => machine.path(program).is_file(),
        false => std::env::split_paths(&search).any(|folder| machine.path(folder).join(program).is_file()),
    };
    match found {
        _ if program.is_empty() => {
            Finding::fail("camera", "a command without a program", "write command:\"PROGRAM ...\"")
        }
        true => Finding::ok("camera", format!("by the program {program}, not tried")),
        false => Finding::fail("camera", format!("the program {program} is not there"), "install it, or give its path"),
    }
}
