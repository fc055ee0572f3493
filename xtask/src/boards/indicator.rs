//! The indicator's lines, read back from the GPIO controller, and the privacy button.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{EVENTS, Fault, Figures, LIMIT, Lab, board_file, frames};
use crate::cargo;
use crate::guest::Guest;
use crate::guest::console::Board;

/// Lights of labels that stay on, as docs/hardware.md has them: red, green, blue.
const COLOURS: [(&str, [bool; 3]); 7] = [
    ("neutral", [true, true, true]),
    ("happiness", [true, true, false]),
    ("surprise", [false, true, true]),
    ("sadness", [false, false, true]),
    ("anger", [true, false, false]),
    ("disgust", [false, true, false]),
    ("fear", [true, false, true]),
];
/// The controllers of the two boards, as the kernel names them; a Pi has another, of its firmware.
const CHIPS: [&str; 2] = ["pinctrl-bcm2835", "9030000.pl061"];
/// Still frames that are tried until labels differ.
const CANDIDATES: usize = 40;
/// Frames until smoothing has settled on a still picture.
const SETTLED: usize = 40;
/// What the board is given to come to another state.
const CHANGE: Duration = Duration::from_secs(150);

/// Lines of red, green and blue on a board.
struct Wired {
    board: Board,
    lines: [usize; 3],
    button: bool,
}

pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("indicator");
    fs::create_dir_all(&work)?;
    let stills = stills(lab, &work)?;
    ensure!(stills.len() >= 2, "no two still pictures with labels of different lights: {:?}", stills.keys());
    // The Pi by its own board file; the other by its controller of eight lines, of which the fourth is QEMU's power button.
    let wired = [
        Wired { board: Board::Pi3, lines: [17, 27, 22], button: false },
        Wired { board: Board::Virt("cortex-a72"), lines: [0, 1, 2], button: true },
    ];
    wired.iter().map(|wired| on(lab, wired, &stills)).collect()
}

/// Frames, by the label that the host gives to all that is in them.
fn stills(lab: &Lab, work: &std::path::Path) -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let luma = frames::luma(work, 20)?;
    let mut stills = BTreeMap::new();
    for candidate in 0..CANDIDATES {
        let frame = &luma[candidate * luma.len() / CANDIDATES];
        let said = frames::host_says(lab, work, frame, SETTLED)?;
        let last = said.lines().last().context("no frame")?;
        let labels: Vec<&str> =
            last.split("\"label\":").skip(1).map(|behind| behind.split(['"', ',']).nth(1).unwrap_or("")).collect();
        let steady = COLOURS.into_iter().find(|(name, _)| labels.first() == Some(name));
        if let Some((name, _)) = steady
            && labels.iter().all(|label| *label == name)
        {
            stills.entry(name).or_insert_with(|| frame.clone());
        }
    }
    Ok(stills)
}

