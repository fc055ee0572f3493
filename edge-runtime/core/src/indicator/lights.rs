//! Lights on output lines: an RGB light, one light per state, or both.

use embedded_hal::digital::{OutputPin, PinState};
use heapless::Vec;

use super::State;

/// The most lights that a board can have: three of an RGB light and one per state.
pub const MAX_LAMPS: usize = 16;

/// What a light shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The red part of an RGB light.
    Red,
    /// The green part of an RGB light.
    Green,
    /// The blue part of an RGB light.
    Blue,
    /// One state of its own.
    State(State),
}

/// A light on one output line.
#[derive(Debug)]
pub struct Lamp<P> {
    role: Role,
    pin: P,
    active_low: bool,
    /// What was last written, so that a line is only written if it changes.
    lit: Option<bool>,
}

impl<P: OutputPin> Lamp<P> {
    /// Creates a light on `pin`. If `active_low`, it is lit while its line is low.
    pub fn new(role: Role, pin: P, active_low: bool) -> Lamp<P> {
        Lamp { role, pin, active_low, lit: None }
    }

    fn set(&mut self, lit: bool) -> Result<(), P::Error> {
        if self.lit != Some(lit) {
            // Cleared first, because after an error the line's level is unknown.
            self.lit = None;
            self.pin.set_state(PinState::from(lit != self.active_low))?;
            self.lit = Some(lit);
        }
        Ok(())
    }
}

/// The lights of a board.
#[derive(Debug)]
pub struct Lights<P> {
    lamps: Vec<Lamp<P>, MAX_LAMPS>,
    state: Option<State>,
    /// When the state was first shown, in milliseconds; its rhythm starts there.
    since: u64,
}

impl<P: OutputPin> Lights<P> {
    /// Creates the lights of a board from the first [`MAX_LAMPS`] of `lamps`.
    pub fn new(lamps: impl IntoIterator<Item = Lamp<P>>) -> Lights<P> {
        Lights { lamps: lamps.into_iter().take(MAX_LAMPS).collect(), state: None, since: 0 }
    }

    /// Shows a state at time `ms`. Call it often enough for the fastest rhythm, about every 50 ms.
    ///
    /// # Errors
    /// Returns the error of the first line that could not be set. The other lines are set nevertheless, and the next call tries
    /// again.
    pub fn show(&mut self, state: State, ms: u64) -> Result<(), P::Error> {
        if self.state != Some(state) {
            (self.state, self.since) = (Some(state), ms);
        }
        let pattern = state.pattern();
        let on = pattern.rhythm.is_lit(ms.saturating_sub(self.since));
        let [red, green, blue] = pattern.colour.channels();
        let shown = self.nearest(state);
        self.set_each(|role| {
            on && match role {
                Role::Red => red,
                Role::Green => green,
                Role::Blue => blue,
                Role::State(state) => Some(state) == shown,
            }
        })
    }

    /// Turns every light off.
    ///
    /// # Errors
    /// Returns the error of the first line that could not be set.
    pub fn darken(&mut self) -> Result<(), P::Error> {
        self.state = None;
        self.set_each(|_| false)
    }

    /// Returns the state whose own light stands for `state`: a label without a light shows as a face, and a face as watching.
    fn nearest(&self, state: State) -> Option<State> {
        let wider: &[State] = match state {
            State::Label(_) => &[State::Face, State::Watching],
            State::Face => &[State::Watching],
            _ => &[],
        };
        let has = |state: &State| self.lamps.iter().any(|lamp| lamp.role == Role::State(*state));
        core::iter::once(&state).chain(wider).find(|state| has(state)).copied()
    }

    fn set_each(&mut self, lit: impl Fn(Role) -> bool) -> Result<(), P::Error> {
        let mut result = Ok(());
        for lamp in &mut self.lamps {
            let set = lamp.set(lit(lamp.role));
            result = result.and(set);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::io::ErrorKind;
    use std::vec::Vec;

    use embedded_hal_mock::eh1::MockError;
    use embedded_hal_mock::eh1::digital::{Mock, State as Level, Transaction};

    use super::*;
    use crate::Label;

    fn pin(levels: &[Level]) -> Mock {
        Mock::new(&levels.iter().map(|level| Transaction::set(*level)).collect::<Vec<_>>())
    }

    fn done(pins: &mut [Mock]) {
        pins.iter_mut().for_each(Mock::done);
    }

    #[test]
    fn an_rgb_light_shows_colour_and_rhythm_and_is_written_only_where_it_changes() {
        use Level::*;
        let mut pins = [pin(&[Low, High, Low]), pin(&[Low, High, Low]), pin(&[High, Low, High, Low])];
        let roles = [Role::Red, Role::Green, Role::Blue];
        let mut lights =
            Lights::new(roles.into_iter().zip(&pins).map(|(role, pin)| Lamp::new(role, pin.clone(), false)));
        for ms in [0, 50, 100] {
            lights.show(State::Starting, ms).unwrap();
        }
        lights.show(State::Starting, 130).unwrap();
        lights.show(State::Label(Label::Neutral), 150).unwrap();
        lights.show(State::Label(Label::Neutral), 9150).unwrap();
        lights.darken().unwrap();
        done(&mut pins);
    }

    #[test]
    fn a_rhythm_begins_when_its_state_does() {
        let mut pins = [pin(&[Level::High, Level::Low])];
        let mut lights = Lights::new([Lamp::new(Role::State(State::Watching), pins[0].clone(), false)]);
        lights.show(State::Watching, 1_001_500).unwrap();
        lights.show(State::Watching, 1_001_624).unwrap();
        lights.show(State::Watching, 1_001_625).unwrap();
        done(&mut pins);
    }

    #[test]
    fn a_light_per_state_shines_alone_and_active_low_ones_shine_low() {
        use Level::*;
        let mut pins = [pin(&[Low, High, Low]), pin(&[Low, High, Low]), pin(&[High, Low])];
        let mut lights = Lights::new([
            Lamp::new(Role::State(State::Face), pins[0].clone(), false),
            Lamp::new(Role::State(State::Label(Label::Anger)), pins[1].clone(), false),
            Lamp::new(Role::State(State::Fault), pins[2].clone(), true),
        ]);
        lights.show(State::Watching, 0).unwrap();
        lights.show(State::Label(Label::Fear), 0).unwrap(); // has no light: the face's shines
        lights.show(State::Label(Label::Anger), 0).unwrap();
        lights.show(State::Fault, 0).unwrap();
        done(&mut pins);
    }

    #[test]
    fn a_line_that_fails_spares_the_others_and_is_tried_again() {
        let failing = Transaction::set(Level::High).with_error(MockError::Io(ErrorKind::NotConnected));
        let mut pins = [Mock::new(&[failing, Transaction::set(Level::High)]), pin(&[Level::High])];
        let mut lights = Lights::new([
            Lamp::new(Role::Red, pins[0].clone(), false),
            Lamp::new(Role::State(State::Label(Label::Anger)), pins[1].clone(), false),
        ]);
        assert!(lights.show(State::Label(Label::Anger), 0).is_err());
        lights.show(State::Label(Label::Anger), 50).unwrap();
        done(&mut pins);
    }
}
