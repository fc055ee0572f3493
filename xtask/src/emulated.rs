//! Instructions of one inference on emulated boards: our engine beside stock tract and onnxruntime, on the same files.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::arm;
use crate::assets::ONNXRUNTIME_AARCH64;
use crate::guest::{self, Archive, System};
use crate::refusal::refusal;
use crate::staging::Staging;
use crate::{cargo, fetch, program, unpack};

/// The processors, and the most multiply-accumulates that one of their instructions does: of bytes, and of f32. Without dot
/// products, 16 bytes take SMULL, SMLAL2 and SADALP.
const PROCESSORS: [(&str, f64, f64); 3] =
    [("cortex-a53", 16.0 / 3.0, 4.0), ("cortex-a72", 16.0 / 3.0, 4.0), ("cortex-a76", 16.0, 4.0)];
/// The nets' folders, and how people call them.
const NETS: [(&str, &str); 2] = [("edge-64", "edge, 64x64"), ("edge-96", "edge, 96x96")];
/// The guest's engines, in the order of the table.
const ENGINES: [&str; 5] = ["ours", "onnxruntime-int8", "onnxruntime-float", "tract-int8", "tract-float"];
/// What the guest's programs load, from Debian's packages for cross-building.
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
/// Where those packages put them.
const LIBRARY_FOLDER: &str = "/usr/aarch64-linux-gnu/lib";
/// The heading of the section, up to the next heading its own.
const HEADING: &str = "## Emulated boards";

/// Measures, and writes the section of `docs/benchmarks.md`.
///
/// # Errors
/// Where a tool is missing, or a guest does not answer as it should.
pub fn bench(build: bool) -> Result<()> {
    require_tools()?;
    let folder = cargo::workspace_root().join(".assets/emulator");
    fs::create_dir_all(&folder)?;
    let nets = folder.join("nets");
    let mut make = Command::new(cargo::sibling("bench-engines")?);
    make.env("CARGO_MANIFEST_DIR", cargo::workspace_root().join("tests")).arg("--nets").arg(&nets);
    ensure!(make.status().context("bench-engines could not be started")?.success(), "bench-engines made no nets");
    // Not the profile of boards, which saves room: stock tract is measured at its best.
    let programs = if build {
        program::packages(arm::TARGET, "release", &["bench-guest"])?
    } else {
        program::folder(arm::TARGET, "release")
    };
    let library = folder.join("libonnxruntime.so");
    if !library.exists() {
        let staging = Staging::open(&folder)?;
        let wheel = staging.fetch(&ONNXRUNTIME_AARCH64, &fetch::by_client)?;
        unpack::unpack(&wheel, &folder, ONNXRUNTIME_AARCH64.members)?;
    }
    let files = files(&programs, &nets, &library)?;
    let system = System::bring(&folder)?;
    let lines: String = NETS
        .iter()
        .flat_map(|(net, _)| ENGINES.map(|engine| format!("/bin/bench-guest /nets/{net} {engine}\n")))
        .collect();
    let mut measured = BTreeMap::new();
    for (processor, ..) in PROCESSORS {
        eprintln!("an emulated {processor} measures");
        let said = system.run(processor, &files, &lines, &folder)?;
        for (key, nanoseconds, kernels) in said.lines().filter_map(answer) {
            measured.insert((processor, key.0, key.1), (nanoseconds, kernels));
        }
        let count = measured.keys().filter(|key| key.0 == processor).count();
        ensure!(count == ENGINES.len() * NETS.len(), "the {processor} gave {count} figures; it said:\n{said}");
    }
    let text = section(&measured, &multiply_accumulates(&nets)?)?;
    println!("{text}");
    write(&cargo::workspace_root().join("docs/benchmarks.md"), &text)
}

fn require_tools() -> Result<()> {
    let mut missing = arm::Tools::compiler().err().unwrap_or_default();
    if !arm::answers(guest::EMULATOR) {
        missing.push("qemu-system-arm");
    }
    if !Path::new(LIBRARY_FOLDER).join("libstdc++.so.6").exists() {
        missing.push("libstdc++6-arm64-cross");
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(refusal(format!("missing: {}; {}", missing.join(", "), arm::advice(&missing))))
}

/// The files of a guest.
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

/// Engine and net, nanoseconds of an inference, kernels: from a line of the guest's program.
fn answer(line: &str) -> Option<((&'static str, &'static str), f64, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [engine, net, nanoseconds, kernels, _scores] = words[..] else { return None };
    let engine = ENGINES.into_iter().find(|name| *name == engine)?;
    let (net, _) = NETS.into_iter().find(|(name, _)| *name == net)?;
    Some(((engine, net), nanoseconds.parse().ok()?, kernels.to_owned()))
}

/// Of each net.
fn multiply_accumulates(nets: &Path) -> Result<BTreeMap<&'static str, f64>> {
    let read = |net: &'static str| -> Result<(&'static str, f64)> {
        Ok((net, fs::read_to_string(nets.join(net).join("multiply-accumulates"))?.trim().parse()?))
    };
    NETS.into_iter().map(|(net, _)| read(net)).collect()
}

type Figures = BTreeMap<(&'static str, &'static str, &'static str), (f64, String)>;

fn section(measured: &Figures, multiply_accumulates: &BTreeMap<&str, f64>) -> Result<String> {
    let mut text = format!(
        "{HEADING}\n\nMillions of instructions of one inference, one thread, the same files for all engines: `cargo xtask bench --emulated`. \
         QEMU counts them (`-icount shift=0`): they are no cycles, but no noise touches them. Beside them, multiply-accumulates of an \
         instruction and the most that the instruction set has room for.\n\n\
         | processor | net | MMAC | kernel | ours | onnxruntime int8 | onnxruntime f32 | stock tract int8 | stock tract f32 | \
         ours / onnxruntime int8 | MAC an instruction: ours | onnxruntime int8 | limit int8 | limit f32 |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for (processor, bytes, floats) in PROCESSORS {
        for (net, name) in NETS {
            let of = |engine: &'static str| &measured[&(processor, engine, net)];
            let count = multiply_accumulates[net];
            write!(text, "| {processor} | {name} | {:.0} | {} |", count / 1e6, of("ours").1)?;
            for engine in ENGINES {
                write!(text, " {:.1} |", of(engine).0 / 1e6)?;
            }
            let [ours, theirs] = ["ours", "onnxruntime-int8"].map(|engine| of(engine).0);
            let (each, others) = (count / ours, count / theirs);
            writeln!(text, " **{:.2}** | {each:.1} | {others:.1} | {bytes:.1} | {floats:.0} |", ours / theirs)?;
        }
    }
    Ok(text)
}

/// Puts the section in its place in the page, or at its end.
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
    fn a_section_takes_the_place_of_its_former_self() {
        let new = format!("{HEADING}\n\nnew\n");
        assert_eq!(replaced("# Page\n", &new), format!("# Page\n\n{HEADING}\n\nnew\n"));
        let old = format!("# Page\n\n{HEADING}\n\nold\n\n## Other\n\nkept\n");
        assert_eq!(replaced(&old, &new), format!("# Page\n\n{HEADING}\n\nnew\n\n## Other\n\nkept\n"));
    }

    #[test]
    fn answers_are_found_among_what_a_console_says() {
        assert_eq!(answer("[    0.1] random: crng init done"), None);
        assert_eq!(answer("ours edge-64 123 neon [1,2]"), Some((("ours", "edge-64"), 123.0, "neon".into())));
        assert_eq!(answer("other edge-64 123 neon [1,2]"), None);
    }
}