fn on(lab: &Lab, wired: &Wired, stills: &BTreeMap<&'static str, Vec<u8>>) -> Result<Figures> {
    let mut payload = lab.payload()?;
    let board = match wired.board {
        Board::Pi3 => fs::read_to_string(cargo::workspace_root().join("boards/raspberry-pi-3b.toml"))?,
        Board::Virt(_) => board_file(
            "/sys/none",
            "v4l2:/dev/video0",
            "[gpio]\n\
             chips = [\"9030000.pl061\"]\n\
             red = { line = 0 }\n\
             green = { line = 1 }\n\
             blue = { line = 2 }\n\
             button = { line = 3 }\n",
        ),
    };
    let board = if lab.has(Fault::Line) {
        board.replace("red =", "swapped =").replace("green =", "red =").replace("swapped =", "green =")
    } else {
        board
    };
    payload.file("payload/board.toml", board.as_bytes(), false);
    payload.file("payload/blank.grey", &vec![128; frames::SIZE.0 * frames::SIZE.1], false);
    for (label, frame) in stills {
        payload.file(&format!("payload/{label}.grey"), frame, false);
    }
    payload.file("payload/bin/endless", b"#!/bin/sh\nwhile cat /tmp/now.grey; do sleep 0.05; done\n", true);
    let mut guest = lab.machine(wired.board, "indicator", &payload).boot()?;
    guest.run(
        "cp /payload/blank.grey /tmp/now.grey; \
         (edge-runtime run --board /payload/board.toml --bundle /payload/bundle \
         --source 'command:\"/payload/bin/endless\"' --frame-format grey --frame-size 640x480 \
         --commit-every 1 --journal /tmp/j.sqlite >/dev/null 2>/tmp/said &); \
         until [ -s /tmp/j.sqlite ]; do sleep 0.2; done",
        LIMIT,
    )?;
    // Watching: a short green wink every two seconds, and nothing else.
    let watching = until(&mut guest, wired, |seen| {
        seen.contains(&[false, true, false])
            && seen.contains(&[false; 3])
            && !seen.iter().any(|[red, _, blue]| *red || *blue)
    });
    watching.context("no face: the light does not wink green")?;
    let mut shown = vec!["watching"];
    for label in stills.keys() {
        guest.run(&format!("cp /payload/{label}.grey /tmp/new.grey && mv /tmp/new.grey /tmp/now.grey"), LIMIT)?;
        let (_, colour) = COLOURS.into_iter().find(|(name, _)| name == label).context("a label with a steady light")?;
        until(&mut guest, wired, |seen| seen.iter().all(|state| *state == colour))
            .with_context(|| format!("{label}: not the light of that label"))?;
        shown.push(label);
    }
    let mut text = format!("lines {:?} followed {}", wired.lines, shown.join(", "));
    if wired.button {
        guest.press_button()?;
        // Paused: yellow, a second on, a second off.
        until(&mut guest, wired, |seen| {
            seen.contains(&[true, true, false])
                && seen.contains(&[false; 3])
                && seen.iter().all(|state| [[true, true, false], [false; 3]].contains(state))
        })
        .context("the button was pressed and the light does not say paused")?;
        sleep(Duration::from_secs(5));
        guest.press_button()?;
        let (label, _) = stills.last_key_value().context("a still picture")?;
        let (_, colour) = COLOURS.into_iter().find(|(name, _)| name == label).context("a label with a steady light")?;
        until(&mut guest, wired, |seen| seen.iter().all(|state| *state == colour))
            .context("the button was pressed again and the light still says paused")?;
        guest.run("sleep 3; kill -TERM $(pidof edge-runtime); sleep 3", LIMIT)?;
        let events = guest.run(&format!("{EVENTS} /tmp/j.sqlite"), LIMIT)?;
        let records = guest.run("edge-runtime log export --format csv --journal /tmp/j.sqlite | cut -d, -f4", LIMIT)?;
        let moment = |name: &str| -> Result<u64> {
            let line = events
                .lines()
                .find(|line| line.contains(&format!("\"event\":\"{name}\"")))
                .with_context(|| format!("no event {name}: {events}"))?;
            let (_, behind) = line.split_once("\"monotonic_us\":").context("an event without a time")?;
            Ok(behind.chars().take_while(char::is_ascii_digit).collect::<String>().parse()?)
        };
        let (paused, resumed) = (moment("recording_paused")?, moment("recording_resumed")?);
        let moments: Vec<u64> = records.lines().filter_map(|line| line.trim().parse().ok()).collect();
        let within = moments.iter().filter(|at| (paused..resumed).contains(at)).count();
        ensure!(within == 0, "{within} records were made while recording was paused");
        ensure!(
            moments.iter().any(|at| *at < paused) && moments.iter().any(|at| *at > resumed),
            "no records before and after the pause"
        );
        text += &format!(
            "; the button paused for {:.1} s, {} records outside, none within",
            (resumed - paused) as f64 / 1e6,
            moments.len()
        );
    }
    Ok(Figures { board: wired.board.name(), text })
}

/// Reads the lines some twenty times over two seconds and more, until `as_expected` holds for all of these.
fn until(guest: &mut Guest, wired: &Wired, as_expected: impl Fn(&[[bool; 3]]) -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let said = guest.run(
            "n=0; while [ $n -lt 24 ]; do cat /sys/kernel/debug/gpio; echo; n=$((n + 1)); sleep 0.1; done",
            LIMIT,
        )?;
        let seen: Vec<[bool; 3]> = said.split("\n\n").filter_map(|text| lights(text, wired.lines)).collect();
        if !seen.is_empty() && as_expected(&seen) {
            return Ok(());
        }
        ensure!(begun.elapsed() < CHANGE, "the lines said, one reading after the other: {seen:?}");
    }
}

/// Which of three lines are high, from the kernel's list, which asks the controller.
fn lights(text: &str, lines: [usize; 3]) -> Option<[bool; 3]> {
    let chip = text.lines().find(|line| CHIPS.iter().any(|chip| line.contains(chip)))?;
    let base: usize = chip.split_once("GPIOs ")?.1.split('-').next()?.parse().ok()?;
    let level = |line: usize| {
        let name = format!("gpio-{} ", base + line);
        text.lines().find(|text| text.trim_start().starts_with(&name)).map(|text| text.contains(" hi"))
    };
    Some([level(lines[0])?, level(lines[1])?, level(lines[2])?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_from_the_kernels_list() {
        let text = "gpiochip1: GPIOs 450-457, parent: platform/soc:firmware:gpio, raspberrypi-exp-gpio:\n \
                    gpio-450 (BT_ON               )\n\
                    gpiochip0: GPIOs 504-511, parent: amba/9030000.pl061, 9030000.pl061:\n \
                    gpio-504 (                    |edge-runtime        ) out hi \n \
                    gpio-505 (                    |edge-runtime        ) out lo \n \
                    gpio-506 (                    |edge-runtime        ) out hi ACTIVE LOW\n";
        assert_eq!(lights(text, [0, 1, 2]), Some([true, false, true]));
        assert_eq!(lights(text, [0, 1, 3]), None);
        assert_eq!(lights("", [0, 1, 2]), None);
    }
}
