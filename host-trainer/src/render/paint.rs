//! Colour of the skin, lips, brows, eyes, teeth and hair. Paint is a function of the place on the head at rest, so it moves
//! with the skin, has no resolution of its own, and needs no texture files (the assets have none).

use super::expression::Folds;
use super::identity::Looks;
use super::mesh::Part;
use super::vector::{Vec3, length, mix, scale, step, sub};

/// Centre of the person's left eyeball at rest; the right one mirrors it.
pub const EYE: Vec3 = [0.307_75, 7.284_15, 1.245_35];

/// Middle line of the left brow at rest (x, y) and its thickness there, from the nose outwards.
const BROW: [(f32, f32, f32); 5] =
    [(0.115, 7.425, 0.9), (0.20, 7.465, 1.0), (0.32, 7.497, 0.95), (0.44, 7.487, 0.7), (0.555, 7.425, 0.25)];

/// What light finds at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surface {
    /// Linear RGB.
    pub albedo: Vec3,
    /// Strength of the highlight.
    pub gloss: f32,
    /// Sharpness of the highlight (Blinn's exponent).
    pub shine: i32,
}

/// The surface at the place `rest` of the head; `mouth` is the lip and inner-mouth mask there.
pub fn surface(part: Part, rest: Vec3, mouth: [f32; 2], looks: &Looks, folds: &Folds) -> Surface {
    let matt = |albedo| Surface { albedo, gloss: 0.02, shine: 12 };
    match part {
        Part::Skin => skin(rest, mouth, looks, folds),
        Part::Eye => Surface { albedo: eye(rest, looks), gloss: 0.5, shine: 350 },
        Part::Teeth => matt([0.52, 0.48, 0.41]),
        Part::Tongue => matt([0.38, 0.12, 0.11]),
    }
}

fn skin(rest: Vec3, [lips, inside]: [f32; 2], looks: &Looks, folds: &Folds) -> Surface {
    let [x, y, z] = [rest[0].abs(), rest[1], rest[2]];
    let (coarse, fine) = (noise(looks.texture, scale(rest, 6.0)), noise(looks.texture ^ 2, scale(rest, 38.0)));
    let mut colour = scale(looks.skin, 1.0 + looks.blotches * (0.12 * coarse + 0.05 * fine));
    // Cheeks and nose have more blood in them.
    let blush =
        (bump(x - 0.42, 0.22) * bump(y - 6.95, 0.2) + 0.7 * bump(x, 0.12) * bump(y - 6.95, 0.14)) * step(0.9, 1.2, z);
    colour = mix(colour, [colour[0] * 1.05, colour[1] * 0.82, colour[2] * 0.82], blush * looks.blotches);
    let jaw = step(6.98, 6.78, y) * step(0.45, 0.75, z) * (1.0 - lips);
    colour = mix(colour, looks.hair, looks.beard * jaw * (0.55 + 0.4 * fine).clamp(0.0, 0.9));
    colour = scale(colour, 1.0 - crease(rest, looks, folds));
    colour = mix(colour, looks.lips, lips * 0.9);
    // Behind the lips all is mucous membrane.
    colour = mix(colour, [0.22, 0.05, 0.05], inside * (1.0 - lips) * step(1.46, 1.38, z) * step(0.34, 0.28, x));
    let brow = brow(rest, looks);
    colour = mix(colour, looks.brow, brow.max(lashes(rest)));
    let hair = hair(rest, looks);
    if hair > 0.0 {
        let strands = noise(looks.texture ^ 3, [rest[0] * 30.0, rest[1] * 6.0, rest[2] * 14.0]);
        colour = mix(colour, scale(looks.hair, 1.0 + 0.6 * strands), hair);
    }
    let gloss = (0.05 + 0.13 * looks.gloss) * (1.0 - hair.max(brow)) + 0.15 * lips;
    Surface { albedo: colour, gloss, shine: if lips > 0.5 { 44 } else { 14 } }
}

/// How well the brow covers the skin here, 0 to 1.
fn brow(rest: Vec3, looks: &Looks) -> f32 {
    let [x, y] = [rest[0].abs(), rest[1] - looks.brow_height];
    if rest[2] < 1.0 || !(7.3..7.65).contains(&y) || x > 0.65 {
        return 0.0;
    }
    let mut nearest = f32::INFINITY;
    for ends in BROW.windows(2) {
        let [(ax, ay, a_thick), (bx, by, b_thick)] = [ends[0], ends[1]];
        let (dx, dy) = (bx - ax, by - ay);
        let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        let distance = length([x - ax - along * dx, y - ay - along * dy, 0.0]);
        nearest = nearest.min(distance / (a_thick + along * (b_thick - a_thick)));
    }
    let hairs = noise(looks.texture ^ 4, [rest[0] * 60.0 - rest[1] * 30.0, rest[1] * 20.0, 0.0]);
    looks.brow_density * (0.9 + 0.2 * hairs).min(1.0) * step(1.25, 0.7, nearest / looks.brow_thickness)
}

/// Dark rims of the lids, for the lashes: the skin that touches the eyeball in front.
fn lashes(rest: Vec3) -> f32 {
    let from_eye = sub([rest[0].abs(), rest[1], rest[2]], EYE);
    let upper = step(-0.03, 0.04, from_eye[1]);
    let rim = step(0.192, 0.168, length(from_eye)) * step(0.06, 0.09, from_eye[2]);
    rim * (0.35 + 0.5 * upper)
}

