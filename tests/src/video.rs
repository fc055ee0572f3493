//! A rendered video and what is to be seen in it: two heads that move, cross, leave and come back, and change their
//! expressions at known times. A function of its seed and of the frame's number alone.

use std::io::{self, Write};

use expression_core::Label;
use host_trainer::render::Renderer;
use host_trainer::render::head::{Head, Person, Pose};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::json;

/// Width of a frame, pixels.
pub const WIDTH: usize = 640;
/// Height of a frame, pixels.
pub const HEIGHT: usize = 480;
/// Frames a second.
pub const RATE: u64 = 30;
/// After so many seconds the movements begin again.
pub const PERIOD: f32 = 20.0;
/// Width of a face, about, dm.
const FACE: f32 = 1.55;
/// Seconds that an expression takes to appear, and to vanish.
const RAMP: f32 = 0.25;
/// Seconds from one expression to the next.
const TURN: f32 = 2.5;
/// Frames drawn at a time, shared among the processor's cores.
const BATCH: u64 = 16;

/// Places of a head in the course of time, smoothly joined: seconds, x and y of the head's middle and width of the face in
/// pixels. The second face comes nearer than the first, and so hides it where they cross: at 6 s and at 18 s.
type Path = [(f32, f32, f32, f32)];

/// Crosses twice.
const FAR: &Path = &[
    (0.0, 470.0, 215.0, 84.0),
    (3.5, 500.0, 225.0, 78.0),
    (8.5, 150.0, 215.0, 88.0),
    (12.5, 180.0, 240.0, 110.0),
    (16.0, 160.0, 220.0, 84.0),
    (20.0, 470.0, 215.0, 84.0),
];

/// Crosses, leaves to the right at 11.5 s, comes back at 13.5 s.
const NEAR: &Path = &[
    (0.0, 170.0, 250.0, 140.0),
    (3.5, 150.0, 265.0, 150.0),
    (8.5, 470.0, 250.0, 160.0),
    (10.0, 480.0, 255.0, 150.0),
    (12.0, 860.0, 250.0, 140.0),
    (13.0, 860.0, 250.0, 140.0),
    (15.0, 470.0, 245.0, 135.0),
    (16.0, 460.0, 250.0, 140.0),
    (20.0, 170.0, 250.0, 140.0),
];

/// What is to be seen of a face in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth {
    /// Number of the frame, from 0.
    pub frame: u64,
    /// Who: 1 or 2.
    pub face: u32,
    /// Left, top, width and height of the face, from the brows to the chin, in pixels; it may lie outside the frame.
    pub bounds: [f32; 4],
    /// The expression; neutral where less than half of it is shown.
    pub label: Label,
    /// How much of the expression is shown, 0 to 1.
    pub strength: f32,
    /// Share of the face's pixels that are in the frame and not hidden, 0 to 1.
    pub visible: f32,
}

impl Truth {
    /// A JSON line, without its end.
    pub fn json(&self) -> String {
        let round = |value: f32| (f64::from(value) * 1000.0).round() / 1000.0;
        json!({
            "frame": self.frame,
            "face": self.face,
            "box": self.bounds.map(|value| value.round() as i32),
            "label": self.label.name(),
            "strength": round(self.strength),
            "visible": round(self.visible),
        })
        .to_string()
    }
}

/// The people and the room, ready to be drawn.
pub struct Scene {
    renderer: Renderer,
    people: [Person; 2],
    room: Vec<u8>,
    /// Noise of the sensor, taken up at another place in each frame.
    grain: Vec<i8>,
    /// How many of the people are there.
    faces: usize,
}

impl Scene {
    /// Makes the scene of a seed.
    ///
    /// # Errors
    /// Where the assets are missing.
    pub fn new(seed: u64) -> host_trainer::Result<Scene> {
        let renderer = host_trainer::dataset::rendered::open()?;
        let people = [0, 1].map(|identity| renderer.person(seed, identity));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let room = room(&mut rng);
        let grain = (0..1 << 16).map(|_| (0..3).map(|_| rng.random_range(-1..=1)).sum()).collect();
        Ok(Scene { renderer, people, room, grain, faces: 2 })
    }

