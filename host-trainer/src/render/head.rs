//! Heads for videos: one person drawn again and again, in poses and expressions that change little from frame to frame.
//! The head comes alone, to be laid over a background.

use expression_core::Label;

use super::Renderer;
use super::camera::{self, Camera};
use super::expression::Folds;
use super::identity::Looks;
use super::light::Light;
use super::mesh::{Mesh, Part};
use super::raster::Raster;
use super::variation::Dice;
use super::vector::{Vec3, add, dot, mix, scale, sub};

/// Side of the square that holds a head with its hair, however it is turned, dm.
pub const SIDE: f32 = 3.8;
/// Distance from the camera to the head, dm.
const DISTANCE: f32 = 14.0;
/// Tells the dice of videos from those of pictures.
const VIDEO: u64 = 0x0076_6964_656F;

/// A person, ready to be drawn.
pub struct Person {
    /// The face of each label at its full strength, with hair, and the folds of its skin.
    faces: Vec<(Vec<Vec3>, Folds)>,
    looks: Looks,
    light: Light,
    exposure: f32,
}

/// How a head is held, and what the face does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// The expression,
    pub label: Label,
    /// and how much of it is shown, 0 (as neutral) to 1.
    pub strength: f32,
    /// Turn to a side, degrees.
    pub yaw: f32,
    /// Nod, degrees.
    pub pitch: f32,
    /// Tilt, degrees.
    pub roll: f32,
    /// Pixels to a dm, at the middle of the head.
    pub scale: f32,
}

/// A drawn head.
pub struct Head {
    /// Width and height of the square that it is drawn in, pixels; the middle of the head is the middle of the square.
    pub size: usize,
    /// Its luma, row-major; `None` where the background is seen.
    pub luma: Vec<Option<u8>>,
    /// Left, top, width and height of the face, from the brows to the chin, in pixels of the square.
    pub bounds: [f32; 4],
}

impl Renderer {
    /// The person `identity` of the world `seed`, in a light of their own.
    pub fn person(&self, seed: u64, identity: u64) -> Person {
        let mut person = self.features.identity(&self.mesh, seed, identity);
        // Tall or small, the face comes to where that of the mesh at rest is: in the middle of the square.
        let middle = |shape: &[Vec3]| {
            let [right, left, _, mouth, ..] = self.landmarks.points(shape);
            scale(add(add(right, left), mouth), 1.0 / 3.0)
        };
        let offset = sub(middle(&self.mesh.rest), middle(&person.shape));
        person.shape.iter_mut().for_each(|position| *position = add(*position, offset));
        let face = |label: Label| {
            let mut shape = person.shape.clone();
            let mut dice = Dice::new([seed, identity, label as u64 + 1, VIDEO]);
            let (_, folds) = self.units.apply(&mut shape, label as usize, 1.0, &mut dice);
            self.grow_hair(&mut shape, &person.looks);
            (shape, folds)
        };
        let light = Light::draw(&mut Dice::new([seed, identity, 0, VIDEO]));
        let exposure = camera::usual_exposure(person.looks.skin);
        Person { faces: Label::ALL.map(face).into(), looks: person.looks, light, exposure }
    }

    /// Draws a person's head.
    pub fn head(&self, person: &Person, pose: &Pose) -> Head {
        let [(neutral, _), ..] = person.faces.as_slice() else {
            return Head { size: 0, luma: vec![], bounds: [0.0; 4] };
        };
        let (full, folds) = &person.faces[pose.label as usize];
        let mut shape: Vec<Vec3> = neutral.iter().zip(full).map(|(from, to)| mix(*from, *to, pose.strength)).collect();
        camera::turn_by(&mut shape, pose.yaw, pose.pitch);
        let size = (SIDE * pose.scale).ceil().clamp(1.0, 2048.0);
        let camera = Camera::centred(DISTANCE, pose.scale / size, pose.roll);
        let screen: Vec<Vec3> = shape.iter().map(|position| camera.screen(*position, size)).collect();
        let raster = Raster::draw(size as usize, &screen, &self.mesh.triangles);
        let folds = folds.shown(pose.strength);
        let shaded = person.light.shade(&raster, &self.mesh, &shape, &person.looks, &folds);
        let luma =
            |colour: Vec3| camera::display(dot(colour, [0.299, 0.587, 0.114]) * person.exposure, 1.0 / 2.2) as u8;
        let luma = shaded.into_iter().map(|colour| colour.map(luma)).collect();
        Head { size: size as usize, luma, bounds: bounds(&self.mesh, &screen) }
    }
}

/// The box around the front of the face, from the brows to the chin.
fn bounds(mesh: &Mesh, screen: &[Vec3]) -> [f32; 4] {
    let front = |vertex: &usize| {
        let [x, y, z] = mesh.rest[*vertex];
        mesh.part[*vertex] == Part::Skin && (6.2..7.6).contains(&y) && x.abs() < 0.75 && z > 0.75
    };
    let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
    for [x, y, _] in (0..mesh.rest.len()).filter(front).map(|vertex| screen[vertex]) {
        (low, high) = ([low[0].min(x), low[1].min(y)], [high[0].max(x), high[1].max(y)]);
    }
    [low[0], low[1], high[0] - low[0], high[1] - low[1]]
}
