//! Who it is: a head's shape from macro and local targets, its skin, brows, eyes and hair.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::RenderError;
use super::mesh::Mesh;
use super::target::Target;
use super::variation::{Dice, VARIATION};
use super::vector::{Vec3, mix, product, scale};

const ANCESTRIES: [&str; 3] = ["african", "asian", "caucasian"];
const SEXES: [&str; 2] = ["female", "male"];
/// Names and places of the ages on MakeHuman's axis.
const AGES: [(&str, f32); 3] = [("child", 0.1875), ("young", 0.5), ("old", 1.0)];
const WEIGHTS: [(&str, f32); 3] = [("minweight", 0.0), ("averageweight", 0.5), ("maxweight", 1.0)];

/// Folders of local targets and their share of [`Variation::feature`](super::variation::Variation::feature).
const LOCAL: [(&str, f32); 9] = [
    ("head", 0.7),
    ("forehead", 1.0),
    ("eyebrows", 0.6),
    ("eyes", 0.6),
    ("nose", 0.8),
    ("mouth", 0.5),
    ("chin", 0.8),
    ("cheek", 0.8),
    ("ears", 1.0),
];

/// Features that could pass for an expression (corners of the mouth that hang, brows that slant, lids that droop), and the
/// factor on their share.
const LIKE_EXPRESSIONS: ([&str; 9], f32) = (
    [
        "eyebrows-angle",
        "eyebrows-trans",
        "mouth-angles",
        "mouth-dimples",
        "mouth-lowerlip-ext",
        "mouth-lowerlip-middle",
        "mouth-upperlip-ext",
        "eye-height2",
        "eye-eyefold-angle",
    ],
    0.3,
);

/// One feature of the face that can be pushed either way; one side may have no target.
#[derive(Default)]
struct Feature {
    share: f32,
    less: Option<Target>,
    more: Option<Target>,
}

/// All that identities are made of.
pub struct Features {
    /// By ancestry, sex, age.
    ancestry: Vec<Target>,
    /// By sex, age, weight.
    build: Vec<Target>,
    /// By name; the two halves of the face follow one another as `l-` and `r-` under one name.
    local: Vec<Vec<Feature>>,
}

/// One person.
pub struct Identity {
    /// The neutral face, `[vertices]`.
    pub shape: Vec<Vec3>,
    /// Colours and hair.
    pub looks: Looks,
}

/// What of a person is painted, not shaped. Colours are linear RGB.
#[derive(Clone, Debug)]
pub struct Looks {
    /// Colour of the skin.
    pub skin: Vec3,
    /// Colour of the lips.
    pub lips: Vec3,
    /// Colour of hair and beard.
    pub hair: Vec3,
    /// Colour of the iris.
    pub iris: Vec3,
    /// Colour of the brows.
    pub brow: Vec3,
    /// Half the thickness of the brows, dm.
    pub brow_thickness: f32,
    /// How well the brows cover the skin, 0 to 1.
    pub brow_density: f32,
    /// Height of the brows over their usual place, dm.
    pub brow_height: f32,
    /// Height of the hairline in the middle of the forehead, dm.
    pub hairline: f32,
    /// How far the hair stands off the scalp, dm.
    pub hair_volume: f32,
    /// Whether there is hair on the head.
    pub bald: bool,
    /// How well a beard's stubble covers the skin, 0 to 1.
    pub beard: f32,
    /// How blotched the skin is, 0 to 1.
    pub blotches: f32,
    /// How lined the skin is, 0 to 1.
    pub lines: f32,
    /// Gloss of the skin, 0 to 1.
    pub gloss: f32,
    /// Seed of the skin's texture.
    pub texture: u32,
}