    /// The same room with fewer people: the second alone, or nobody.
    #[must_use]
    pub fn with_faces(mut self, faces: usize) -> Scene {
        self.faces = faces.min(self.people.len());
        self
    }

    /// Draws a frame: its luma, row-major, and what is to be seen in it.
    pub fn draw(&self, frame: u64) -> (Vec<u8>, [Truth; 2]) {
        let time = frame as f32 / RATE as f32;
        let mut luma = self.room.clone();
        // Who is seen at each pixel: 0 for nobody.
        let mut owner = vec![0u8; luma.len()];
        let mut drawn: [Option<(Head, [i32; 2], Pose)>; 2] = [None, None];
        for (index, (person, path)) in self.people.iter().zip([FAR, NEAR]).enumerate() {
            let (middle, pose) = held(index, path, time);
            let head = self.renderer.head(person, &pose);
            let corner = middle.map(|place| (place - head.size as f32 / 2.0).round() as i32);
            let absent = index + self.faces < self.people.len();
            for (x, y, value) in places(&head, corner).filter(|_| !absent) {
                if let Some(at) = inside(x, y) {
                    (luma[at], owner[at]) = (value, index as u8 + 1);
                }
            }
            drawn[index] = Some((head, corner, pose));
        }
        let truth = [0, 1].map(|index| {
            let face = index as u32 + 1;
            let Some((head, corner, pose)) = &drawn[index] else { unreachable!("every head is drawn") };
            let bounds =
                [head.bounds[0] + corner[0] as f32, head.bounds[1] + corner[1] as f32, head.bounds[2], head.bounds[3]];
            let (mut all, mut seen) = (0u32, 0u32);
            for (x, y, _) in places(head, *corner) {
                let [left, top, width, height] = bounds;
                if (left..left + width).contains(&(x as f32)) && (top..top + height).contains(&(y as f32)) {
                    all += 1;
                    seen += u32::from(inside(x, y).is_some_and(|at| u32::from(owner[at]) == face));
                }
            }
            let label = if pose.strength < 0.5 { Label::Neutral } else { pose.label };
            let visible = seen as f32 / all.max(1) as f32;
            Truth { frame, face, bounds, label, strength: pose.strength, visible }
        });
        self.expose(&mut luma, frame);
        (luma, truth)
    }

    /// The lens softens the picture and the sensor adds its noise.
    fn expose(&self, luma: &mut [u8], frame: u64) {
        soften(luma);
        let start = (frame as usize).wrapping_mul(40_503) % self.grain.len();
        let grain = self.grain.iter().cycle().skip(start);
        luma.iter_mut().zip(grain).for_each(|(value, grain)| *value = value.saturating_add_signed(*grain));
    }
}

/// Where the pixels of a head lie in the frame, and their luma.
fn places(head: &Head, [left, top]: [i32; 2]) -> impl Iterator<Item = (i32, i32, u8)> {
    let rows = head.luma.chunks_exact(head.size.max(1)).zip(top..);
    rows.flat_map(move |(row, y)| row.iter().zip(left..).filter_map(move |(value, x)| value.map(|value| (x, y, value))))
}

/// Index of a pixel of the frame.
fn inside(x: i32, y: i32) -> Option<usize> {
    let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
    (x < WIDTH && y < HEIGHT).then_some(y * WIDTH + x)
}

/// Where a head is and how it is held.
fn held(index: usize, path: &Path, time: f32) -> ([f32; 2], Pose) {
    let at = time % PERIOD;
    let next = path.iter().position(|(second, ..)| *second > at).unwrap_or(path.len() - 1).max(1);
    let ((from, x0, y0, face0), (to, x1, y1, face1)) = (path[next - 1], path[next]);
    let part = ((at - from) / (to - from)).clamp(0.0, 1.0);
    let smooth = part * part * (3.0 - 2.0 * part);
    let between = |from: f32, to: f32| from + (to - from) * smooth;
    // Nobody holds still.
    let sway = |period: f32, size: f32| size * (time * std::f32::consts::TAU / period + 2.0 * index as f32).sin();
    let (label, strength) = expression(index, time);
    // Heads turn a little to where they go.
    let ahead = ((x1 - x0) / (to - from) / 12.0).clamp(-9.0, 9.0) * 4.0 * part * (1.0 - part);
    let pose = Pose {
        label,
        strength,
        yaw: ahead + sway(4.1, 7.0),
        pitch: sway(3.3, 4.0),
        roll: sway(5.3, 4.0),
        scale: between(face0, face1) / FACE,
    };
    ([between(x0, x1) + sway(2.7, 3.0), between(y0, y1) + sway(1.9, 3.0)], pose)
}

