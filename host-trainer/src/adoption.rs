//! Whether an adapted net should be adopted: it and the net that it came from on held-out pictures of one's own and on the old
//! test, by the board's own code. The result is the bundle's evidence, which `deploy` reads.

use std::collections::BTreeMap;
use std::path::Path;

use expression_core::Label;
use expression_engine::bundle::Manifest;
use expression_engine::{Engine, EngineOptions, selftest};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::config;
use crate::dataset::{Part, Sample};
use crate::evaluate::Comparison;

/// Share of the old test's samples by which an adapted net may be worse on it.
pub const OLD_TEST_TOLERANCE: f64 = 0.005;

/// An adapted net beside the one that it came from. Both are int8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// sha256 of the int8 graph of the old bundle.
    pub from: String,
    /// The test part of one's own pictures, and its name.
    pub own: (String, Comparison),
    /// The old test, and its name.
    pub old: (String, Comparison),
}

/// The manifest's keys of the evidence: in `metrics`, for own pictures and the old test each.
const COUNTS: [&str; 4] = ["samples", "both", "gained", "lost"];
/// In `provenance`.
const FROM: &str = "adapted_from";

impl Adoption {
    /// Compares the net that `start` names with a new one. `new_on_own`: what the new one answered to `own`.
    ///
    /// # Errors
    /// Returns an error if the old bundle is refused or a picture is empty.
    pub fn judge(
        start: &config::Start,
        new: &Engine,
        (own_name, own, new_on_own): (&str, &[Sample], &[Label]),
        old_test: &Part,
    ) -> crate::Result<Adoption> {
        let (_, old) = selftest::open(Path::new(&start.bundle), EngineOptions::default())?;
        let compared = |samples: &[Sample], new: &[Label]| -> crate::Result<Comparison> {
            let old = answers(&old, samples)?;
            let pairs = samples.iter().zip(old.iter().zip(new));
            Ok(Comparison::new(pairs.map(|(sample, (old, new))| (*old == sample.label, *new == sample.label))))
        };
        Ok(Adoption {
            from: start.sha256.clone(),
            own: (own_name.to_owned(), compared(own, new_on_own)?),
            old: (old_test.name.clone(), compared(&old_test.samples, &answers(new, &old_test.samples)?)?),
        })
    }

    /// Whether the new net is right more often on one's own pictures, and at most [`OLD_TEST_TOLERANCE`] less often on the old
    /// test; else a sentence that says what is worse.
    pub fn verdict(&self) -> Result<(), String> {
        let (name, own) = &self.own;
        if own.gained <= own.lost {
            return Err(format!("it is no better on {name} ({})", own.sentence()));
        }
        let (name, old) = &self.old;
        let worse = (old.lost as f64 - old.gained as f64) / old.samples.max(1) as f64;
        if worse > OLD_TEST_TOLERANCE {
            return Err(format!("it is {:.1} points worse on {name} ({})", 100.0 * worse, old.sentence()));
        }
        Ok(())
    }

    /// What is to be said of a net whose [`verdict`](Self::verdict) is good: a difference that may be chance is not called better.
    pub fn praise(&self) -> String {
        let own = match self.may_be_chance() {
            true => "right more often on your pictures (it may be chance)",
            false => "better on your pictures",
        };
        let (_, old) = &self.old;
        match old.lost.saturating_sub(old.gained) {
            0 => format!("{own} and no worse on the old test"),
            worse => {
                let points = 100.0 * worse as f64 / old.samples.max(1) as f64;
                format!(
                    "{own} and {points:.1} points worse on the old test; {:.1} are allowed",
                    100.0 * OLD_TEST_TOLERANCE
                )
            }
        }
    }

    /// Whether the difference on one's own pictures may be chance: two equally good nets would differ as much in one of twenty
    /// tests or more.
    pub fn may_be_chance(&self) -> bool {
        self.own.1.p() >= 0.05
    }

