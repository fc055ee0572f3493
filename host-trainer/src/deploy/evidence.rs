//! Refuses a bundle that is worse than the one on the board, as far as the new bundle's own evidence tells
//! ([`crate::adoption`]).

use expression_engine::bundle::{self, Manifest};

use crate::adoption::Adoption;
use crate::error::Error;

/// Checks the evidence that a new bundle carries. `board`: gives the manifest of the bundle on the board, if there is one; it is
/// asked only if the new bundle carries evidence.
///
/// Returns what is to be said, a line each.
///
/// # Errors
/// Returns [`Error::BadInput`] if the new bundle is worse than the one that it was adapted from, or the error of `board`.
pub fn check(new: &Manifest, board: impl FnOnce() -> crate::Result<Option<Manifest>>) -> crate::Result<Vec<String>> {
    let Some(adoption) = Adoption::of_manifest(new) else { return Ok(Vec::new()) };
    let name = &new.name;
    if let Err(reason) = adoption.verdict() {
        let advice = "keep the bundle that it was adapted from, label more pictures, or give --accept-worse";
        return Err(Error::BadInput(format!("bundle {name}: {reason}; {advice}")));
    }
    let mut told = Vec::new();
    if adoption.may_be_chance() {
        let (own, comparison) = &adoption.own;
        let advice = "label more pictures to be sure";
        told.push(format!(
            "bundle {name} on {own}, {} samples: {}; {advice}",
            comparison.samples,
            comparison.sentence()
        ));
    }
    let Some(old) = board()? else { return Ok(told) };
    let graph = |manifest: &Manifest| manifest.files.get(bundle::INT8).cloned().unwrap_or_default();
    if graph(&old) != adoption.from && graph(&old) != graph(new) {
        told.push(format!(
            "bundle {name} was compared with the one it was adapted from, which is not on this board ({} is): compare the two \
             with `host-trainer evaluate --bundle NEW --against OLD`",
            old.name
        ));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::evaluate::Comparison;

    fn manifest(gained: usize, lost: usize) -> Manifest {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/ferplus-edge");
        let mut manifest = expression_engine::Bundle::open(&shipped).unwrap().manifest().clone();
        let from = manifest.files[bundle::INT8].clone();
        let comparison = Comparison { samples: 100, both: 50, gained, lost };
        let same = Comparison { samples: 100, both: 90, gained: 0, lost: 0 };
        let adoption = Adoption { from, own: ("room".into(), comparison), old: ("rendered".into(), same) };
        manifest.metrics.extend(adoption.metrics());
        manifest.provenance.extend(adoption.provenance());
        manifest
    }

    #[test]
    fn a_worse_bundle_is_refused_before_the_board_is_asked() {
        let error = check(&manifest(3, 9), || panic!("the board was asked")).unwrap_err().to_string();
        assert!(error.contains("no better on room") && error.contains("--accept-worse"), "{error}");
    }

    #[test]
    fn a_better_one_passes_and_a_stranger_on_the_board_is_told() {
        let new = manifest(19, 3);
        assert!(check(&new, || Ok(Some(new.clone()))).unwrap().is_empty());
        assert!(check(&new, || Ok(None)).unwrap().is_empty());
        let mut other = new.clone();
        other.files.insert(bundle::INT8.into(), "another".into());
        let told = check(&new, || Ok(Some(other))).unwrap();
        assert!(told.len() == 1 && told[0].contains("not on this board"), "{told:?}");
    }

    #[test]
    fn a_difference_that_may_be_chance_is_told() {
        let told = check(&manifest(2, 0), || Ok(None)).unwrap();
        assert!(told.len() == 1 && told[0].contains("100 samples: no clear difference: 2 right"), "{told:?}");
    }

    #[test]
    fn without_evidence_nothing_is_asked() {
        let mut plain = manifest(9, 3);
        plain.metrics.clear();
        assert!(check(&plain, || panic!("the board was asked")).unwrap().is_empty());
    }
}
