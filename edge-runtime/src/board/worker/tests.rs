use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use embedded_hal::digital::{self, ErrorKind};
use embedded_hal::i2c::{self, Operation};
use expression_core::Label;

use super::*;
use crate::board::{Board, Offset};

/// A machine with levels that lines have, and things that can be missing.
#[derive(Default)]
struct Machine {
    levels: BTreeMap<Offset, bool>,
    opened: usize,
    chip_missing: bool,
    lines_fail: bool,
    display_missing: bool,
    sent: usize,
}

#[derive(Clone, Default)]
struct Fake(Rc<RefCell<Machine>>);

struct Pin(Fake, Offset);

impl digital::ErrorType for Pin {
    type Error = ErrorKind;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), ErrorKind> {
        self.set(false)
    }

    fn set_high(&mut self) -> Result<(), ErrorKind> {
        self.set(true)
    }
}

impl Pin {
    fn set(&self, high: bool) -> Result<(), ErrorKind> {
        let mut machine = self.0.0.borrow_mut();
        if machine.lines_fail {
            return Err(ErrorKind::Other);
        }
        machine.levels.insert(self.1.clone(), high);
        Ok(())
    }
}

impl InputPin for Pin {
    fn is_high(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.0.0.borrow().levels.get(&self.1).copied().unwrap_or(true))
    }

    fn is_low(&mut self) -> Result<bool, ErrorKind> {
        self.is_high().map(|high| !high)
    }
}

struct Bus(Fake);

impl i2c::ErrorType for Bus {
    type Error = i2c::ErrorKind;
}

impl I2c for Bus {
    fn transaction(&mut self, _: u8, _: &mut [Operation<'_>]) -> Result<(), i2c::ErrorKind> {
        let mut machine = self.0.0.borrow_mut();
        if machine.display_missing {
            return Err(i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Address));
        }
        machine.sent += 1;
        Ok(())
    }
}

impl Fake {
    fn open(&self, line: &Line) -> Result<Pin, String> {
        if self.0.borrow().chip_missing {
            return Err("no such chip".into());
        }
        self.0.borrow_mut().opened += 1;
        Ok(Pin(self.clone(), line.line.clone()))
    }

    /// Levels of red, green and blue.
    fn rgb(&self) -> [bool; 3] {
        [17, 27, 22].map(|line| self.0.borrow().levels.get(&Offset::Number(line)).copied().unwrap_or(false))
    }

    fn press(&self, down: bool) {
        self.0.borrow_mut().levels.insert(Offset::Number(23), !down);
    }
}

impl Wiring for Fake {
    type Output = Pin;
    type Input = Pin;
    type Bus = Bus;

    fn output(&mut self, _: &[String], line: &Line) -> Result<Pin, String> {
        self.open(line)
    }

    fn input(&mut self, _: &[String], line: &Line) -> Result<Pin, String> {
        self.open(line)
    }

    fn bus(&mut self, _: &Path) -> Result<Bus, String> {
        Ok(Bus(self.clone()))
    }
}

fn worker() -> (Fake, Worker<Fake>) {
    let board = Board::open("raspberry-pi-4b").unwrap();
    let fake = Fake::default();
    (fake.clone(), Worker::new(fake, board.gpio, board.display))
}

const HAPPY: Screen = Screen { state: State::Label(Label::Happiness), rate: 300 };
const SAD: Screen = Screen { state: State::Label(Label::Sadness), rate: 300 };

#[test]
fn states_reach_lights_and_display() {
    let (fake, mut worker) = worker();
    assert_eq!(worker.round(0, HAPPY), Round::default());
    assert_eq!(fake.rgb(), [true, true, false]);
    let first = fake.0.borrow().sent;
    assert!(first > 64, "{first} messages are no screen");
    assert_eq!(worker.round(20, SAD), Round::default());
    assert_eq!(fake.rgb(), [false, false, true]);
    assert!(fake.0.borrow().sent > first);
    worker.darken();
    assert_eq!(fake.rgb(), [false; 3]);
    assert_eq!(fake.0.borrow().opened, 4);
}

#[test]
fn the_display_is_not_flooded_by_rates() {
    let (fake, mut worker) = worker();
    let sent = |ms: u64, rate: u16, worker: &mut Worker<Fake>| {
        let before = fake.0.borrow().sent;
        worker.round(ms, Screen { rate, ..HAPPY });
        fake.0.borrow().sent - before
    };
    assert!(sent(0, 300, &mut worker) > 0);
    assert_eq!(sent(499, 301, &mut worker), 0);
    assert!(sent(500, 302, &mut worker) > 0);
}

#[test]
fn a_press_is_seen_once() {
    let (fake, mut worker) = worker();
    let mut presses = |from: u64| (from..from + 10).filter(|round| worker.round(round * 20, SAD).pressed).count();
    assert_eq!(presses(0), 0);
    fake.press(true);
    assert_eq!(presses(10), 1);
    fake.press(false);
    assert_eq!(presses(20), 0);
}

#[test]
fn a_missing_chip_is_reported_once_and_tried_again_while_the_display_works() {
    let (fake, mut worker) = worker();
    fake.0.borrow_mut().chip_missing = true;
    let notes = worker.round(0, HAPPY).notes;
    assert_eq!(
        notes,
        ["lights: no such chip; tried again every 5 s", "privacy button: no such chip; tried again every 5 s"]
    );
    assert!(fake.0.borrow().sent > 0);
    for ms in (20..20_000).step_by(20) {
        assert_eq!(worker.round(ms, HAPPY), Round::default());
    }
    fake.0.borrow_mut().chip_missing = false;
    let works = |ms: u64, worker: &mut Worker<Fake>| worker.round(ms, HAPPY).notes;
    let notes: Vec<String> = (20_000..26_000).step_by(20).flat_map(|ms| works(ms, &mut worker)).collect();
    assert_eq!(notes, ["lights works", "privacy button works"]);
    assert_eq!(fake.rgb(), [true, true, false]);
}

#[test]
fn lines_that_fail_are_opened_again() {
    let (fake, mut worker) = worker();
    worker.round(0, HAPPY);
    fake.0.borrow_mut().lines_fail = true;
    assert_eq!(worker.round(20, SAD).notes.len(), 1);
    fake.0.borrow_mut().lines_fail = false;
    assert!(worker.round(5_019, SAD).notes.is_empty());
    assert_eq!(worker.round(5_020, SAD).notes, ["lights works"]);
    assert_eq!(fake.rgb(), [false, false, true]);
}

#[test]
fn a_display_may_be_plugged_in_later() {
    let (fake, mut worker) = worker();
    fake.0.borrow_mut().display_missing = true;
    let notes = worker.round(0, HAPPY).notes;
    assert_eq!(notes, ["display: nothing answers at address 0x3c of /dev/i2c-1; tried again every 5 s"]);
    assert_eq!(fake.rgb(), [true, true, false]);
    assert_eq!(worker.round(20, SAD), Round::default());
    fake.0.borrow_mut().display_missing = false;
    assert_eq!(worker.round(5_000, SAD).notes, ["display works"]);
}

/// A board with nothing wired has nothing to do.
#[test]
fn nothing_is_opened_where_nothing_is_wired() {
    let fake = Fake::default();
    let mut worker = Worker::new(fake.clone(), None, None);
    assert_eq!(worker.round(0, HAPPY), Round::default());
    assert_eq!((fake.0.borrow().opened, fake.0.borrow().sent), (0, 0));
}