impl Features {
    /// Reads the macro and local targets under `folder` (`mpfb2/targets`).
    ///
    /// # Errors
    /// Returns an error if a folder or file is missing or damaged.
    pub fn open(folder: &Path, mesh: &Mesh) -> Result<Features, RenderError> {
        let macros = folder.join("macrodetails");
        let read = |name: String| Target::open(&macros.join(format!("{name}.target.gz")), &mesh.kept);
        let (mut ancestry, mut build) = (Vec::new(), Vec::new());
        for ancestry_name in ANCESTRIES {
            ancestry.extend(SEXES.iter().flat_map(|sex| AGES.map(|(age, _)| format!("{ancestry_name}-{sex}-{age}"))));
        }
        for sex in SEXES {
            for (age, _) in AGES {
                build.extend(WEIGHTS.map(|(weight, _)| format!("universal-{sex}-{age}-averagemuscle-{weight}")));
            }
        }
        let mut local = Vec::new();
        for (name, share) in LOCAL {
            local.extend(local_features(&folder.join(name), share, mesh)?);
        }
        Ok(Features {
            ancestry: ancestry.into_par_iter().map(read).collect::<Result<_, _>>()?,
            build: build.into_par_iter().map(read).collect::<Result<_, _>>()?,
            local,
        })
    }

    /// The person `identity` of the world `seed`.
    pub fn identity(&self, mesh: &Mesh, seed: u64, identity: u64) -> Identity {
        let mut dice = Dice::new([seed, identity, 0, 0]);
        let mut shape = mesh.rest.clone();
        let sex = dice.within(0.0..1.0);
        let sex = (0.5 + 1.1 * (sex - 0.5) + 0.25 * (sex - 0.5).signum()).clamp(0.0, 1.0); // few are in the middle
        let age = dice.within(VARIATION.age);
        let weight = dice.within(VARIATION.weight);
        // Squares: most have one ancestry that is stronger than the others.
        let ancestry = [0; 3].map(|_| dice.within(0.05..1.0).powi(3));
        let total: f32 = ancestry.iter().sum();
        let ancestry = ancestry.map(|share| share / total);
        let (sexes, ages, weights) = ([1.0 - sex, sex], between(AGES, age), between(WEIGHTS, weight));
        for (target, weight) in self.ancestry.iter().zip(products(&ancestry, &sexes, &ages)) {
            target.apply(&mut shape, weight);
        }
        for (target, weight) in self.build.iter().zip(products(&sexes, &ages, &weights)) {
            target.apply(&mut shape, weight);
        }
        for halves in &self.local {
            let common = dice.normal(VARIATION.feature).clamp(-1.0, 1.0);
            for feature in halves {
                let weight = feature.share * (common + dice.normal(VARIATION.feature_asymmetry));
                let target = if weight < 0.0 { &feature.less } else { &feature.more };
                if let Some(target) = target {
                    target.apply(&mut shape, weight.abs());
                }
            }
        }
        let looks = Looks::draw(&mut dice, ancestry, sex, age);
        Identity { shape, looks }
    }
}

impl Looks {
    fn draw(dice: &mut Dice, [african, asian, _]: [f32; 3], sex: f32, age: f32) -> Looks {
        // Tone runs from light (0) to dark (1), by ancestry with much overlap.
        let tone = (0.18 + 0.6 * african + 0.12 * asian + dice.normal(0.11)).clamp(0.02, 0.95);
        let skin = mix([0.62, 0.40, 0.30], [0.07, 0.035, 0.022], tone.powf(0.7));
        let skin = scale(skin, dice.within(0.9..1.1));
        let grey = ((age - 0.65) * 2.5 + dice.normal(0.25)).clamp(0.0, 1.0);
        let fair = (1.0 - 2.5 * tone).max(0.0) * dice.within(0.0..1.0);
        let hair = mix([0.012, 0.009, 0.007], [0.30, 0.18, 0.08], fair * fair);
        let hair = mix(hair, [0.42, 0.41, 0.40], 0.8 * grey);
        let iris = mix([0.045, 0.02, 0.008], [0.16, 0.24, 0.30], fair * dice.within(0.0..1.0));
        let male = sex > 0.5;
        let beard = if male && dice.chance(0.45) { dice.within(0.1..0.8) } else { 0.0 };
        Looks {
            skin,
            lips: mix(skin, product(skin, [1.15, 0.58, 0.62]), dice.within(0.5..if male { 0.9 } else { 1.25 })),
            hair,
            iris,
            brow: mix(hair, scale(hair, 0.35), grey), // brows turn grey late
            brow_thickness: dice.within(0.022..0.036) + 0.008 * sex,
            brow_density: dice.within(0.72..0.97) - 0.2 * grey,
            brow_height: dice.either_way(0.015),
            hairline: dice.within(7.72..8.12),
            hair_volume: dice.within(0.02..0.12),
            bald: male && dice.chance(0.1 + 0.3 * age),
            beard,
            blotches: dice.within(0.2..1.0),
            lines: ((age - 0.35) * 1.2 + dice.normal(0.1)).clamp(0.1, 1.0),
            gloss: dice.within(0.2..1.0),
            texture: dice.integer(),
        }
    }
}

