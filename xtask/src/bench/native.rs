//! Times on this machine: the engines take turns, so that what else the machine does affects all of them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use xtask::cargo;

use super::engine::{Engine, Turn};
use super::{NETS, Nets, page, scripts};

/// Engines: what `bench-guest` or `peer.py` call them, and their names in the table. Ours comes first.
const ENGINES: [(&str, &str); 8] = [
    ("ours", "ours"),
    ("onnxruntime", "onnxruntime"),
    ("openvino", "OpenVINO"),
    ("litert", "LiteRT"),
    ("ncnn", "ncnn int8"),
    ("ncnn-float", "ncnn float"),
    ("mnn-float", "MNN float"),
    ("tract-int8", "stock tract"),
];
/// Threads and faces per call that are measured.
const CALLS: [(usize, usize); 3] = [(1, 1), (2, 1), (1, 4)];
/// How often everything is measured; the ratios of all runs are written.
const RUNS: usize = 2;
/// How often each engine takes its turn in a run, after one that warms up.
const TURNS: usize = 20;
/// A turn.
const TURN: &str = "seconds 0.03";
/// Before each turn: threads of some engines go on spinning for a while, and would take the processor from the next engine.
const REST: Duration = Duration::from_millis(30);
/// The largest difference of a logit from ours that is taken for rounding, as a share of the range of our logits. A net that was
/// converted wrongly differs by about the range itself. ncnn keeps seven of eight bits of an activation.
const MAX_DIFFERENCE: f64 = 0.15;

/// Measures all nets and writes the page's section.
pub fn run(nets: &Nets) -> Result<()> {
    let python = super::folder().join("venv/bin/python");
    let (mut rows, mut behind, mut missing) = (String::new(), Vec::new(), BTreeSet::new());
    let before = hop();
    for (net, title) in NETS {
        for (threads, faces) in CALLS {
            let (mut engines, mut difference) = (Vec::new(), 0.0_f64);
            for (id, name) in ENGINES {
                if id == "tract-int8" && (threads, faces) != (1, 1) {
                    continue;
                }
                let mut command = command(&python, id)?;
                command.arg(nets.folder.join(net));
                command.args(["--threads", &threads.to_string(), "--faces", &faces.to_string()]);
                match Engine::start(name, &mut command) {
                    Ok(engine) => engines.push((name, engine)),
                    Err(error) if id == "ours" => return Err(error),
                    Err(error) => {
                        eprintln!("bench: {name} cannot run {net}: {error}");
                        missing.insert(format!("{name} on {net} ({error})"));
                    }
                }
            }
            for (name, engine) in &engines[1..] {
                difference = difference.max(checked(name, &engines[0].1.logits, &engine.logits)?);
            }
            let runs = (0..RUNS).map(|_| turns(&mut engines)).collect::<Result<Vec<_>>>()?;
            let names: Vec<_> = engines.iter().map(|(name, _)| *name).collect();
            let (row, ratio) =
                row((title, nets.multiply_accumulates[net]), (threads, faces), &names, &runs, difference);
            eprint!("{row}");
            rows += &row;
            if ratio > 1.0 {
                behind.push(format!("{title}, threads {threads}, faces {faces} ({ratio:.2})"));
            }
            engines.into_iter().try_for_each(|(_, engine)| engine.finish())?;
        }
    }
    page::write(&section(&rows, &behind, &missing, [before, hop()]))
}

/// Returns the command that starts an engine, without its arguments behind the engine's name.
fn command(python: &Path, id: &str) -> Result<Command> {
    let mut command = if id == "ours" || id.starts_with("tract") {
        Command::new(cargo::sibling("bench-guest")?)
    } else {
        let mut command = Command::new(python);
        command.arg(scripts().join("peer.py"));
        command
    };
    command.arg(id);
    Ok(command)
}

