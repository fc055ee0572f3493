//! What the frames of a video have in common: what did not change needs no second look.
//!
//! A room in which nobody moves looks the same in each frame, and so do the things in it that score like small or large faces.
//! Without a memory, each frame takes closer looks at them, and a second pass. Frigate, among others, looks only where something moved.

use super::Face;

/// The side of a block, in pixels of the first pass. A face that is 20 pixels wide in a frame of 640 fills one.
const BLOCK: usize = 8;
/// The least change of a block's mean, of a range from -1 to 1: three grey levels. Independent noise of 10 grey levels in each pixel of
/// a frame of 640x480 changes the difference of two means, each of 400 pixels, by 0.7 (standard deviation).
const MIN_CHANGE: f32 = 3.0 / 127.5;
/// How many looks an answer may be old.
const MAX_AGE: u32 = 8;
/// The least intersection over union of boxes of the same thing in two frames.
const MIN_OVERLAP: f32 = 0.5;
/// The least rise of a score that makes another look at a place worth its while.
const MIN_RISE: f32 = 0.1;

/// What a [`super::Detector`] remembers of the frames of one camera or video. It grows with the first frame and is reused.
#[derive(Debug, Default)]
pub struct Memory {
    /// Width and height of the first pass.
    canvas: [usize; 2],
    /// Means of the blocks of the last frame that the net has seen whole, if it had no face; else empty.
    blocks: Vec<f32>,
    /// Means of the blocks of the present frame.
    present: Vec<f32>,
    /// How many looks ago that was.
    age: u32,
    refusals: Vec<Refusal>,
}

/// What was found to be no face.
#[derive(Debug)]
struct Refusal {
    /// What the first pass had made of it, in pixels of the first pass.
    face: Face,
    /// How many looks ago that was.
    age: u32,
}

impl Memory {
    /// Forgets everything, after a gap between frames for instance.
    pub fn forget(&mut self) {
        self.blocks.clear();
        self.refusals.clear();
    }

    /// Begins a look at a frame, as the net will see it: `canvas` floats from -1 to 1, row by row. Returns whether the last answer
    /// holds: there was no face, and nothing has changed since.
    pub(super) fn holds(&mut self, input: &[f32], canvas: [usize; 2]) -> bool {
        if self.canvas != canvas {
            self.forget();
            self.canvas = canvas;
        }
        self.age += 1;
        self.refusals.iter_mut().for_each(|refusal| refusal.age += 1);
        self.refusals.retain(|refusal| refusal.age <= MAX_AGE);
        self.present.clear();
        self.present.extend(means(input, canvas[0]));
        let is_same = |(before, after): (&f32, &f32)| (before - after).abs() < MIN_CHANGE;
        !self.blocks.is_empty() && self.age <= MAX_AGE && self.blocks.iter().zip(&self.present).all(is_same)
    }

    /// Ends a look of which [`Memory::holds`] returned `false`: whether the frame had a face.
    pub(super) fn saw(&mut self, any: bool) {
        self.age = 0;
        std::mem::swap(&mut self.blocks, &mut self.present);
        if any {
            self.blocks.clear();
        }
    }

    /// Remembers that a place in pixels of the first pass, with the score that it has there, is no face.
    pub(super) fn refuse(&mut self, face: Face) {
        self.refusals.retain(|refusal| refusal.face.overlap(&face) <= MIN_OVERLAP);
        self.refusals.push(Refusal { face, age: 0 });
    }

    /// Returns whether a place was refused in one of the last frames, and scores no higher now.
    pub(super) fn has_refused(&self, face: &Face) -> bool {
        let is_it = |known: &Face| known.overlap(face) > MIN_OVERLAP && face.score < known.score + MIN_RISE;
        self.refusals.iter().any(|refusal| is_it(&refusal.face))
    }
}

/// The mean of each block of a picture of `width` pixels, row by row. Both sides of a canvas are multiples of a block's.
fn means(input: &[f32], width: usize) -> impl Iterator<Item = f32> {
    input.chunks_exact(BLOCK * width).flat_map(move |rows| {
        (0..width).step_by(BLOCK).map(move |left| {
            let block = rows[left..].chunks(width).flat_map(|row| &row[..BLOCK]);
            block.sum::<f32>() / (BLOCK * BLOCK) as f32
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANVAS: [usize; 2] = [32, 16];

    fn face(score: f32, left: f32) -> Face {
        Face { score, bounds: [left, 0.0, 10.0, 10.0], upside_down: false, points: [[left, 5.0]; 6] }
    }

    #[test]
    fn the_mean_of_each_block_is_taken() {
        let mut input = vec![0.5; 32 * 16];
        (8..16).for_each(|y| input[y * 32 + 24..][..8].fill(-0.5));
        assert_eq!(means(&input, 32).collect::<Vec<_>>(), [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -0.5]);
        input[31] += 6.4;
        assert!((means(&input, 32).nth(3).unwrap() - 0.6).abs() < 1e-6);
    }

    #[test]
    fn an_answer_holds_until_something_changes_or_it_is_old() {
        let (mut memory, mut frame) = (Memory::default(), vec![0.1; 32 * 16]);
        assert!(!memory.holds(&frame, CANVAS), "the first frame");
        memory.saw(false);
        // Noise, whose mean is zero.
        frame.iter_mut().enumerate().for_each(|(at, value)| *value += [0.1, -0.1][at % 2]);
        for look in 1..=MAX_AGE {
            assert!(memory.holds(&frame, CANVAS), "look {look}");
        }
        assert!(!memory.holds(&frame, CANVAS), "an old answer");
        memory.saw(false);
        assert!(memory.holds(&frame, CANVAS));
        frame[..8].iter_mut().for_each(|value| *value += 0.25);
        assert!(!memory.holds(&frame, CANVAS), "a block that changed");
        memory.saw(true);
        assert!(!memory.holds(&frame, CANVAS), "a frame with a face");
        memory.saw(false);
        assert!(memory.holds(&frame, CANVAS) && !memory.holds(&frame, [16, 32]), "another shape");
        memory.saw(false);
        memory.forget();
        assert!(!memory.holds(&frame, [16, 32]), "forgotten");
    }

    #[test]
    fn a_refused_place_is_looked_at_again_when_it_scores_higher_has_moved_or_after_a_while() {
        let (mut memory, frame) = (Memory::default(), vec![0.0; 32 * 16]);
        memory.refuse(face(0.2, 0.0));
        assert!(memory.has_refused(&face(0.2, 1.0)) && memory.has_refused(&face(0.29, 0.0)));
        assert!(!memory.has_refused(&face(0.31, 0.0)) && !memory.has_refused(&face(0.2, 5.0)));
        memory.canvas = CANVAS;
        for _ in 0..MAX_AGE {
            assert!(!memory.holds(&frame, CANVAS) && memory.has_refused(&face(0.2, 0.0)));
        }
        memory.refuse(face(0.2, 50.0));
        assert!(!memory.holds(&frame, CANVAS));
        assert!(!memory.has_refused(&face(0.2, 0.0)) && memory.has_refused(&face(0.2, 50.0)));
        memory.refuse(face(0.05, 50.0));
        assert!(memory.refusals.len() == 1 && !memory.has_refused(&face(0.2, 50.0)), "the newest counts");
        memory.forget();
        assert!(!memory.has_refused(&face(0.0, 50.0)));
    }
}