/// How well hair covers the head here, 0 to 1.
pub fn hair(rest: Vec3, looks: &Looks) -> f32 {
    let [x, y, z] = [rest[0].abs(), rest[1], rest[2]];
    let ear = x > 0.70 && y < 7.38 && (0.3..0.72).contains(&z);
    if looks.bald || ear {
        return 0.0;
    }
    let line = match z {
        1.05.. => looks.hairline,
        0.72.. => looks.hairline - (1.05 - z) / 0.33 * (looks.hairline - 7.25),
        _ => 7.25 - (0.72 - z) * 0.7,
    };
    let above = y - line;
    if above.abs() > 0.1 {
        return f32::from(above > 0.0); // far from the line its raggedness does not matter
    }
    step(-0.05, 0.03, above + 0.04 * noise(looks.texture ^ 5, scale(rest, 14.0)))
}

/// Sclera, iris with its dark rim, pupil.
fn eye(rest: Vec3, looks: &Looks) -> Vec3 {
    let from_centre = sub([rest[0].abs(), rest[1], rest[2]], EYE);
    let off_axis = (from_centre[0].hypot(from_centre[1])).atan2(from_centre[2]).to_degrees();
    let fibres = noise(looks.texture ^ 6, scale(from_centre, 60.0));
    let iris = scale(looks.iris, (1.0 + 0.35 * fibres) * (1.0 - 0.6 * step(22.0, 27.0, off_axis)));
    let sclera = scale([0.60, 0.56, 0.53], 1.0 - 0.25 * step(40.0, 75.0, off_axis));
    let colour = mix(iris, sclera, step(26.0, 29.5, off_axis));
    mix([0.004; 3], colour, step(10.5, 12.5, off_axis))
}

/// Darkening in the folds of the skin here, 0 to 1: the mesh is too smooth to have them.
fn crease(rest: Vec3, looks: &Looks, folds: &Folds) -> f32 {
    let [x, y, z] = [rest[0].abs(), rest[1], rest[2]];
    if z < 0.9 || y < 6.4 {
        return 0.0;
    }
    let depth = 0.35 + 0.35 * looks.lines;
    let line = |across: f32, width: f32| bump(across, 1.8 * width);
    let glabella = folds.glabella * line(x - 0.055 - 0.12 * (y - 7.43), 0.016) * bump(y - 7.44, 0.085);
    let lines: f32 = [7.62, 7.70, 7.78].map(|height| line(y - height - 0.02 * (5.0 * x).sin(), 0.013)).iter().sum();
    let forehead = folds.forehead * lines * step(0.5, 0.3, x);
    let nose = folds.nose * (line(y - 7.33 - 0.6 * x, 0.014) + line(y - 7.27 - 0.6 * x, 0.014)) * bump(x - 0.06, 0.09);
    // From the wing of the nose (0.19, 6.93) outwards and down past the corner of the mouth (0.34, 6.58).
    let fold = folds.cheek[usize::from(rest[0] > 0.0)] + 0.3 * looks.lines;
    let cheek = fold * line(x - 0.21 - 0.42 * (6.90 - y), 0.022) * step(6.55, 6.68, y) * step(6.98, 6.90, y);
    (depth * (glabella + forehead + nose + cheek)).clamp(0.0, 0.75)
}

/// 1 at 0, falling smoothly to 0 at `reach`.
fn bump(distance: f32, reach: f32) -> f32 {
    step(reach, 0.0, distance.abs())
}

/// Value noise from -1 to 1 with features of about one unit.
pub fn noise(seed: u32, at: Vec3) -> f32 {
    // The cast truncates; `floor` is a call into the C library on plain x86-64, and this is the innermost loop.
    let cell = at.map(|x| x as i32 - i32::from(x < 0.0));
    let [u, v, w] = [0, 1, 2].map(|axis| step(0.0, 1.0, at[axis] - cell[axis] as f32));
    let value = |dx: i32, dy: i32, dz: i32| {
        let [x, y, z] = [cell[0] + dx, cell[1] + dy, cell[2] + dz];
        let mut hash = seed ^ (x as u32).wrapping_mul(0x9E37_79B1);
        hash = (hash ^ (y as u32).wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D);
        hash = (hash ^ (hash >> 15) ^ (z as u32).wrapping_mul(0x27D4_EB2F)).wrapping_mul(0x1656_67B1);
        ((hash ^ (hash >> 13)) & 0xFFFF) as f32 / 32_767.5 - 1.0
    };
    let lerp = |a: f32, b: f32, t: f32| a + t * (b - a);
    let layer = |dz| {
        let near = lerp(value(0, 0, dz), value(1, 0, dz), u);
        lerp(near, lerp(value(0, 1, dz), value(1, 1, dz), u), v)
    };
    lerp(layer(0), layer(1), w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_bounded_and_varies() {
        let values: Vec<f32> = (0..1000).map(|i| noise(7, [i as f32 * 0.37, i as f32 * -0.11, 3.0])).collect();
        assert!(values.iter().all(|value| value.abs() <= 1.0));
        assert!(values.iter().any(|value| *value > 0.4) && values.iter().any(|value| *value < -0.4));
    }
}
