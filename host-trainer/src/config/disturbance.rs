//! Augmentation beyond geometry: what pictures suffer, and faces mixed with each other.

use serde::{Deserialize, Serialize};

/// What faces suffer from cameras, rooms and codecs, each at random: `[augment.degrade]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Degrade {
    /// Probability of each of the following, for each face.
    pub share: f64,
    /// Largest standard deviation of Gaussian blur, in pixels of the net's input; 0 for none.
    pub blur: f64,
    /// Least share of its side to which a face is reduced and enlarged again; 1 for none.
    pub low_resolution: f64,
    /// Least and largest factor of all values, drawn evenly by its logarithm; [1, 1] for none.
    pub gain: [f64; 2],
    /// Least and largest power of the values as shares of 255, drawn evenly by its logarithm; [1, 1] for none.
    pub gamma: [f64; 2],
    /// Largest standard deviation of noise, in grey levels; 0 for none.
    pub noise: f64,
    /// Least quality of JPEG, 1 to 99; 100 for none.
    pub jpeg: u8,
}

impl Degrade {
    /// # Errors
    /// Returns what is out of range.
    pub(super) fn check(&self) -> Result<(), String> {
        let range = |[from, to]: [f64; 2]| (0.01..=100.0).contains(&from) && from <= to && to <= 100.0;
        let require = |holds: bool, what: &str| holds.then_some(()).ok_or_else(|| format!("augment.degrade.{what}"));
        require((0.0..=1.0).contains(&self.share), "share: a probability, 0 to 1")?;
        require((0.0..=20.0).contains(&self.blur), "blur: 0 to 20 pixels")?;
        require((0.05..=1.0).contains(&self.low_resolution), "low_resolution: a share, 0.05 to 1")?;
        require(range(self.gain), "gain: the least and the largest factor, 0.01 to 100")?;
        require(range(self.gamma), "gamma: the least and the largest power, 0.01 to 100")?;
        require((0.0..=128.0).contains(&self.noise), "noise: 0 to 128 grey levels")?;
        require((1..=100).contains(&self.jpeg), "jpeg: a quality, 1 to 100")
    }
}

/// Faces mixed with each other, and their targets with them: `[augment.mix]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Share of the batches in which each face is the weighted mean of two.
    pub mixup: f64,
    /// Share of the batches in which a rectangle of each face is that of another.
    pub cutmix: f64,
}

impl Mix {
    /// # Errors
    /// Returns what is out of range.
    pub(super) fn check(&self) -> Result<(), String> {
        let shares = [self.mixup, self.cutmix, self.mixup + self.cutmix];
        let holds = shares.iter().all(|share| (0.0..=1.0).contains(share));
        holds.then_some(()).ok_or_else(|| "augment.mix: shares of the batches, together at most 1".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, PRESETS};

    const TABLES: &str = "\n[augment.degrade]\nshare = 0.5\nblur = 1.5\nlow_resolution = 0.5\ngain = [0.2, 1.3]\n\
        gamma = [0.5, 2.0]\nnoise = 8.0\njpeg = 30\n\n[augment.mix]\nmixup = 0.3\ncutmix = 0.3\n";

    fn smoke() -> &'static str {
        PRESETS.iter().find(|(name, _)| *name == "smoke").expect("a preset").1
    }

    #[test]
    fn a_preset_may_have_them_and_says_so_when_written() {
        let smoke = smoke();
        let without = Config::parse(smoke).unwrap();
        assert!(without.augment.degrade.is_none() && !toml::to_string(&without).unwrap().contains("degrade"));
        let with = Config::parse(&format!("{smoke}{TABLES}")).unwrap();
        assert_eq!(with.augment.degrade.as_ref().unwrap().gain, [0.2, 1.3]);
        assert_eq!(Config::parse(&toml::to_string(&with).unwrap()).unwrap(), with);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for (good, bad, told) in [
            ("share = 0.5", "share = 1.5", "degrade.share"),
            ("blur = 1.5", "blur = -1.0", "degrade.blur"),
            ("low_resolution = 0.5", "low_resolution = 0.0", "degrade.low_resolution"),
            ("gain = [0.2, 1.3]", "gain = [1.3, 0.2]", "degrade.gain"),
            ("gamma = [0.5, 2.0]", "gamma = [0.0, 2.0]", "degrade.gamma"),
            ("noise = 8.0", "noise = 200.0", "degrade.noise"),
            ("jpeg = 30", "jpeg = 0", "degrade.jpeg"),
            ("jpeg = 30", "quality = 30", "quality"),
            ("cutmix = 0.3", "cutmix = 0.8", "augment.mix"),
        ] {
            assert!(TABLES.contains(good));
            let error = Config::parse(&format!("{}{}", smoke(), TABLES.replace(good, bad))).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
