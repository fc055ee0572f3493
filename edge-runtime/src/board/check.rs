//! What is wrong with a board file whose values are of the right types.

use std::collections::BTreeSet;

use expression_core::indicator::State;

use super::{Board, Gpio, Thermal};

impl Board {
    /// Checks values that are of the right type.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_plain = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
            !text.is_empty() && text.bytes().all(plain)
        };
        for (key, value) in [("name", &self.name), ("target", &self.target), ("cpu", &self.cpu)] {
            if !is_plain(value) {
                return Err(format!("{key} {value:?} is not of lower-case letters, digits, - and _"));
            }
        }
        if !(1..=256).contains(&self.threads) {
            return Err(format!("threads {} is not between 1 and 256", self.threads));
        }
        if !(1..=100).contains(&self.camera.detect_every) {
            return Err(format!("camera.detect_every {} is not between 1 and 100", self.camera.detect_every));
        }
        if expression_core::Turn::from_degrees(self.camera.rotate).is_none() {
            return Err(format!("camera.rotate {} is not 0, 90, 180 or 270", self.camera.rotate));
        }
        if let Some(stall) = self.camera.stall.filter(|seconds| !(*seconds > 0.0 && *seconds <= 1e9)) {
            return Err(format!("camera.stall {stall} is not a number of seconds above 0"));
        }
        let Thermal { half, quarter, pause, hysteresis, .. } = self.thermal;
        let sensible = [half, quarter, pause, hysteresis].iter().all(|celsius| (0.0..=150.0).contains(celsius));
        if !sensible || !self.thermal.limits().are_sound() {
            return Err("thermal: half, quarter, pause must rise, hysteresis be above 0, all at most 150".into());
        }
        if let Some(display) = self.display.as_ref().filter(|display| !(0x08..=0x77).contains(&display.address)) {
            return Err(format!("display.address {:#04x} is not between 0x08 and 0x77", display.address));
        }
        for (key, path) in [("bundle", &self.paths.bundle), ("journal", &self.paths.journal)] {
            if !path.is_absolute() {
                return Err(format!("paths.{key} {} does not begin with a slash", path.display()));
            }
        }
        self.journal.check().map_err(|error| error.to_string())?;
        self.trust.trust().map_err(|error| format!("trust: {error}"))?;
        self.gpio.as_ref().map_or(Ok(()), Gpio::check)
    }
}

impl Gpio {
    fn check(&self) -> Result<(), String> {
        if self.chips.is_empty() {
            return Err("gpio.chips is empty".into());
        }
        if let Some(name) = self.lights.keys().find(|name| State::from_name(name).is_none()) {
            let known: Vec<_> = State::all().map(State::name).collect();
            return Err(format!("gpio.lights.{name}: no such state; there are {}", known.join(", ")));
        }
        let mut used = BTreeSet::new();
        match self.lines().find(|(_, line)| !used.insert(&line.line)) {
            Some((key, _)) => Err(format!("gpio.{key}: another light or the button has this line already")),
            None => Ok(()),
        }
    }
}