/// All pairs of opposites in one folder, grouped over the halves of the face.
fn local_features(folder: &Path, share: f32, mesh: &Mesh) -> Result<Vec<Vec<Feature>>, RenderError> {
    let unreadable = |source| RenderError::Unreadable { path: folder.into(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".target.gz")).map(str::to_owned));
    }
    if names.is_empty() {
        return Err(RenderError::NoTargets { folder: folder.into() });
    }
    names.sort(); // the folder's order differs between machines, the drawn identities must not
    let read = |name: &String| Target::open(&folder.join(format!("{name}.target.gz")), &mesh.kept);
    let targets: Vec<Target> = names.par_iter().map(read).collect::<Result<_, _>>()?;
    let mut features: BTreeMap<String, BTreeMap<char, Feature>> = BTreeMap::new();
    for (name, target) in names.iter().zip(targets) {
        let (half, feature, more) = parts_of_name(name);
        let factor = if LIKE_EXPRESSIONS.0.contains(&feature) { LIKE_EXPRESSIONS.1 } else { 1.0 };
        let feature = features.entry(feature.to_owned()).or_default().entry(half).or_default();
        feature.share = share * factor;
        *(if more { &mut feature.more } else { &mut feature.less }) = Some(target);
    }
    Ok(features.into_values().map(|halves| halves.into_values().collect()).collect())
}

/// Half of the face (`l`, `r`, or `m` for both), feature, and whether the target is the feature's positive side.
fn parts_of_name(name: &str) -> (char, &str, bool) {
    let (half, name) = match name.split_at_checked(2) {
        Some(("l-", rest)) => ('l', rest),
        Some(("r-", rest)) => ('r', rest),
        _ => ('m', name),
    };
    match name.rsplit_once('-') {
        Some((feature, "decr" | "down" | "in" | "backward" | "concave" | "uncompress")) => (half, feature, false),
        Some((feature, "incr" | "up" | "out" | "forward" | "convex" | "compress")) => (half, feature, true),
        _ => (half, name, true), // a shape without an opposite, such as `head-round`
    }
}

/// Weights of three places on an axis that sum to one: linear between the two neighbours of `value`.
fn between(places: [(&str, f32); 3], value: f32) -> [f32; 3] {
    let [low, middle, high] = places.map(|(_, place)| place);
    let below = ((middle - value) / (middle - low)).clamp(0.0, 1.0);
    let above = ((value - middle) / (high - middle)).clamp(0.0, 1.0);
    [below, 1.0 - below - above, above]
}

/// The products of one weight of each kind, the last kind fastest.
fn products(a: &[f32], b: &[f32], c: &[f32]) -> Vec<f32> {
    a.iter().flat_map(|a| b.iter().flat_map(move |b| c.iter().map(move |c| a * b * c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_halves_and_opposites() {
        assert_eq!(parts_of_name("l-eye-bag-in"), ('l', "eye-bag", false));
        assert_eq!(parts_of_name("nose-hump-incr"), ('m', "nose-hump", true));
        assert_eq!(parts_of_name("head-round"), ('m', "head-round", true));
    }

    #[test]
    fn macro_weights_sum_to_one() {
        for value in [0.0, 0.2, 0.5, 0.7, 1.0] {
            assert!((between(AGES, value).iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert_eq!(between(WEIGHTS, 0.75), [0.0, 0.5, 0.5]);
        assert_eq!(products(&[1.0, 2.0], &[1.0], &[3.0, 4.0]), [3.0, 4.0, 6.0, 8.0]);
    }
}
