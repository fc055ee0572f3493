//! The indicator's lines, read back from the GPIO controller, and the privacy button.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::board_file::BoardFile;
use crate::fault::Fault;
use crate::files::empty_folder;
use crate::frames;
use crate::guest::Guest;
use crate::lab::Lab;
use crate::machine::Board;
use crate::output::{self, EXPORT_EVENTS, EXPORT_RECORDS, Event, RecordStamp};
use crate::suite::Figures;

/// Red, green and blue light; true is on.
type Light = [bool; 3];

const OFF: Light = [false; 3];
const GREEN: Light = [false, true, false];
const YELLOW: Light = [true, true, false];
/// The labels whose light is steady, with their colours: docs/hardware.md.
const STEADY: [(&str, Light); 7] = [
    ("neutral", [true, true, true]),
    ("happiness", [true, true, false]),
    ("surprise", [false, true, true]),
    ("sadness", [false, false, true]),
    ("anger", [true, false, false]),
    ("disgust", [false, true, false]),
    ("fear", [true, false, true]),
];
/// The kernel's names for the GPIO controllers of the two boards. A Pi has a second controller, for its firmware.
const CHIPS: [&str; 2] = ["pinctrl-bcm2835", "9030000.pl061"];
/// How many frames are tried as still pictures.
const CANDIDATES: usize = 40;
/// How many frames smoothing takes to settle on a still picture.
const SETTLED: usize = 40;
/// How long a board may take to show another state.
const CHANGE: Duration = Duration::from_secs(150);

/// A board with its lines of red, green and blue.
struct Wired {
    board: Board,
    lines: [usize; 3],
    has_button: bool,
}

/// Runs the suite.
pub fn run(lab: &Lab) -> Result<Vec<Figures>> {
    let work = lab.folder.join("indicator");
    empty_folder(&work)?;
    let stills = find_stills(lab, &work)?;
    ensure!(stills.len() >= 2, "no two still pictures have labels with different lights: {:?}", stills.keys());
    // The Pi has its own board file. The controller of the generic machine has eight lines; the fourth is QEMU's power button.
    let boards = [
        Wired { board: Board::Pi3, lines: [17, 27, 22], has_button: false },
        Wired { board: Board::Virt("cortex-a72"), lines: [0, 1, 2], has_button: true },
    ];
    boards.iter().map(|wired| test_board(lab, wired, &stills)).collect()
}

/// Returns frames by the label that the host gives to all faces in them, if that label's light is steady.
fn find_stills(lab: &Lab, work: &Path) -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let luma = frames::luma(work, 20)?;
    let mut stills = BTreeMap::new();
    for candidate in 0..CANDIDATES {
        let frame = &luma[candidate * luma.len() / CANDIDATES];
        let last = frames::seen_by_host(lab, work, frame, SETTLED)?.pop().context("the host saw no frame")?;
        let labels: Vec<Option<&str>> = last.faces.iter().map(|face| face.label.as_deref()).collect();
        let steady = STEADY.into_iter().find(|(name, _)| labels.first() == Some(&Some(name)));
        if let Some((name, _)) = steady
            && labels.iter().all(|label| *label == Some(name))
        {
            stills.entry(name).or_insert_with(|| frame.clone());
        }
    }
    Ok(stills)
}

fn test_board(lab: &Lab, wired: &Wired, stills: &BTreeMap<&'static str, Vec<u8>>) -> Result<Figures> {
    let mut payload = lab.payload()?;
    let mut board = match wired.board {
        Board::Pi3 => BoardFile::shipped("raspberry-pi-3b")?,
        Board::Virt(_) => {
            let mut board = BoardFile::generic("v4l2:/dev/video0")?;
            board.add_gpio("9030000.pl061");
            board
        }
    };
    if lab.has(Fault::Line) {
        board.swap_red_and_green()?;
    }
    payload.file("payload/board.toml", board.to_toml()?.as_bytes(), false);
    payload.file("payload/blank.grey", &vec![128; frames::SIZE.0 * frames::SIZE.1], false);
    for (label, frame) in stills {
        payload.file(&format!("payload/{label}.grey"), frame, false);
    }
    let mut guest = lab.machine(wired.board, "indicator", &payload).boot()?;
    guest.run("watch-still")?;
    // Watching: a short green wink every two seconds, and nothing else.
    let is_watching = |seen: &[Light]| seen.contains(&GREEN) && alternates(seen, GREEN);
    await_lights(&mut guest, wired, is_watching).context("no face: the light does not wink green")?;
    let mut shown = vec!["watching"];
    for label in stills.keys() {
        guest.run(&format!("show-still /payload/{label}.grey"))?;
        await_label(&mut guest, wired, label).with_context(|| format!("{label}: the light has another colour"))?;
        shown.push(label);
    }
    let mut text = format!("lines {:?} followed {}", wired.lines, shown.join(", "));
    if wired.has_button {
        let (label, _) = stills.last_key_value().context("there is no still picture")?;
        text += &test_button(&mut guest, wired, label)?;
    }
    Ok(Figures { board: wired.board.name(), text })
}

