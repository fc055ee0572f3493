//! An SSD1306 display of 128x64 pixels on an I2C bus. It shows the state or label, and the frame rate.

use core::fmt::Write;

use embedded_graphics::mono_font::ascii::{FONT_6X10, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use embedded_hal::i2c::I2c;
use ssd1306::mode::{BufferedGraphicsMode, DisplayConfig};
use ssd1306::prelude::{DisplayRotation, DisplaySize128x64, I2CInterface};
use ssd1306::{I2CDisplayInterface, Ssd1306};

use super::State;

/// The display does not acknowledge what is sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer;

/// What the display shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Screen {
    /// The state or label.
    pub state: State,
    /// The frame rate in tenths of a frame per second.
    pub rate: u16,
}

/// Draws a screen: the state in large letters, and the frame rate below.
///
/// # Errors
/// Returns the target's error if it cannot be drawn on.
pub fn draw<D: DrawTarget<Color = BinaryColor>>(screen: Screen, target: &mut D) -> Result<(), D::Error> {
    let mut rate = heapless::String::<24>::new();
    // Five digits at most: it fits.
    let _ = write!(rate, "{}.{} frames/s", screen.rate / 10, screen.rate % 10);
    let mut text = |text: &str, font: &MonoFont<'_>, y: i32| {
        let style = MonoTextStyle::new(font, BinaryColor::On);
        Text::with_baseline(text, Point::new(0, y), style, Baseline::Top).draw(target).map(drop)
    };
    text(screen.state.name(), &FONT_10X20, 8)?;
    text(&rate, &FONT_6X10, 44)
}

/// The display. After an error the next call sets it up again, so it may be plugged in later. Reporting errors is up to the caller.
pub struct Display<B> {
    panel: Ssd1306<I2CInterface<B>, DisplaySize128x64, BufferedGraphicsMode<DisplaySize128x64>>,
    /// What it shows, or `None` before it is set up.
    shown: Option<Screen>,
}

impl<B: I2c> Display<B> {
    /// Creates the display at a 7-bit address, which is 0x3c or 0x3d for most. Nothing is sent yet.
    pub fn new(bus: B, address: u8) -> Display<B> {
        let interface = I2CDisplayInterface::new_custom_address(bus, address);
        let panel = Ssd1306::new(interface, DisplaySize128x64, DisplayRotation::Rotate0);
        Display { panel: panel.into_buffered_graphics_mode(), shown: None }
    }

    /// Shows a screen. Returns `Ok(false)` if the display showed it already and nothing was sent. Otherwise about 1,100 bytes go
    /// over the bus, which takes a tenth of a second at 100 kHz.
    ///
    /// # Errors
    /// Returns [`NoAnswer`] if the display does not acknowledge.
    pub fn show(&mut self, screen: Screen) -> Result<bool, NoAnswer> {
        if self.shown == Some(screen) {
            return Ok(false);
        }
        // Cleared first, because after an error the display's content is unknown.
        if self.shown.take().is_none() {
            self.panel.init().map_err(|_| NoAnswer)?;
        }
        self.panel.clear_buffer();
        draw(screen, &mut self.panel).map_err(|_| NoAnswer)?;
        self.panel.flush().map_err(|_| NoAnswer)?;
        self.shown = Some(screen);
        Ok(true)
    }

    /// Turns every pixel off.
    ///
    /// # Errors
    /// Returns [`NoAnswer`] if the display does not acknowledge.
    pub fn darken(&mut self) -> Result<(), NoAnswer> {
        self.shown = None;
        self.panel.clear_buffer();
        self.panel.flush().map_err(|_| NoAnswer)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::cell::RefCell;
    use std::rc::Rc;
    use std::vec::Vec;

    use embedded_hal::i2c::{ErrorKind, ErrorType, NoAcknowledgeSource, Operation};
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};

    use super::*;
    use crate::Label;

    /// What the display's memory would hold: pixels of whole flushes, and every command byte.
    #[derive(Default)]
    struct Memory {
        pixels: Vec<u8>,
        commands: Vec<u8>,
        unplugged: bool,
    }

    #[derive(Clone, Default)]
    struct Bus(Rc<RefCell<Memory>>);

