//! A source whose frames are turned: for a camera that is mounted on its side, upside down or behind a mirror.

use expression_core::Turn;

use super::{CameraError, Next, Source};
use crate::frame::Frame;

/// A source whose frames are turned. No pixel is copied: they are read in another order.
pub struct Turned {
    source: Box<dyn Source>,
    turn: Turn,
}

impl Turned {
    /// Turns the frames of `source`.
    pub fn new(source: Box<dyn Source>, turn: Turn) -> Turned {
        Turned { source, turn }
    }
}

impl Source for Turned {
    fn next(&mut self, frame: &mut Frame) -> Result<Next, CameraError> {
        // What the frame itself says comes first.
        frame.turn = Turn::default();
        let next = self.source.next(frame)?;
        frame.turn = frame.turn.then(self.turn);
        Ok(next)
    }

    fn describe(&self) -> String {
        let Turn { quarters, mirrored } = self.turn;
        let mirrored = if mirrored { " and mirrored" } else { "" };
        format!("{}, turned by {} degrees{mirrored}", self.source.describe(), 90 * u16::from(quarters))
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        self.source.files()
    }

    fn skipped(&self) -> u64 {
        self.source.skipped()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CameraOptions, Spec, open};
    use super::*;

    #[test]
    fn every_kind_of_source_can_be_turned() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("a.y4m"), b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nab").unwrap();
        image::GrayImage::from_raw(2, 1, b"ab".to_vec()).unwrap().save(path("a.png")).unwrap();
        let texts = ["y4m:", "command:cat ", "images:"].map(|kind| {
            let name = if kind == "images:" { "a.png" } else { "a.y4m" };
            format!("{kind}{}", path(name))
        });
        for text in texts.into_iter().chain([format!("dir:{}", folder.path().display())]) {
            for (turn, wanted) in [
                (Turn::default(), "2x1 ab"),
                (Turn::from_degrees(90).unwrap(), "1x2 ab"),
                (Turn::from_degrees(180).unwrap(), "2x1 ba"),
                (Turn::from_degrees(270).unwrap(), "1x2 ba"),
                (Turn::default().flipped_horizontally(), "2x1 ba"),
                (Turn::default().flipped_vertically(), "2x1 ab"),
            ] {
                let format = text.starts_with("command").then_some(super::super::Format::Y4m);
                let options = CameraOptions { turn, format, ..CameraOptions::default() };
                let (mut source, mut frame) =
                    (open(&text.parse::<Spec>().unwrap(), &options).unwrap(), Frame::default());
                while source.next(&mut frame).unwrap() != Next::Frame {}
                let view = frame.view().unwrap();
                let pixels = (0..view.height()).flat_map(|y| (0..view.width()).map(move |x| view.luma(x, y) as char));
                let got = format!("{}x{} {}", view.width(), view.height(), pixels.collect::<String>());
                assert_eq!(got, wanted, "{text} {turn:?}");
                assert_eq!(frame.size(), [view.width(), view.height()]);
            }
        }
    }

    /// A camera that says of each frame how it is to be turned.
    struct Marked;

    impl Source for Marked {
        fn next(&mut self, frame: &mut Frame) -> Result<Next, CameraError> {
            frame.turn = frame.turn.then(Turn { quarters: 1, mirrored: true });
            Ok(Next::Frame)
        }

        fn describe(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn what_a_frame_says_of_itself_comes_first() {
        let mut source = Turned::new(Box::new(Marked), Turn::from_degrees(90).unwrap());
        let mut frame = Frame::default();
        for _ in 0..2 {
            source.next(&mut frame).unwrap();
            assert_eq!(frame.turn, Turn { quarters: 0, mirrored: true });
        }
    }
}