/// The expression at a time, and how much of it is shown: each label for [`TURN`] seconds, with the face at rest between two.
fn expression(index: usize, time: f32) -> (Label, f32) {
    let turn = (time / TURN) as usize;
    let label = Label::ALL[(turn + 3 * index) % Label::COUNT];
    let within = time - turn as f32 * TURN;
    let strength = (within.min(TURN - within) / RAMP).clamp(0.0, 1.0);
    (label, if label == Label::Neutral { 0.0 } else { strength })
}

/// What is behind the heads: cluttered, but nowhere sharp.
fn room(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let blobs: Vec<[f32; 5]> = (0..60)
        .map(|_| {
            let place = [rng.random_range(0.0..WIDTH as f32), rng.random_range(0.0..HEIGHT as f32)];
            let size = [rng.random_range(15.0..110.0), rng.random_range(15.0..110.0)];
            [place[0], place[1], size[0], size[1], rng.random_range(-45.0..45.0)]
        })
        .collect();
    let value = |at: usize| {
        let (x, y) = ((at % WIDTH) as f32, (at / WIDTH) as f32);
        let wall = 120.0 - 40.0 * y / HEIGHT as f32;
        let blob = |[bx, by, width, height, value]: &[f32; 5]| {
            let distance = ((x - bx) / width).powi(2) + ((y - by) / height).powi(2);
            value * (1.0 - distance).max(0.0)
        };
        (wall + blobs.iter().map(blob).sum::<f32>()).clamp(12.0, 235.0) as u8
    };
    (0..WIDTH * HEIGHT).map(value).collect()
}

/// Blurs by 1 2 1, down and across; edges stay.
fn soften(luma: &mut [u8]) {
    let mix = |a: u8, b: u8, c: u8| ((u16::from(a) + 2 * u16::from(b) + u16::from(c) + 2) / 4) as u8;
    let source = luma.to_vec();
    for y in 1..HEIGHT - 1 {
        let row = |y: usize| &source[y * WIDTH..(y + 1) * WIDTH];
        let triples = row(y - 1).iter().zip(row(y)).zip(row(y + 1));
        let out = &mut luma[y * WIDTH..(y + 1) * WIDTH];
        out.iter_mut().zip(triples).for_each(|(out, ((a, b), c))| *out = mix(*a, *b, *c));
    }
    let mut source = [0; WIDTH];
    for row in luma.chunks_exact_mut(WIDTH) {
        source.copy_from_slice(row);
        row[1..WIDTH - 1]
            .iter_mut()
            .zip(source.windows(3))
            .for_each(|(out, three)| *out = mix(three[0], three[1], three[2]));
    }
}

/// Writes `frames` frames of a scene: a y4m video (4:2:0 with grey chroma, or luma alone), and a JSON line a face and frame.
///
/// # Errors
/// Of the writers.
pub fn write(scene: &Scene, frames: u64, mono: bool, video: &mut dyn Write, truth: &mut dyn Write) -> io::Result<()> {
    let colour = if mono { "mono" } else { "420jpeg" };
    writeln!(video, "YUV4MPEG2 W{WIDTH} H{HEIGHT} F{RATE}:1 Ip A1:1 C{colour} XCOLORRANGE=FULL")?;
    let chroma = vec![128; if mono { 0 } else { WIDTH * HEIGHT / 2 }];
    for first in (0..frames).step_by(BATCH as usize) {
        let batch: Vec<_> = (first..frames.min(first + BATCH)).into_par_iter().map(|frame| scene.draw(frame)).collect();
        for (luma, faces) in batch {
            video.write_all(b"FRAME\n")?;
            video.write_all(&luma)?;
            video.write_all(&chroma)?;
            for face in faces {
                writeln!(truth, "{}", face.json())?;
            }
        }
    }
    video.flush()?;
    truth.flush()
}
