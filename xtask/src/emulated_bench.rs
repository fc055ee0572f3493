//! Counts the instructions of one inference on emulated boards, by our engine, stock tract and onnxruntime on the same files.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask::guest::{self, Archive, System};
use xtask::setup::{self, ONNXRUNTIME_AARCH64};
use xtask::{arm, cargo, process, program};

/// The processors, and how many multiply-accumulates one of their instructions can do at most: on bytes, and on f32. Without dot
/// products, 16 bytes take three instructions: SMULL, SMLAL2 and SADALP.
const PROCESSORS: [(&str, f64, f64); 3] =
    [("cortex-a53", 16.0 / 3.0, 4.0), ("cortex-a72", 16.0 / 3.0, 4.0), ("cortex-a76", 16.0, 4.0)];
/// The nets' folders, and their names in the table.
const NETS: [(&str, &str); 2] = [("edge-64", "edge, 64x64"), ("edge-96", "edge, 96x96")];
/// The engines of `bench-guest`, in the order of the table.
const ENGINES: [&str; 5] = ["ours", "onnxruntime-int8", "onnxruntime-float", "tract-int8", "tract-float"];
/// Shared libraries that `bench-guest` loads, from Debian's packages for cross-building.
const LIBRARIES: [&str; 8] = [
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "librt.so.1",
    "libpthread.so.0",
    "libgcc_s.so.1",
    "libstdc++.so.6",
];
/// The folder of these libraries.
const LIBRARY_FOLDER: &str = "/usr/aarch64-linux-gnu/lib";
/// The heading of the section, which ends at the next heading.
const HEADING: &str = "## Emulated boards";

/// Counts instructions and writes the section of `docs/benchmarks.md`.
///
/// # Errors
/// Returns an error if a tool is missing, or a guest does not give all figures.
pub fn run(build: bool) -> Result<()> {
    require_tools()?;
    let folder = cargo::workspace_root().join(".assets/emulator");
    fs::create_dir_all(&folder)?;
    let nets = folder.join("nets");
    let mut make = Command::new(cargo::sibling("bench-engines")?);
    make.env("CARGO_MANIFEST_DIR", cargo::workspace_root().join("tests")).arg("--nets").arg(&nets);
    ensure!(
        make.status().context("bench-engines could not be started")?.success(),
        "bench-engines could not make the nets"
    );
    // Not the profile `board`, which saves space: stock tract is measured at its best.
    let programs = if build {
        program::build_packages(arm::TARGET, "release", &["bench-guest"])?
    } else {
        program::folder(arm::TARGET, "release")
    };
    let assets = cargo::workspace_root().join(".assets");
    setup::install_asset(&assets, &ONNXRUNTIME_AARCH64)?;
    let library = assets.join(ONNXRUNTIME_AARCH64.folder).join("libonnxruntime.so");
    let files = files(&programs, &nets, &library)?;
    let system = System::open(&folder)?;
    let lines: String = NETS
        .iter()
        .flat_map(|(net, _)| ENGINES.map(|engine| format!("/bin/bench-guest /nets/{net} {engine}\n")))
        .collect();
    let mut measured = BTreeMap::new();
    for (processor, ..) in PROCESSORS {
        eprintln!("counting instructions on an emulated {processor}");
        let output = system.run(processor, &files, &lines, &folder)?;
        for (key, nanoseconds, kernels) in output.lines().filter_map(parse_line) {
            measured.insert((processor, key.0, key.1), (nanoseconds, kernels));
        }
        let count = measured.keys().filter(|key| key.0 == processor).count();
        ensure!(count == ENGINES.len() * NETS.len(), "the {processor} gave {count} figures; its console:\n{output}");
    }
    let text = section(&measured, &multiply_accumulates(&nets)?)?;
    println!("{text}");
    write(&cargo::workspace_root().join("docs/benchmarks.md"), &text)
}

fn require_tools() -> Result<()> {
    let mut missing = arm::Tools::find_rustc().err().unwrap_or_default();
    if !process::starts(guest::EMULATOR) {
        missing.push("qemu-system-arm");
    }
    if !Path::new(LIBRARY_FOLDER).join("libstdc++.so.6").exists() {
        missing.push("libstdc++6-arm64-cross");
    }
    arm::require(&missing)
}