    impl ErrorType for Bus {
        type Error = ErrorKind;
    }

    impl I2c for Bus {
        fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
            let mut memory = self.0.borrow_mut();
            if memory.unplugged || address != 0x3c {
                return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
            }
            for operation in operations {
                match operation {
                    Operation::Write([0x40, pixels @ ..]) => memory.pixels.extend_from_slice(pixels),
                    Operation::Write([0, commands @ ..]) => memory.commands.extend_from_slice(commands),
                    _ => return Err(ErrorKind::Other),
                }
            }
            Ok(())
        }
    }

    /// A frame buffer of our own: rows of pixels.
    struct Rows([[bool; 128]; 64]);

    impl OriginDimensions for Rows {
        fn size(&self) -> Size {
            Size::new(128, 64)
        }
    }

    impl DrawTarget for Rows {
        type Color = BinaryColor;
        type Error = core::convert::Infallible;

        fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
            for Pixel(at, colour) in pixels {
                // Out of bounds would be a label that does not fit.
                self.0[at.y as usize][at.x as usize] = colour.is_on();
            }
            Ok(())
        }
    }

    fn rows(screen: Screen) -> Rows {
        let mut rows = Rows([[false; 128]; 64]);
        draw(screen, &mut rows).unwrap();
        rows
    }

    /// The pixels in the order in which the display's memory has them: pages of eight rows, a byte a column.
    fn pages(rows: &Rows) -> Vec<u8> {
        let byte = |page: usize, x: usize| (0..8).map(|bit| u8::from(rows.0[page * 8 + bit][x]) << bit).sum();
        (0..8).flat_map(|page| (0..128).map(move |x| byte(page, x))).collect()
    }

    const HAPPY: Screen = Screen { state: State::Label(Label::Happiness), rate: 125 };

    #[test]
    fn what_is_drawn_reaches_the_display_once() {
        let bus = Bus::default();
        let mut display = Display::new(bus.clone(), 0x3c);
        assert_eq!(display.show(HAPPY), Ok(true));
        assert_eq!(display.show(HAPPY), Ok(false));
        assert_eq!(bus.0.borrow().pixels, pages(&rows(HAPPY)));
        let set_up = bus.0.borrow().commands.len();
        let next = Screen { rate: 126, ..HAPPY };
        assert_eq!(display.show(next), Ok(true));
        assert_eq!(bus.0.borrow().pixels[1024..], pages(&rows(next)));
        assert!(bus.0.borrow().commands.len() < 2 * set_up, "it was set up twice");
    }

    #[test]
    fn every_state_fits_and_looks_different() {
        let drawn: Vec<_> = State::all().map(|state| pages(&rows(Screen { state, rate: u16::MAX }))).collect();
        for (i, pages) in drawn.iter().enumerate() {
            assert!(pages[128..512].iter().any(|byte| *byte != 0) && !drawn[..i].contains(pages), "state {i}");
        }
        assert!(pages(&rows(Screen { rate: 1, ..HAPPY })) != pages(&rows(HAPPY)));
    }

    #[test]
    fn a_display_that_does_not_answer_is_set_up_when_it_does() {
        let bus = Bus::default();
        let mut display = Display::new(bus.clone(), 0x3c);
        bus.0.borrow_mut().unplugged = true;
        assert_eq!(display.show(HAPPY), Err(NoAnswer));
        bus.0.borrow_mut().unplugged = false;
        assert_eq!(display.show(HAPPY), Ok(true));
        let set_up = bus.0.borrow().commands.len();
        bus.0.borrow_mut().unplugged = true;
        assert_eq!(display.show(Screen::default()), Err(NoAnswer));
        bus.0.borrow_mut().unplugged = false;
        assert_eq!(display.show(HAPPY), Ok(true));
        assert_eq!(bus.0.borrow().commands.len(), 2 * set_up);
    }

    #[test]
    fn set_up_begins_with_display_off_at_the_address() {
        let refused = Transaction::write(0x3d, std::vec![0, 0xae])
            .with_error(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
        let mut bus = Mock::new(&[refused]);
        assert_eq!(Display::new(bus.clone(), 0x3d).show(HAPPY), Err(NoAnswer));
        bus.done();
    }
}