/// Returns the largest difference of logits as a share of the range of ours.
pub fn checked(name: &str, ours: &[f64], theirs: &[f64]) -> Result<f64> {
    ensure!(ours.len() == theirs.len(), "{name} gives {} logits, not {}", theirs.len(), ours.len());
    let range = ours.iter().copied().fold(f64::MIN, f64::max) - ours.iter().copied().fold(f64::MAX, f64::min);
    let differences = ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs() / range);
    // Not a number is the largest difference of all.
    let difference = differences.max_by(f64::total_cmp).unwrap_or(0.0);
    ensure!(
        difference <= MAX_DIFFERENCE,
        "{name} does not compute the same net: a logit differs by {:.0} % of their range (ours {ours:.2?}, its {theirs:.2?})",
        100.0 * difference
    );
    Ok(difference)
}

/// Lets all engines take their turns.
fn turns(engines: &mut [(&str, Engine)]) -> Result<Vec<Vec<Turn>>> {
    let mut taken: Vec<Vec<Turn>> = engines.iter().map(|_| Vec::new()).collect();
    for turn in 0..=TURNS {
        for ((_, engine), taken) in engines.iter_mut().zip(&mut taken) {
            thread::sleep(REST);
            let measured = engine.turn(TURN)?;
            if turn > 0 {
                taken.push(measured);
            }
        }
    }
    Ok(taken)
}

/// The median of numbers, and half of their interquartile range as a share of it.
fn median(mut numbers: Vec<f64>) -> (f64, f64) {
    numbers.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| numbers[((numbers.len() - 1) as f64 * share).round() as usize];
    (at(0.5), (at(0.75) - at(0.25)) / 2.0 / at(0.5))
}

/// What a run gives for an engine: milliseconds of a call and their spread over turns, and milliseconds of processor time.
fn figures(turns: &[Turn]) -> [f64; 3] {
    let (wall, spread) = median(turns.iter().map(|turn| median(turn.calls.clone()).0).collect());
    let (used, _) = median(turns.iter().map(|turn| turn.used / turn.calls.len() as f64).collect());
    [wall / 1e6, spread, used / 1e6]
}

/// Returns a row of the table, and the worst ratio to the best other engine.
fn row(
    (net, count): (&str, f64),
    (threads, faces): (usize, usize),
    engines: &[&str],
    runs: &[Vec<Vec<Turn>>],
    difference: f64,
) -> (String, f64) {
    let runs: Vec<Vec<[f64; 3]>> = runs.iter().map(|run| run.iter().map(|turns| figures(turns)).collect()).collect();
    let mut row = format!("| {net} | {:.0} | {threads} | {faces} |", count / 1e6);
    for (_, name) in ENGINES {
        match engines.iter().position(|engine| *engine == name) {
            None => row += " - |",
            Some(at) => {
                let [wall, spread, _] = runs[0][at];
                let _ = write!(row, " {:.3} ±{:.0} % |", wall / faces as f64, 100.0 * spread);
            }
        }
    }
    // To the best of the others by a figure, in each run.
    let ratios = |figure: usize| -> Vec<f64> {
        let best = |run: &[[f64; 3]]| run[1..].iter().map(|figures| figures[figure]).fold(f64::INFINITY, f64::min);
        runs.iter().map(|run| run[0][figure] / best(run)).collect()
    };
    let text = |ratios: &[f64]| ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(", ");
    let best = (1..engines.len()).min_by(|a, b| runs[0][*a][0].total_cmp(&runs[0][*b][0]));
    let best = best.map_or("-", |at| engines[at]);
    let wall = ratios(0);
    let _ = writeln!(row, " {best} | **{}** | {} | {:.1} % |", text(&wall), text(&ratios(2)), 100.0 * difference);
    (row, wall.into_iter().fold(0.0, f64::max))
}

/// Nanoseconds that a number takes from one thread to another that runs at the same time: two write it in turns. The lowest of several
/// measurements.
fn hop() -> f64 {
    const HOPS: u32 = 20_000;
    let measure = || {
        let turn = AtomicU32::new(0);
        let begun = Instant::now();
        thread::scope(|scope| {
            for first in [0, 1] {
                let turn = &turn;
                scope.spawn(move || {
                    for next in (first..HOPS).step_by(2) {
                        let mut spins = 0u32;
                        while turn.load(Ordering::Acquire) != next {
                            spins += 1;
                            if spins.is_multiple_of(10_000) {
                                // Where there is one processor only, the other could not answer otherwise.
                                thread::yield_now();
                            }
                            std::hint::spin_loop();
                        }
                        turn.store(next + 1, Ordering::Release);
                    }
                });
            }
        });
        begun.elapsed().as_nanos() as f64 / f64::from(HOPS)
    };
    (0..5).map(|_| measure()).fold(f64::INFINITY, f64::min)
}

