//! Instructions of one inference on emulated boards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use xtask::{arm, program};

use super::counter::{Counter, PROCESSORS, Processor, counts};
use super::engine::Engine;
use super::{NETS, Nets, native, page, peers, scripts};

/// Engines: what `bench-guest` or `peer.py` call them, and their names in the table. Ours comes first, then those in int8.
const ENGINES: [(&str, &str); 9] = [
    ("ours", "ours"),
    ("onnxruntime", "onnxruntime"),
    ("litert", "LiteRT"),
    ("ncnn", "ncnn int8"),
    ("tract-int8", "stock tract int8"),
    ("onnxruntime-float", "onnxruntime f32"),
    ("ncnn-float", "ncnn float"),
    ("mnn-float", "MNN float"),
    ("tract-float", "stock tract f32"),
];
/// How many of them compute in int8.
const INT8: usize = 5;
/// Nets whose inferences are counted: the paper's takes an emulator too long.
const COUNTED: [&str; 3] = ["fer48", "edge64", "edge96"];
/// Inferences that are counted.
const CALLS: u64 = 2;

/// Counts by processor, net and engine, in instructions of one inference.
type Figures = BTreeMap<(&'static str, &'static str, &'static str), f64>;

/// Counts and writes the page's section.
pub fn run(nets: &Nets, build: bool) -> Result<()> {
    let folder = super::folder();
    let counter = Counter::open(&folder)?;
    let site = peers::install_for_boards(&folder)?;
    // As boards get it. tract's own kernels are built for speed there, too.
    let programs = if build {
        program::build_packages(arm::TARGET, "board", &["edge-runtime", "bench-guest"])?
    } else {
        program::folder(arm::TARGET, "board")
    };
    let (mut figures, mut missing) = (Figures::new(), BTreeSet::new());
    for processor in &PROCESSORS {
        for net in COUNTED {
            let mut ours = Vec::new();
            for (id, name) in ENGINES {
                if id == "tract-float" && net == "fer48" {
                    // The shipped bundle has no float net.
                    continue;
                }
                match count(&counter, processor, &programs, &site, id, &nets.folder.join(net), &mut ours) {
                    Ok(instructions) => {
                        eprintln!("{} {net} {name}: {:.2} million instructions", processor.name, instructions / 1e6);
                        figures.insert((processor.name, net, id), instructions);
                    }
                    Err(error) if id == "ours" => return Err(error),
                    Err(error) => {
                        eprintln!("bench: {name} cannot run {net} on an emulated {}: {error:#}", processor.name);
                        missing.insert(format!("{name} on a {} ({error})", processor.name));
                    }
                }
            }
        }
    }
    page::write(&section(&figures, nets, &missing)?)
}

/// Counts the instructions of one inference. The first engine leaves its logits in `ours`, with which the others' are compared.
fn count(
    counter: &Counter,
    processor: &Processor,
    programs: &Path,
    site: &Path,
    id: &str,
    net: &Path,
    ours: &mut Vec<f64>,
) -> Result<f64> {
    let stderr = super::folder().join("stderr.txt");
    let is_ours = id == "ours" || id.starts_with("tract");
    let mut command = if is_ours {
        counter.command(processor, &programs.join("bench-guest"), &stderr)?
    } else {
        let mut command = counter.command(processor, &counter.python(), &stderr)?;
        command.arg(scripts().join("peer.py")).env("PYTHONPATH", site);
        command
    };
    let mut engine = Engine::start(id, command.arg(id).arg(net))?;
    if ours.is_empty() {
        ours.clone_from(&engine.logits);
    } else {
        native::checked(id, ours, &engine.logits)?;
    }
    engine.turn(&format!("calls {CALLS}"))?;
    engine.finish()?;
    // The turn's two, then that of the end.
    let counts = counts(&stderr)?;
    let [.., begun, ended, _] = counts[..] else { anyhow::bail!("{id} was not counted: {counts:?}") };
    Ok((ended - begun) as f64 / CALLS as f64)
}

fn section(figures: &Figures, nets: &Nets, missing: &BTreeSet<String>) -> Result<String> {
    let names = ENGINES.map(|(_, name)| name).join(" | ");
    let mut text = format!(
        "## Emulated boards\n\nMillions of instructions per inference on one thread, of the same nets: `cargo xtask bench --emulated`. A \
         plugin of QEMU counts them (`tests/peers/count.c`). They are not cycles, but they are the same in every run. \"ours / best \
         int8\" is the ratio to the best other engine in int8. Stock tract is built as for boards, small. \"Float\" is fp16 on a Cortex-A76, where ncnn and MNN have it. The last \
         columns are multiply-accumulates of the direct convolution per instruction of ours, and the maximum that the instruction set \
         allows without Winograd's algorithm. OpenVINO is not among the engines: on AArch64, its 2026.4.1 refuses u8 activations. MAC per \
         cycle was not measured, since QEMU knows no pipelines.\n\n\
         | processor | net | MMAC | {names} | best int8 | ours / best int8 | ours / LiteRT | ours / MNN float | MAC per instruction | limit |\n\
         |{}\n",
        " --- |".repeat(ENGINES.len() + 9)
    );
    let mut behind = Vec::new();
    for processor in &PROCESSORS {
        for net in COUNTED {
            let figure = |id: &'static str| figures.get(&(processor.name, net, id)).copied();
            let (_, title) = NETS.into_iter().find(|(name, _)| *name == net).context("a net")?;
            let count = nets.multiply_accumulates[net];
            write!(text, "| {} | {title} | {:.0} |", processor.name, count / 1e6)?;
            for (id, _) in ENGINES {
                match figure(id) {
                    Some(instructions) => write!(text, " {:.2} |", instructions / 1e6)?,
                    None => text += " - |",
                }
            }
            let ours = figure("ours").context("ours")?;
            let int8 = || ENGINES[1..INT8].iter().filter_map(|(id, name)| Some((figure(id)?, *name)));
            let best = int8().min_by(|a, b| a.0.total_cmp(&b.0));
            let ratio = |other: Option<f64>| other.map_or("-".to_owned(), |other| format!("{:.2}", ours / other));
            let name = best.map_or("-", |(_, name)| name);
            let [to_best, to_litert, to_mnn] =
                [best.map(|(count, _)| count), figure("litert"), figure("mnn-float")].map(ratio);
            let (each, limit) = (count / ours, processor.per_instruction);
            writeln!(text, " {name} | **{to_best}** | {to_litert} | {to_mnn} | {each:.1} | {limit:.1} |")?;
            let fewer = ENGINES[1..].iter().filter(|(id, _)| figure(id).is_some_and(|count| count < ours));
            for (id, name) in fewer {
                let ratio = ours / figure(id).unwrap_or(ours);
                behind.push(format!("{name} on a {}, {title} ({ratio:.2})", processor.name));
            }
        }
    }
    let behind = if behind.is_empty() { "none".to_owned() } else { behind.join("; ") };
    writeln!(text, "\nEngines that take fewer instructions than ours: {behind}.")?;
    if !missing.is_empty() {
        let list: Vec<&str> = missing.iter().map(String::as_str).collect();
        writeln!(text, "Could not be had: {}.", list.join("; "))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_whole_and_names_the_best() {
        let counts = COUNTED.map(|net| (net, 1e8));
        let nets = Nets { folder: "/nowhere".into(), multiply_accumulates: counts.into_iter().collect() };
        let mut figures = Figures::new();
        for processor in &PROCESSORS {
            for net in COUNTED {
                for (index, id) in ["ours", "onnxruntime", "ncnn"].into_iter().enumerate() {
                    figures.insert((processor.name, net, id), 1e7 * (3 - index) as f64);
                }
            }
        }
        let text = section(&figures, &nets, &BTreeSet::new()).unwrap();
        let table: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(table.len(), 2 + PROCESSORS.len() * COUNTED.len());
        assert!(table.iter().all(|line| line.matches('|').count() == table[0].matches('|').count()), "{text}");
        assert!(table[2].contains("| ncnn int8 | **3.00** | - | - | 3.3 | 5.3 |"), "{text}");
    }
}
