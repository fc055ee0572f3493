//! Lights, a privacy button and a small display, over the traits of `embedded-hal`.
//!
//! Nothing here waits or keeps time: callers pass milliseconds of a monotonic clock.

mod button;
mod display;
mod lights;

pub use button::{Button, DEBOUNCE_MS};
pub use display::{Display, NoAnswer, Screen, draw};
pub use lights::{Lamp, Lights, MAX_LAMPS, Role};

use crate::Label;

/// What the runtime is doing, as the indicator shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// The runtime loads the bundle, replays the self-test or opens the camera.
    #[default]
    Starting,
    /// It is watching, and no face is in view.
    Watching,
    /// A face is in view, and no label is likely enough.
    Face,
    /// The smoothed label of the largest face.
    Label(Label),
    /// Recording is paused by the privacy button.
    Paused,
    /// The camera is lost, or something else stops the work.
    Fault,
}

impl State {
    /// Returns every state.
    pub fn all() -> impl Iterator<Item = State> {
        let others = [State::Starting, State::Watching, State::Face, State::Paused, State::Fault];
        others.into_iter().chain(Label::ALL.map(State::Label))
    }

    /// Returns the name used in board files and on the display. For a label it is the label's name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Watching => "watching",
            State::Face => "face",
            State::Label(label) => label.name(),
            State::Paused => "paused",
            State::Fault => "fault",
        }
    }

    /// Returns the state with this [name](State::name), or `None` if there is none.
    pub fn from_name(name: &str) -> Option<State> {
        Self::all().find(|state| state.name() == name)
    }

    /// Returns how an RGB light shows the state. No two states look alike.
    pub const fn pattern(self) -> Pattern {
        use Colour::*;
        use Rhythm::*;
        let (colour, rhythm) = match self {
            State::Starting => (Blue, Fast),
            State::Watching => (Green, Wink),
            State::Face => (White, Slow),
            State::Paused => (Yellow, Slow),
            State::Fault => (Red, Fast),
            State::Label(Label::Neutral) => (White, Steady),
            State::Label(Label::Happiness) => (Yellow, Steady),
            State::Label(Label::Surprise) => (Cyan, Steady),
            State::Label(Label::Sadness) => (Blue, Steady),
            State::Label(Label::Anger) => (Red, Steady),
            State::Label(Label::Disgust) => (Green, Steady),
            State::Label(Label::Fear) => (Magenta, Steady),
            State::Label(Label::Contempt) => (Magenta, Slow),
        };
        Pattern { colour, rhythm }
    }
}

/// A colour of an RGB light whose three lines are on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colour {
    /// Red.
    Red,
    /// Green.
    Green,
    /// Blue.
    Blue,
    /// Red and green.
    Yellow,
    /// Green and blue.
    Cyan,
    /// Red and blue.
    Magenta,
    /// All three.
    White,
}

impl Colour {
    /// Returns whether red, green and blue are on.
    pub const fn channels(self) -> [bool; 3] {
        match self {
            Colour::Red => [true, false, false],
            Colour::Green => [false, true, false],
            Colour::Blue => [false, false, true],
            Colour::Yellow => [true, true, false],
            Colour::Cyan => [false, true, true],
            Colour::Magenta => [true, false, true],
            Colour::White => [true, true, true],
        }
    }
}

/// How a light changes over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rhythm {
    /// Always on.
    Steady,
    /// On for a second, off for a second.
    Slow,
    /// On for an eighth of a second, off for an eighth.
    Fast,
    /// On for an eighth of a second every two seconds.
    Wink,
}

impl Rhythm {
    /// Returns whether the light is on `ms` milliseconds after the rhythm started. Every rhythm starts with the light on.
    pub const fn is_lit(self, ms: u64) -> bool {
        match self {
            Rhythm::Steady => true,
            Rhythm::Slow => ms % 2000 < 1000,
            Rhythm::Fast => ms % 250 < 125,
            Rhythm::Wink => ms % 2000 < 125,
        }
    }
}

/// How lights show a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// The colour of an RGB light; a light for one state has its own.
    pub colour: Colour,
    /// The rhythm of every light.
    pub rhythm: Rhythm,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_states_look_alike() {
        for (i, a) in State::all().enumerate() {
            assert_eq!(State::from_name(a.name()), Some(a));
            for b in State::all().skip(i + 1) {
                assert_ne!(a.pattern(), b.pattern(), "{a:?} {b:?}");
            }
        }
        assert_eq!(State::all().count(), 13);
        assert_eq!(State::from_name("happy"), None);
    }

    #[test]
    fn rhythms_keep_their_time() {
        let share = |rhythm: Rhythm| (0..2000).filter(|ms| rhythm.is_lit(*ms)).count();
        assert_eq!([Rhythm::Steady, Rhythm::Slow, Rhythm::Fast, Rhythm::Wink].map(share), [2000, 1000, 1000, 125]);
        assert!(Rhythm::Wink.is_lit(4000) && !Rhythm::Wink.is_lit(4125) && !Rhythm::Slow.is_lit(1000));
    }
}
