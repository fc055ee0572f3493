//! The machine's own lines and buses.

use std::path::{Path, PathBuf};

use gpiocdev::Request;
use gpiocdev::chip::Chip;
use gpiocdev::line::{self, Value};
use gpiocdev_embedded_hal::{InputPin, OutputPin};
use linux_embedded_hal::I2cdev;

use super::worker::Wiring;
use super::{Bias, Line, Offset};

/// Who holds a line, as `gpioinfo` shows it.
const CONSUMER: &str = "edge-runtime";

/// Lines and buses of this machine: GPIO character devices and `/dev/i2c-*`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Wiring for Machine {
    type Output = OutputPin;
    type Input = InputPin;
    type Bus = I2cdev;

    fn output(&mut self, chips: &[String], line: &Line) -> Result<OutputPin, String> {
        // Levels are those of the wire here; what shines at which level is the business of the lights.
        let dark = if line.active_low { Value::Active } else { Value::Inactive };
        let (chip, offset) = find(chips, &line.line)?;
        let mut request = Request::builder();
        request.on_chip(chip).with_consumer(CONSUMER).with_line(offset).as_output(dark);
        let request = request.request().map_err(|error| taken(offset, &error))?;
        OutputPin::try_from(request).map_err(|error| taken(offset, &error))
    }

    fn input(&mut self, chips: &[String], line: &Line) -> Result<InputPin, String> {
        let (chip, offset) = find(chips, &line.line)?;
        let mut request = Request::builder();
        request.on_chip(chip).with_consumer(CONSUMER).with_line(offset).as_input();
        if let Some(bias) = line.bias {
            request.with_bias(match bias {
                Bias::PullUp => line::Bias::PullUp,
                Bias::PullDown => line::Bias::PullDown,
            });
        }
        let request = request.request().map_err(|error| taken(offset, &error))?;
        InputPin::try_from(request).map_err(|error| taken(offset, &error))
    }

    fn bus(&mut self, bus: &Path) -> Result<I2cdev, String> {
        I2cdev::new(bus).map_err(|error| format!("cannot open {}: {error}", bus.display()))
    }
}

/// The chip that is meant, and the number of the line on it.
fn find(chips: &[String], line: &Offset) -> Result<(PathBuf, u32), String> {
    let chip = find_chip(chips)?;
    let path = chip.path().to_owned();
    let offset = match line {
        Offset::Number(number) => *number,
        Offset::Name(name) => {
            let found = chip.find_line_info(name);
            found.ok_or_else(|| format!("{} has no line called {name}", path.display()))?.offset
        }
    };
    Ok((path, offset))
}

/// The first of `wanted`, labels or device paths, that is there.
fn find_chip(wanted: &[String]) -> Result<Chip, String> {
    let mut refusals = String::new();
    let paths = gpiocdev::chip::chips().unwrap_or_default();
    let mut open = |path: &Path| Chip::from_path(path).map_err(|error| refusals += &format!(" ({error})")).ok();
    for wanted in wanted {
        let found = match wanted.starts_with('/') {
            true => open(Path::new(wanted)),
            false => {
                paths.iter().filter_map(|path| open(path)).find(|chip| chip.info().is_ok_and(|i| i.label == *wanted))
            }
        };
        if let Some(chip) = found {
            return Ok(chip);
        }
    }
    Err(format!("no GPIO chip {} can be opened{refusals}", wanted.join(" or ")))
}

fn taken(offset: u32, error: &dyn std::fmt::Display) -> String {
    format!("cannot have line {offset}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let message = find_chip(&["pinctrl-none".into(), "/dev/no-chip".into()]).unwrap_err();
        assert!(message.starts_with("no GPIO chip pinctrl-none or /dev/no-chip can be opened"), "{message}");
        let message = Machine.bus(Path::new("/dev/no-bus")).err().unwrap();
        assert!(message.contains("/dev/no-bus"), "{message}");
    }

    #[test]
    fn a_file_that_is_no_chip_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(find_chip(&[file.path().display().to_string()]).is_err());
    }
}
