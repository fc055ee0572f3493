//! The privacy button on an input line.

use embedded_hal::digital::InputPin;

/// How long a level must last before it counts, in milliseconds: contacts bounce for some milliseconds.
pub const DEBOUNCE_MS: u64 = 30;

/// A debounced push button. A long press counts once, like a short one.
#[derive(Debug)]
pub struct Button<P> {
    pin: P,
    active_low: bool,
    /// The debounced level.
    down: bool,
    /// Since when the line has contradicted `down`, in milliseconds.
    contradicted: Option<u64>,
}

impl<P: InputPin> Button<P> {
    /// Creates a button on `pin`. If `active_low`, it pulls its line low while it is pressed.
    ///
    /// It counts as pressed until it is first seen released, so a stuck line, or a finger on the button when the program starts,
    /// changes nothing.
    pub fn new(pin: P, active_low: bool) -> Button<P> {
        Button { pin, active_low, down: true, contradicted: None }
    }

    /// Reads the line at time `ms`. Returns `true` once per press, as soon as it has lasted [`DEBOUNCE_MS`]. Call it about every
    /// 20 ms.
    ///
    /// # Errors
    /// Returns the pin's error if the line cannot be read.
    pub fn is_pressed(&mut self, ms: u64) -> Result<bool, P::Error> {
        let down = self.pin.is_high()? != self.active_low;
        if down == self.down {
            self.contradicted = None;
            return Ok(false);
        }
        let since = *self.contradicted.get_or_insert(ms);
        if ms.saturating_sub(since) < DEBOUNCE_MS {
            return Ok(false);
        }
        (self.down, self.contradicted) = (down, None);
        Ok(down)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use embedded_hal_mock::eh1::digital::{Mock, State as Level, Transaction};

    use super::*;

    /// The times at which a press is seen, for levels that are read every 10 ms.
    fn presses(levels: &[Level], active_low: bool) -> Vec<u64> {
        let mut pin = Mock::new(&levels.iter().map(|level| Transaction::get(*level)).collect::<Vec<_>>());
        let mut button = Button::new(pin.clone(), active_low);
        let times = (0..levels.len() as u64).map(|i| i * 10);
        let seen = times.filter(|ms| button.is_pressed(*ms).unwrap()).collect();
        pin.done();
        seen
    }

    const UP: [Level; 4] = [Level::High; 4];
    const DOWN: [Level; 4] = [Level::Low; 4];

    #[test]
    fn a_press_is_seen_once_however_long_it_lasts() {
        assert_eq!(presses(&[UP, DOWN, DOWN, DOWN, DOWN, UP, DOWN].concat(), true), [70, 270]);
        assert_eq!(presses(&[DOWN, UP, UP, UP, UP, DOWN, UP].concat(), false), [70, 270]);
    }

    #[test]
    fn bounces_are_no_presses() {
        let (high, low) = (Level::High, Level::Low);
        assert_eq!(presses(&[&UP[..], &[low, high, low, low, high, low, low, low, high]].concat(), true), []);
        assert_eq!(presses(&[&UP[..], &[low, high], &DOWN, &[high, low], &DOWN, &UP].concat(), true), [90]);
    }

    #[test]
    fn a_button_that_is_stuck_or_held_at_the_start_is_no_press() {
        assert_eq!(presses(&[DOWN, DOWN, DOWN].concat(), true), []);
        assert_eq!(presses(&[DOWN, UP, DOWN].concat(), true), [110]);
    }
}
