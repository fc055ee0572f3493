//! What the board shows of its work, over `embedded-hal`'s traits: lights, a privacy button, a small display.
//!
//! Nothing here waits or keeps time: callers pass milliseconds from a clock that never goes back.

mod button;
mod display;
mod lights;

pub use button::Button;
pub use display::{Display, NoAnswer, Screen, draw};
pub use lights::{Lamp, Lights, Role};

use crate::Label;

/// What the runtime is doing, as the indicator shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// Loading, testing itself, opening the camera.
    #[default]
    Starting,
    /// Watching, no face in sight.
    Watching,
    /// A face is in sight, and no label is sure enough.
    Face,
    /// The smoothed label of the largest face.
    Label(Label),
    /// Nothing is recorded: the privacy button was pressed.
    Paused,
    /// The camera is lost, or something else keeps the runtime from its work.
    Fault,
}

impl State {
    /// Every state.
    pub fn all() -> impl Iterator<Item = State> {
        let others = [State::Starting, State::Watching, State::Face, State::Paused, State::Fault];
        others.into_iter().chain(Label::ALL.map(State::Label))
    }

    /// The name used in board files and on the display; for a label its own.
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

    /// The state of a name that [`State::name`] gives.
    pub fn from_name(name: &str) -> Option<State> {
        Self::all().find(|state| state.name() == name)
    }

    /// How an RGB light shows it. No two states look alike.
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

/// A colour that an RGB light makes from lines that are on or off.
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
    /// Whether red, green and blue are on.
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
    /// On.
    Steady,
    /// One second on, one off.
    Slow,
    /// An eighth of a second on, an eighth off.
    Fast,
    /// On for an eighth of a second every two seconds.
    Wink,
}

impl Rhythm {
    /// Whether the light is on `ms` milliseconds into the rhythm. Each begins with light.
    pub const fn is_lit(self, ms: u64) -> bool {
        match self {
            Rhythm::Steady => true,
            Rhythm::Slow => ms % 2000 < 1000,
            Rhythm::Fast => ms % 250 < 125,
            Rhythm::Wink => ms % 2000 < 125,
        }
    }
}

/// How a state looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// Colour of an RGB light; a light for one state has its own.
    pub colour: Colour,
    /// Rhythm of every light.
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
