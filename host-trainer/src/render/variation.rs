//! How much the drawn faces vary: every range in one place.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Ranges that a face is drawn from, uniformly where nothing else is said. Lengths in pixels are for a face of 112 pixels
/// and grow with the face; lengths in dm are those of the mesh.
#[derive(Clone, Debug)]
pub struct Variation {
    /// Age on MakeHuman's axis: 0.19 is a child, 0.5 a young adult, 1 an old person.
    pub age: Range<f32>,
    /// Body weight on MakeHuman's axis: 0 thin, 0.5 average, 1 heavy.
    pub weight: Range<f32>,
    /// Standard deviation of the local targets' weights; see `identity.rs` for the share of each part of the face.
    pub feature: f32,
    /// The same for the difference between the two halves of a face.
    pub feature_asymmetry: f32,

    /// How strongly an expression is shown; 1 is the table in `expression.rs`.
    pub strength: Range<f32>,
    /// Factor on each action unit, drawn for each face.
    pub unit: Range<f32>,
    /// Factor on the weaker half of the face in expressions that are not one-sided.
    pub weaker_half: Range<f32>,
    /// Weights of small movements that mean nothing, in every expression.
    pub idle: f32,
    /// Weights of the gaze units.
    pub gaze: f32,

    /// Turn of the head to a side, degrees, both ways.
    pub yaw: f32,
    /// Nod, degrees, both ways.
    pub pitch: f32,
    /// Distance from the camera to the head, dm.
    pub distance: Range<f32>,
    /// Height of the eyes and of the mouth in the picture, share of its height.
    pub eye_line: f32,
    /// See `eye_line`.
    pub mouth_line: f32,
    /// Distance between the eyes that alignment aims at, share of the picture's width; turned heads come out with less.
    pub inter_ocular: f32,
    /// Error of the alignment: scale.
    pub scale: Range<f32>,
    /// Error of the alignment: shift, share of the picture's width, both ways.
    pub shift: f32,
    /// Error of the alignment: rotation, degrees, both ways.
    pub rotation: f32,

    /// Direction of the key light: degrees to the side, both ways.
    pub light_yaw: f32,
    /// Direction of the key light: degrees above the horizon.
    pub light_pitch: Range<f32>,
    /// Share of the light that comes from everywhere.
    pub ambient: Range<f32>,
    /// Brightness of fully lit skin of middle tone, before the display curve.
    pub exposure: Range<f32>,
    /// Change of the display curve's exponent, as a factor.
    pub gamma: Range<f32>,

    /// Standard deviation of the camera's blur, pixels.
    pub blur: Range<f32>,
    /// Standard deviation of the sensor's noise, 8-bit grey levels.
    pub noise: Range<f32>,
}

/// What the renderer uses.
pub const VARIATION: Variation = Variation {
    age: 0.36..0.95,
    weight: 0.15..0.9,
    feature: 0.34,
    feature_asymmetry: 0.06,
    strength: 0.6..1.0,
    unit: 0.8..1.2,
    weaker_half: 0.82..1.0,
    idle: 0.08,
    gaze: 0.35,
    yaw: 20.0,
    pitch: 11.0,
    distance: 6.0..16.0,
    eye_line: 0.37,
    mouth_line: 0.81,
    inter_ocular: 0.42,
    scale: 0.94..1.05,
    shift: 0.02,
    rotation: 4.0,
    light_yaw: 65.0,
    light_pitch: -10.0..60.0,
    ambient: 0.25..0.6,
    exposure: 0.7..1.3,
    gamma: 0.85..1.15,
    blur: 0.2..1.0,
    noise: 0.5..5.0,
};

/// The random numbers of one face or one identity.
#[derive(Clone)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// A stream of its own for each key.
    pub fn new(key: [u64; 4]) -> Dice {
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(key) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Dice(ChaCha8Rng::from_seed(seed))
    }

    /// Uniform in `range`.
    pub fn within(&mut self, range: Range<f32>) -> f32 {
        range.start + (range.end - range.start) * self.0.random::<f32>()
    }

    /// Uniform from `-size` to `size`.
    pub fn either_way(&mut self, size: f32) -> f32 {
        self.within(-size..size)
    }

    /// Near normal (the sum of four uniform numbers), with this standard deviation and never beyond 3.4 of them.
    pub fn normal(&mut self, deviation: f32) -> f32 {
        let sum: f32 = (0..4).map(|_| self.0.random::<f32>() - 0.5).sum();
        sum * 3f32.sqrt() * deviation
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.0.random::<f32>() < probability
    }

    /// An integer to seed textures with.
    pub fn integer(&mut self) -> u32 {
        self.0.random()
    }
}