    /// The evidence for the manifest's `metrics`.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let of = |what: &'static str, counts: Comparison| {
            let Comparison { samples, both, gained, lost } = counts;
            COUNTS
                .into_iter()
                .zip([samples, both, gained, lost])
                .map(move |(key, count)| (key_of(what, key), count as f64))
        };
        of("own", self.own.1).chain(of("old", self.old.1)).collect()
    }

    /// The evidence for the manifest's `provenance`.
    pub fn provenance(&self) -> [(String, String); 3] {
        [(FROM, &self.from), ("adapted_own", &self.own.0), ("adapted_old", &self.old.0)]
            .map(|(key, value)| (key.to_owned(), value.clone()))
    }

    /// Reads the evidence of a bundle; `None` if it carries none.
    pub fn of_manifest(manifest: &Manifest) -> Option<Adoption> {
        let count = |what, key| manifest.metrics.get(&key_of(what, key)).map(|count| *count as usize);
        let part = |what| {
            let [samples, both, gained, lost] = COUNTS.map(|key| count(what, key));
            Some(Comparison { samples: samples?, both: both?, gained: gained?, lost: lost? })
        };
        let name = |key: &str| manifest.provenance.get(key).cloned().unwrap_or_default();
        let from = manifest.provenance.get(FROM)?.clone();
        Some(Adoption { from, own: (name("adapted_own"), part("own")?), old: (name("adapted_old"), part("old")?) })
    }

    /// Removes the evidence from a manifest whose bundle answers otherwise than the one that was measured.
    pub fn remove(manifest: &mut Manifest) {
        manifest.metrics.retain(|key, _| !is_evidence(key));
        manifest.provenance.retain(|key, _| !is_evidence(key));
    }

    /// The lines for people.
    pub fn table(&self) -> String {
        let line = |(name, comparison): &(String, Comparison)| {
            format!("  {name}, {} samples: {}\n", comparison.samples, comparison.sentence())
        };
        let verdict = match self.verdict() {
            Ok(()) => format!("  {}\n", self.praise()),
            Err(reason) => format!("  do not adopt it: {reason}\n"),
        };
        format!("adapted, compared with the bundle it started from\n{}{}{verdict}", line(&self.own), line(&self.old))
    }
}

/// Whether a key of a manifest's `metrics` or `provenance` belongs to the evidence.
pub fn is_evidence(key: &str) -> bool {
    key == FROM || key.starts_with("adapted_own") || key.starts_with("adapted_old")
}

fn key_of(what: &str, key: &str) -> String {
    format!("adapted_{what}_{key}")
}

fn answers(engine: &Engine, samples: &[Sample]) -> crate::Result<Vec<Label>> {
    let labels = engine.labels();
    let answer = |sample: &Sample| -> crate::Result<Label> {
        crate::interrupt::check()?;
        Ok(labels[engine.classify(&sample.picture.aligned_face(engine.input())?)?.class])
    };
    samples.par_iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn adoption(own: [usize; 2], old: [usize; 2]) -> Adoption {
        let comparison = |[gained, lost]: [usize; 2]| Comparison { samples: 1000, both: 600, gained, lost };
        Adoption {
            from: "abc".into(),
            own: ("room".into(), comparison(own)),
            old: ("rendered".into(), comparison(old)),
        }
    }

    #[test]
    fn what_is_no_better_or_forgets_is_not_adopted() {
        assert_eq!(adoption([90, 10], [20, 25]).verdict(), Ok(()), "0.5 points are borne");
        assert!(adoption([90, 10], [20, 26]).verdict().unwrap_err().contains("worse on rendered"));
        assert!(adoption([10, 10], [20, 20]).verdict().unwrap_err().contains("no better on room"));
    }

    #[test]
    fn what_may_be_chance_is_not_called_better() {
        assert_eq!(adoption([90, 10], [25, 20]).praise(), "better on your pictures and no worse on the old test");
        let few = adoption([1, 0], [20, 25]);
        assert_eq!(few.verdict(), Ok(()));
        let told = "right more often on your pictures (it may be chance) and 0.5 points worse on the old test; 0.5 are allowed";
        assert_eq!(few.praise(), told);
        assert!(few.table().contains("no clear difference: 1 right") && few.table().contains(told), "{}", few.table());
    }

    #[test]
    fn a_manifest_keeps_the_evidence() {
        let written = adoption([90, 10], [20, 25]);
        let mut manifest =
            expression_engine::Bundle::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge"))
                .unwrap()
                .manifest()
                .clone();
        assert_eq!(Adoption::of_manifest(&manifest), None);
        manifest.metrics.extend(written.metrics());
        manifest.provenance.extend(written.provenance());
        let read = Manifest::from_toml(&toml::to_string(&manifest).unwrap(), Path::new("bundle")).unwrap();
        assert_eq!(Adoption::of_manifest(&read), Some(written));
    }
}
