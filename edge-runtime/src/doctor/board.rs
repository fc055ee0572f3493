//! The board and what is wired to it.

use super::{Finding, INSTALLED_BOARD, Machine, access};
use crate::board::{self, Board, BoardError};

/// The board that is asked for, or installed, or detected; and whether that is what the machine is.
pub fn recognised(machine: &Machine, asked: Option<&str>) -> Result<(Board, Finding), BoardError> {
    let installed = machine.path(INSTALLED_BOARD);
    let named = match asked {
        Some(asked) => Some(Board::open(asked)),
        None => installed.exists().then(|| Board::read(&installed)),
    };
    match named {
        Some(Ok(board)) => {
            let finding = compared(&board, board::model(&machine.root));
            Ok((board, finding))
        }
        Some(Err(error)) => Ok((Board::detect_at(&machine.root)?, Finding::refused("board", error.to_string()))),
        None => {
            let board = Board::detect_at(&machine.root)?;
            let finding = detected(&board, board::model(&machine.root));
            Ok((board, finding))
        }
    }
}

fn described(board: &Board) -> String {
    format!("{} ({})", board.title, board.name)
}

/// A board that was named, beside what the device tree says.
fn compared(board: &Board, model: Option<String>) -> Finding {
    match model {
        Some(model) if !board.is_model(&model) => Finding::warn(
            "board",
            format!("{}, but the device tree says {model}", described(board)),
            "give the board file of this machine",
        ),
        _ => Finding::ok("board", described(board)),
    }
}

fn detected(board: &Board, model: Option<String>) -> Finding {
    match model {
        Some(model) if !board.is_model(&model) => Finding::warn(
            "board",
            format!("{model} is not known, and taken for {}", described(board)),
            format!("write a board file (boards/README.md) to {INSTALLED_BOARD}"),
        ),
        _ => Finding::ok("board", described(board)),
    }
}

/// Whether lights, button and display can be reached. The runtime works without them.
pub fn parts(machine: &Machine, board: &Board) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(gpio) = board.gpio.as_ref().filter(|gpio| gpio.lines().next().is_some()) {
        let chips = machine.devices("gpiochip");
        let problem = chips.iter().find_map(|chip| access::problem(machine, chip));
        findings.push(match (chips.len(), problem) {
            (0, _) => {
                Finding::warn("gpio", "no /dev/gpiochip*", "lights and button stay off: look for the kernel's driver")
            }
            (_, Some((found, advice))) => Finding::warn("gpio", found, advice),
            (count, None) => Finding::ok("gpio", format!("{count} chips, {} lines wired", gpio.lines().count())),
        });
    }
    if let Some(display) = &board.display {
        let advice = "enable I2C (sudo raspi-config nonint do_i2c 0, or modprobe i2c-dev), or take [display] out of the board file";
        let bus = machine.path(&display.bus);
        findings.push(match (bus.exists(), access::problem(machine, &bus)) {
            (false, _) => Finding::warn("display", format!("no bus {}", display.bus.display()), advice),
            (true, Some((found, advice))) => Finding::warn("display", found, advice),
            (true, None) => Finding::ok("display", format!("bus {}, not asked", display.bus.display())),
        });
    }
    findings
}