/// Presses the button twice while a still picture with `label` is shown: nothing is recorded in between.
fn test_button(guest: &mut Guest, wired: &Wired, label: &str) -> Result<String> {
    guest.press_button()?;
    // Paused: yellow, one second on, one second off.
    let is_paused = |seen: &[Light]| seen.contains(&YELLOW) && seen.contains(&OFF) && alternates(seen, YELLOW);
    await_lights(guest, wired, is_paused).context("the button was pressed, but the light does not show the pause")?;
    sleep(Duration::from_secs(5));
    guest.press_button()?;
    await_label(guest, wired, label).context("the button was pressed again, but the light still shows the pause")?;
    guest.run("sleep 3; stop-and-verify /tmp/j.sqlite")?;
    let events: Vec<Event> = output::json_lines(&guest.run(&format!("{EXPORT_EVENTS} /tmp/j.sqlite"))?)?;
    let records: Vec<RecordStamp> = output::csv_rows(&guest.run(&format!("{EXPORT_RECORDS} /tmp/j.sqlite"))?)?;
    let time = |name: &str| {
        let event = events.iter().find(|event| event.event == name);
        event.map(|event| event.monotonic_us).with_context(|| format!("no event {name}: {events:?}"))
    };
    let (paused, resumed) = (time("recording_paused")?, time("recording_resumed")?);
    let within = records.iter().filter(|record| (paused..resumed).contains(&record.monotonic_us)).count();
    ensure!(within == 0, "{within} records were made while recording was paused");
    ensure!(
        records.iter().any(|record| record.monotonic_us < paused)
            && records.iter().any(|record| record.monotonic_us > resumed),
        "there are no records before or after the pause"
    );
    Ok(format!(
        "; the button paused recording for {:.1} s: {} records before and after, none within",
        (resumed - paused) as f64 / 1e6,
        records.len()
    ))
}

/// Returns whether a light is only ever off or of one colour.
fn alternates(seen: &[Light], colour: Light) -> bool {
    seen.iter().all(|light| [colour, OFF].contains(light))
}

/// Waits until the light steadily shows a label's colour.
fn await_label(guest: &mut Guest, wired: &Wired, label: &str) -> Result<()> {
    let (_, colour) = STEADY.into_iter().find(|(name, _)| *name == label).context("the label has no steady light")?;
    await_lights(guest, wired, |seen| seen.iter().all(|light| *light == colour))
}

/// Reads the lines about twenty times in two seconds, until `is_expected` holds for these readings.
fn await_lights(guest: &mut Guest, wired: &Wired, is_expected: impl Fn(&[Light]) -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let output = guest.run("read-lines")?;
        let seen: Vec<Light> = output.split("\n\n").filter_map(|reading| parse_light(reading, wired.lines)).collect();
        if !seen.is_empty() && is_expected(&seen) {
            return Ok(());
        }
        ensure!(begun.elapsed() < CHANGE, "readings of the lines: {seen:?}");
    }
}

/// Returns which of three lines are high according to the kernel's list, which is read from the controller.
fn parse_light(text: &str, lines: [usize; 3]) -> Option<Light> {
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
        assert_eq!(parse_light(text, [0, 1, 2]), Some([true, false, true]));
        assert_eq!(parse_light(text, [0, 1, 3]), None);
        assert_eq!(parse_light("", [0, 1, 2]), None);
    }
}