/// Returns the files of a guest.
fn files(programs: &Path, nets: &Path, library: &Path) -> Result<Archive> {
    let mut archive = Archive::default();
    let mut add = |path: &str, from: &Path, executable: bool| -> Result<()> {
        let content = fs::read(from).with_context(|| format!("{} could not be read", from.display()))?;
        archive.file(path, &content, executable);
        Ok(())
    };
    add("bin/bench-guest", &programs.join("bench-guest"), true)?;
    for name in LIBRARIES {
        add(&format!("lib/{name}"), &Path::new(LIBRARY_FOLDER).join(name), true)?;
    }
    add("lib/libonnxruntime.so", library, false)?;
    for (net, _) in NETS {
        for name in ["manifest.toml", "expression.onnx", "expression-f32.onnx", "face.u8"] {
            add(&format!("nets/{net}/{name}"), &nets.join(net).join(name), false)?;
        }
    }
    Ok(archive)
}

/// Parses a line of `bench-guest`: engine and net, nanoseconds per inference, kernels.
fn parse_line(line: &str) -> Option<((&'static str, &'static str), f64, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [engine, net, nanoseconds, kernels, _scores] = words[..] else { return None };
    let engine = ENGINES.into_iter().find(|name| *name == engine)?;
    let (net, _) = NETS.into_iter().find(|(name, _)| *name == net)?;
    Some(((engine, net), nanoseconds.parse().ok()?, kernels.to_owned()))
}

/// Returns the multiply-accumulates of one inference of each net.
fn multiply_accumulates(nets: &Path) -> Result<BTreeMap<&'static str, f64>> {
    let read = |net: &'static str| -> Result<(&'static str, f64)> {
        Ok((net, fs::read_to_string(nets.join(net).join("multiply-accumulates"))?.trim().parse()?))
    };
    NETS.into_iter().map(|(net, _)| read(net)).collect()
}

type Figures = BTreeMap<(&'static str, &'static str, &'static str), (f64, String)>;

fn section(measured: &Figures, multiply_accumulates: &BTreeMap<&str, f64>) -> Result<String> {
    let mut text = format!(
        "{HEADING}\n\nMillions of instructions per inference on one thread, with the same files for all engines: `cargo xtask bench --emulated`. \
         QEMU counts them (`-icount shift=0`): they are not cycles, but they are the same in every run. The last columns are \
         multiply-accumulates per instruction, and the maximum that the instruction set allows.\n\n\
         | processor | net | MMAC | kernel | ours | onnxruntime int8 | onnxruntime f32 | stock tract int8 | stock tract f32 | \
         ours / onnxruntime int8 | MAC per instruction: ours | onnxruntime int8 | limit int8 | limit f32 |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for (processor, bytes, floats) in PROCESSORS {
        for (net, name) in NETS {
            let figures = |engine: &'static str| &measured[&(processor, engine, net)];
            let count = multiply_accumulates[net];
            write!(text, "| {processor} | {name} | {:.0} | {} |", count / 1e6, figures("ours").1)?;
            for engine in ENGINES {
                write!(text, " {:.1} |", figures(engine).0 / 1e6)?;
            }
            let [ours, theirs] = ["ours", "onnxruntime-int8"].map(|engine| figures(engine).0);
            let (each, others) = (count / ours, count / theirs);
            writeln!(text, " **{:.2}** | {each:.1} | {others:.1} | {bytes:.1} | {floats:.0} |", ours / theirs)?;
        }
    }
    Ok(text)
}

/// Replaces the section in the page, or appends it.
fn write(page: &Path, section: &str) -> Result<()> {
    let old = fs::read_to_string(page).unwrap_or_default();
    Ok(fs::write(page, replaced(&old, section))?)
}

fn replaced(page: &str, section: &str) -> String {
    let begin = page.find(HEADING).unwrap_or(page.len());
    let behind = page[begin..].get(HEADING.len()..).unwrap_or_default();
    let end = behind.find("\n## ").map_or(page.len(), |at| begin + HEADING.len() + at + 1);
    let (before, after) = (page[..begin].trim_end(), page[end..].trim());
    let parts = [before, section.trim(), after].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_its_previous_version() {
        let new = format!("{HEADING}\n\nnew\n");
        assert_eq!(replaced("# Page\n", &new), format!("# Page\n\n{HEADING}\n\nnew\n"));
        let old = format!("# Page\n\n{HEADING}\n\nold\n\n## Other\n\nkept\n");
        assert_eq!(replaced(&old, &new), format!("# Page\n\n{HEADING}\n\nnew\n\n## Other\n\nkept\n"));
    }

    #[test]
    fn figures_are_found_among_other_lines_of_a_console() {
        assert_eq!(parse_line("[    0.1] random: crng init done"), None);
        assert_eq!(parse_line("ours edge-64 123 neon [1,2]"), Some((("ours", "edge-64"), 123.0, "neon".into())));
        assert_eq!(parse_line("other edge-64 123 neon [1,2]"), None);
    }
}
