//! Light on the head: a key light with its shadow, light from all around, and the highlight of moist surfaces.

use super::expression::Folds;
use super::identity::Looks;
use super::mesh::{Mesh, Part};
use super::paint::{Surface, surface};
use super::raster::{Hit, Raster};
use super::shadow::DepthView;
use super::variation::{Dice, VARIATION};
use super::vector::{Vec3, add, direction, dot, mix, product, scale, unit};

/// Side of the shadow's depth picture, pixels.
const SHADOW: usize = 160;

/// The lamps of one picture. Directions are the camera's: x right, y up, z towards it.
pub struct Light {
    towards_key: Vec3,
    /// Half-way between the key light and the camera: normals along it mirror the light.
    half: Vec3,
    key: Vec3,
    sky: Vec3,
    ground: Vec3,
}

impl Light {
    /// Draws the light of one picture.
    pub fn draw(dice: &mut Dice) -> Light {
        let towards_key = direction(dice.either_way(VARIATION.light_yaw), dice.within(VARIATION.light_pitch));
        let ambient = dice.within(VARIATION.ambient);
        let warmth = dice.either_way(0.15);
        let tint = |warmth: f32, brightness: f32| scale([1.0 + warmth, 1.0, 1.0 - warmth], brightness);
        let (sky, ground) = (ambient * dice.within(0.9..1.3), ambient * dice.within(0.4..1.0));
        let half = unit(add(towards_key, [0.0, 0.0, 1.0]));
        Light {
            towards_key,
            half,
            key: tint(warmth, 1.0 - ambient),
            sky: tint(-0.5 * warmth, sky),
            ground: tint(0.0, ground),
        }
    }

    /// Colours the pixels of `raster` that show the head, linear RGB; none where they show nothing.
    /// `positions` is the head turned as the camera sees it.
    pub fn shade(
        &self,
        raster: &Raster,
        mesh: &Mesh,
        positions: &[Vec3],
        looks: &Looks,
        folds: &Folds,
    ) -> Vec<Option<Vec3>> {
        let normals = mesh.normals(positions);
        let shadow = DepthView::draw(&mesh.triangles, positions, self.towards_key, SHADOW);
        let pixel = |hit: &Hit| {
            let corner = mesh.triangles.get(hit.triangle as usize)?.map(|vertex| vertex as usize);
            let [wb, wc] = hit.weight;
            let weight = [1.0 - wb - wc, wb, wc];
            let blend = |of: &[Vec3]| (0..3).fold([0.0; 3], |sum, k| add(sum, scale(of[corner[k]], weight[k])));
            let blend_one = |of: &dyn Fn(usize) -> f32| (0..3).map(|k| weight[k] * of(corner[k])).sum::<f32>();
            let mouth = [blend_one(&|vertex| mesh.mouth[vertex][0]), blend_one(&|vertex| mesh.mouth[vertex][1])];
            let openness = blend_one(&|vertex| mesh.openness[vertex]).max(floor(mesh.part[corner[0]], mouth));
            let surface = surface(mesh.part[corner[0]], blend(&mesh.rest), mouth, looks, folds);
            let (normal, position) = (unit(blend(&normals)), blend(positions));
            let lit = shadow.lit(add(position, scale(normal, 0.03)));
            Some(self.reflect(&surface, normal, openness, lit))
        };
        raster.hits.iter().map(pixel).collect()
    }

    fn reflect(&self, surface: &Surface, normal: Vec3, openness: f32, lit: f32) -> Vec3 {
        // Skin scatters light inwards, so that light reaches a little past the terminator.
        let cosine = ((dot(normal, self.towards_key) + 0.2) / 1.2).max(0.0);
        let open = openness * openness.sqrt();
        let around = scale(mix(self.ground, self.sky, 0.5 + 0.5 * normal[1]), open);
        let key = lit * (0.4 + 0.6 * open); // also light from inside the mouth loses its way
        let diffuse = product(surface.albedo, add(scale(self.key, key * cosine), around));
        let highlight = surface.gloss * key * dot(normal, self.half).max(0.0).powi(surface.shine);
        add(diffuse, scale(self.key, highlight))
    }
}

/// Least openness of a place: at rest the lips close the mouth, but light finds its way in when they part.
fn floor(part: Part, [_, inside]: [f32; 2]) -> f32 {
    match part {
        Part::Teeth => 0.35,
        Part::Tongue => 0.3,
        Part::Skin | Part::Eye => 0.2 * inside,
    }
}
