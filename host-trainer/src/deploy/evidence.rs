//! Refuses a bundle that is worse than the one on the board, as far as the new bundle's own evidence tells
//! ([`crate::adoption`]).

use expression_engine::bundle::{self, Manifest};

use crate::adoption::Adoption;
use crate::error::Error;

/// Checks the evidence that a new bundle carries. `board`: gives the manifest of the bundle on the board, if there is one; it is
/// asked only if the new bundle carries evidence.
///
/// Returns a line to say, if there is something to say.
///
/// # Errors
/// Returns [`Error::BadInput`] if the new bundle is worse than the one that it was adapted from, or the error of `board`.
pub fn check(new: &Manifest, board: impl FnOnce() -> crate::Result<Option<Manifest>>) -> crate::Result<Option<String>> {
    let Some(adoption) = Adoption::of_manifest(new) else { return Ok(None) };
    let name = &new.name;
    if let Err(reason) = adoption.verdict() {
        let advice = "keep the bundle that it was adapted from, label more pictures, or give --accept-worse";
        return Err(Error::BadInput(format!("bundle {name}: {reason}; {advice}")));
    }
    let Some(old) = board()? else { return Ok(None) };
    let graph = |manifest: &Manifest| manifest.files.get(bundle::INT8).cloned().unwrap_or_default();
    if graph(&old) == adoption.from || graph(&old) == graph(new) {
        return Ok(None);
    }
    Ok(Some(format!(
        "bundle {name} was compared with the one it was adapted from, which is not on this board ({} is): compare the two \
         with `host-trainer evaluate --bundle NEW --against OLD`",
        old.name
    )))
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
        let new = manifest(9, 3);
        assert_eq!(check(&new, || Ok(Some(new.clone()))).unwrap(), None);
        assert_eq!(check(&new, || Ok(None)).unwrap(), None);
        let mut other = new.clone();
        other.files.insert(bundle::INT8.into(), "another".into());
        let line = check(&new, || Ok(Some(other))).unwrap().unwrap();
        assert!(line.contains("not on this board"), "{line}");
    }

    #[test]
    fn without_evidence_nothing_is_asked() {
        let mut plain = manifest(9, 3);
        plain.metrics.clear();
        assert_eq!(check(&plain, || panic!("the board was asked")).unwrap(), None);
    }
}