fn section(rows: &str, behind: &[String], missing: &BTreeSet<String>, hops: [f64; 2]) -> String {
    let names = ENGINES.map(|(_, name)| name).join(" | ");
    let mut text = format!(
        "## One inference\n\nMilliseconds per face, medians of {TURNS} turns that the engines take one after the other, ± half their \
         interquartile range: `cargo xtask bench`. All run the same int8 net; \"float\" engines run its weights in the fastest \
         precision that they have. ncnn has no batches, and gets four calls for four faces. \"ours / best\" is the ratio to the \
         fastest other engine in each of {RUNS} runs, by wall time and by processor time (of all threads). \"differs\" is the \
         largest difference of any engine's logit from ours, as a share of the range of the logits: above {:.0} %, the benchmark \
         fails. Processor: {}. Two threads wait for what each writes for the other: a number took {:.0} ns from one to the other \
         before the table was measured, and {:.0} ns after it.\n\n\
         | net | MMAC | threads | faces | {names} | best other | ours / best | by processor time | differs |\n\
         |{}\n",
        100.0 * MAX_DIFFERENCE,
        processor(),
        hops[0],
        hops[1],
        " --- |".repeat(ENGINES.len() + 8)
    );
    text += rows;
    let behind = if behind.is_empty() { "nowhere in this table".to_owned() } else { behind.join("; ") };
    let _ = writeln!(text, "\nWhere another engine is faster than ours: {behind}.");
    if missing.is_empty() {
        text += "Every engine could be had.\n";
    } else {
        let list: Vec<&str> = missing.iter().map(String::as_str).collect();
        let _ = writeln!(text, "Could not be had: {}.", list.join("; "));
    }
    text
}

/// What the system calls its processor.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let [name, family, model] = ["model name", "cpu family", "model\t"].map(|key| value(key).unwrap_or("?".into()));
    format!("{name}, family {family}, model {model}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_conversion_is_refused() {
        assert!((checked("x", &[0.0, 10.0], &[0.5, 10.0]).unwrap() - 0.05).abs() < 1e-9);
        assert!(checked("x", &[0.0, 10.0], &[10.0, 0.0]).is_err());
        assert!(checked("x", &[0.0, 10.0], &[0.0]).is_err());
        assert!(checked("x", &[0.0, 10.0], &[f64::NAN, 10.0]).is_err());
    }

    #[test]
    fn a_row_has_medians_per_face_and_the_ratio_of_each_run() {
        let turn = |ms: f64| Turn { used: 4.0 * ms * 1e6, calls: vec![ms * 1e6; 2] };
        let engine = |ms: f64| vec![turn(ms), turn(ms), turn(100.0 * ms)];
        let runs = [vec![engine(2.0), engine(4.0)], vec![engine(3.0), engine(4.0)]];
        let (row, ratio) = row(("net", 5e6), (1, 2), &["ours", "LiteRT"], &runs, 0.01);
        assert!(row.starts_with("| net | 5 | 1 | 2 | 1.000 ±"), "{row}");
        assert!(row.contains("| LiteRT | **0.50, 0.75** | 0.50, 0.75 | 1.0 % |"), "{row}");
        assert_eq!(row.matches(" |").count(), ENGINES.len() + 8, "{row}");
        assert!((ratio - 0.75).abs() < 1e-9);
        let section = section(&row, &[], &BTreeSet::new(), [60.0, 200.0]);
        let table: Vec<_> = section.lines().filter(|line| line.starts_with('|')).collect();
        assert!(table.iter().all(|line| line.matches('|').count() == table[0].matches('|').count()), "{section}");
    }
}
