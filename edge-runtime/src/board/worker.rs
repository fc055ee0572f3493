//! What the indicator's threads do: lines and buses are opened when they can be, used, and opened again when they fail.

use std::path::Path;

use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::i2c::I2c;
use expression_core::indicator::{Button, Display, Lamp, Lights, Role, Screen, State};

use super::{DisplayBus, Gpio, Line};

/// How long a part that failed is left alone, in milliseconds.
pub const RETRY_MS: u64 = 5_000;
/// How long a rate stands on the display before a new one is sent, in milliseconds.
pub const DISPLAY_MS: u64 = 500;

/// Where lines and buses come from: the machine, or a test.
pub trait Wiring {
    /// A line that drives a light.
    type Output: OutputPin;
    /// A line that a button is on.
    type Input: InputPin;
    /// A bus that a display is on.
    type Bus: I2c;

    /// Opens a line for a light, dark. The error is a reason in words, and so are the others.
    fn output(&mut self, chips: &[String], line: &Line) -> Result<Self::Output, String>;
    /// Opens a line for a button.
    fn input(&mut self, chips: &[String], line: &Line) -> Result<Self::Input, String>;
    /// Opens a bus.
    fn bus(&mut self, bus: &Path) -> Result<Self::Bus, String>;
}

/// What one round of a worker came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Whether the button was pressed.
    pub pressed: bool,
    /// What broke or works again, once each.
    pub notes: Vec<String>,
}

/// Shows states on the parts that a board has.
pub struct Worker<W: Wiring> {
    wiring: W,
    gpio: Option<Gpio>,
    display_bus: Option<DisplayBus>,
    lights: Part<Lights<W::Output>>,
    button: Part<Button<W::Input>>,
    display: Part<Display<W::Bus>>,
    /// What was last sent to the display, and when.
    sent: Option<(Screen, u64)>,
}

impl<W: Wiring> Worker<W> {
    /// A worker for lights and button, for a display, or for both. Nothing is opened yet.
    pub fn new(wiring: W, gpio: Option<Gpio>, display_bus: Option<DisplayBus>) -> Worker<W> {
        let (lights, button, display) = (Part::new("lights"), Part::new("privacy button"), Part::new("display"));
        Worker { wiring, gpio, display_bus, lights, button, display, sent: None }
    }

    /// Shows a screen at the time `ms`, in milliseconds of a clock that never goes back, and looks at the button.
    pub fn round(&mut self, ms: u64, screen: Screen) -> Round {
        let mut round = Round::default();
        let Worker { wiring, gpio, display_bus, lights, button, display, sent } = self;
        if let Some(gpio) = gpio.as_ref().filter(|gpio| lamps(gpio).next().is_some()) {
            let open = || open_lights(wiring, gpio);
            let show = |lights: &mut Lights<_>| lights.show(screen.state, ms).map_err(|error| format!("{error:?}"));
            lights.work(ms, &mut round.notes, open, show);
        }
        if let Some((gpio, line)) = gpio.as_ref().and_then(|gpio| Some((gpio, gpio.button.as_ref()?))) {
            let open = || Ok(Button::new(wiring.input(&gpio.chips, line)?, line.active_low));
            let look = |button: &mut Button<_>| button.is_pressed(ms).map_err(|error| format!("{error:?}"));
            round.pressed = button.work(ms, &mut round.notes, open, look).unwrap_or(false);
        }
        let is_due = sent.is_none_or(|(old, at)| old.state != screen.state || ms.saturating_sub(at) >= DISPLAY_MS);
        if let Some(DisplayBus { bus, address }) = display_bus.as_ref().filter(|_| is_due) {
            let silent = || format!("nothing answers at address {address:#04x} of {}", bus.display());
            let open = || Ok(Display::new(wiring.bus(bus)?, *address));
            let show = |display: &mut Display<_>| display.show(screen).map_err(|_| silent());
            if display.work(ms, &mut round.notes, open, show).is_some() {
                *sent = Some((screen, ms));
            }
        }
        round
    }

    /// Turns everything off. What fails now nobody can mend.
    pub fn darken(&mut self) {
        if let Some(lights) = &mut self.lights.part {
            let _ = lights.darken();
        }
        if let Some(display) = &mut self.display.part {
            let _ = display.darken();
        }
    }
}

/// The lines of lights, each with what it stands for.
fn lamps(gpio: &Gpio) -> impl Iterator<Item = (Role, &Line)> {
    let rgb = [(Role::Red, &gpio.red), (Role::Green, &gpio.green), (Role::Blue, &gpio.blue)];
    let rgb = rgb.into_iter().filter_map(|(role, line)| Some((role, line.as_ref()?)));
    let single = gpio.lights.iter().filter_map(|(name, line)| Some((Role::State(State::from_name(name)?), line)));
    rgb.chain(single)
}

/// All lights or none: an RGB light without its green would show another label's colour.
fn open_lights<W: Wiring>(wiring: &mut W, gpio: &Gpio) -> Result<Lights<W::Output>, String> {
    let open = |(role, line): (Role, &Line)| Ok(Lamp::new(role, wiring.output(&gpio.chips, line)?, line.active_low));
    Ok(Lights::new(lamps(gpio).map(open).collect::<Result<Vec<_>, String>>()?))
}

/// A part that may be broken or missing.
struct Part<T> {
    name: &'static str,
    part: Option<T>,
    /// When it failed last; `None` while it works, or was not tried.
    failed_at: Option<u64>,
}

impl<T> Part<T> {
    fn new(name: &'static str) -> Part<T> {
        Part { name, part: None, failed_at: None }
    }

    /// Opens the part if it is not open, and does something with it. `None` if either fails, or failed a moment ago.
    fn work<R>(
        &mut self,
        ms: u64,
        notes: &mut Vec<String>,
        open: impl FnOnce() -> Result<T, String>,
        act: impl FnOnce(&mut T) -> Result<R, String>,
    ) -> Option<R> {
        if self.failed_at.is_some_and(|at| ms.saturating_sub(at) < RETRY_MS) {
            return None;
        }
        let part = self.part.take().map_or_else(open, Ok);
        match part.and_then(|mut part| act(&mut part).map(|result| (part, result))) {
            Ok((part, result)) => {
                self.part = Some(part);
                if self.failed_at.take().is_some() {
                    notes.push(format!("{} works", self.name));
                }
                Some(result)
            }
            Err(reason) => {
                if self.failed_at.replace(ms).is_none() {
                    let seconds = RETRY_MS / 1000;
                    notes.push(format!("{}: {reason}; tried again every {seconds} s", self.name));
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
